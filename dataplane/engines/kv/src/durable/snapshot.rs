//! Snapshots: the state up to a frame of the log, in frames of their own.
//!
//! A file begins with 64 bytes like a segment's; its number is that of the last frame whose changes
//! are certainly in it. It is written while the shard goes on, so later changes may be in it too;
//! doing them again gives the same. The last frame is empty, and its field for what is durable says
//! how far the log must reach at least.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::files::{list, publish, snapshot_path};
use super::frame::{self, HEAD};
use super::segment::{LEAD, Lead};
use super::{DurableError, IoContext, codec};
use crate::change::Change;
use crate::op::Space;
use crate::shard::{Scan, Shard};

const MAGIC: [u8; 8] = *b"pfskvsnp";
/// Bytes of a frame.
const FRAME: usize = 256 << 10;

/// What is written next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    /// Keys of a space behind this one.
    Keys(Space, Option<Vec<u8>>),
    /// Absolute keys of a space from this one on.
    Objects(Space, u64),
    End,
}

/// A snapshot being written.
#[derive(Debug)]
pub(super) struct Snapshot {
    folder: PathBuf,
    tmp: PathBuf,
    file: BufWriter<File>,
    lead: Lead,
    at: At,
    open: Vec<u8>,
    frames: u64,
}

impl Snapshot {
    /// Begins the snapshot of everything up to frame `lead.number`.
    pub(super) fn begin(folder: &Path, lead: Lead) -> Result<Self, DurableError> {
        let tmp = folder.join("snapshot.tmp");
        let file = File::create(&tmp).doing("creating", &tmp)?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        file.write_all(&lead.encode(MAGIC)).doing("writing", &tmp)?;
        let at = At::Keys(Space(0), None);
        Ok(Self { folder: folder.into(), tmp, file, lead, at, open: Vec::new(), frames: 0 })
    }

    /// Writes about `rows` rows more; true when all are written.
    pub(super) fn step(&mut self, shard: &Shard, rows: usize) -> Result<bool, DurableError> {
        let mut left = rows;
        while left > 0 {
            let (written, at) = match &self.at {
                At::Keys(space, after) => {
                    keys(shard, *space, after.as_deref(), left.min(4096), &mut self.open)
                }
                At::Objects(space, from) => objects(shard, *space, *from, &mut self.open),
                At::End => return Ok(true),
            };
            self.at = at;
            left = left.saturating_sub(written.max(1));
            if self.open.len() > FRAME {
                self.write_frame(0)?;
            }
        }
        Ok(false)
    }

    fn write_frame(&mut self, reach: u64) -> Result<(), DurableError> {
        if self.open.is_empty() {
            frame::begin(&mut self.open);
        }
        self.frames += 1;
        frame::seal(&mut self.open, 0, self.lead.epoch, self.frames, reach);
        self.file.write_all(&self.open).doing("writing", &self.tmp)?;
        self.open.clear();
        Ok(())
    }

    /// Makes it durable under its name, and removes what it makes needless. `reach` is the last
    /// frame of the log whose changes may be in it; it must be durable.
    pub(super) fn finish(mut self, reach: u64) -> Result<(), DurableError> {
        if !self.open.is_empty() {
            self.write_frame(0)?;
        }
        self.write_frame(reach)?;
        let flushed = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        flushed.doing("writing", &self.tmp)?;
        publish(&self.tmp, &snapshot_path(&self.folder, self.lead.number))?;
        remove_needless(&self.folder, self.lead.number)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // What is left of one that failed takes space; one that is finished has another name.
        let _ = std::fs::remove_file(&self.tmp);
    }
}

/// Removes snapshots and segments whose every frame is in the snapshot of `number`.
fn remove_needless(folder: &Path, number: u64) -> Result<(), DurableError> {
    for entry in std::fs::read_dir(folder).doing("reading", folder)? {
        let path = entry.doing("reading", folder)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if extension == Some("snap") && stem.parse::<u64>().is_ok_and(|other| other < number) {
            std::fs::remove_file(&path).doing("removing", &path)?;
        }
    }
    let mut listing = Vec::new();
    for entry in std::fs::read_dir(folder).doing("reading", folder)? {
        let path = entry.doing("reading", folder)?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            listing.extend(stem.parse::<u64>().ok().map(|first| (first, path.clone())));
        }
    }
    listing.sort();
    for pair in listing.windows(2) {
        if let [(_, path), (next, _)] = pair
            && *next <= number + 1
        {
            std::fs::remove_file(path).doing("removing", path)?;
        }
    }
    Ok(())
}

fn put(open: &mut Vec<u8>, change: &Change<'_>) {
    if open.is_empty() {
        frame::begin(open);
    }
    codec::encode(change, open);
}

fn keys(
    shard: &Shard,
    space: Space,
    after: Option<&[u8]>,
    most: usize,
    open: &mut Vec<u8>,
) -> (usize, At) {
    if shard.spaces().all(|other| other < space) {
        return (0, At::End);
    }
    let scan = Scan { space, after, hidden: true, limit: Some(most), ..Scan::default() };
    let (mut count, mut last) = (0, None);
    for row in shard.scan(&scan) {
        let (space, crate::Row { key, value, expiry, hidden, .. }) = (space.0, row);
        put(open, &Change::Put { space, hidden, expiry, key, value });
        count += 1;
        last = Some(key);
        if open.len() > FRAME {
            break;
        }
    }
    match last {
        Some(last) => (count, At::Keys(space, Some(last.to_vec()))),
        None => (0, At::Objects(space, 1)),
    }
}

fn objects(shard: &Shard, space: Space, from: u64, open: &mut Vec<u8>) -> (usize, At) {
    let mut count = 0;
    let next = shard.each_object(space, from, |absolute, value| {
        put(open, &Change::Object { space: space.0, absolute, value });
        count += 1;
    });
    if let Some(next) = next {
        return (count, At::Objects(space, next));
    }
    put(open, &Change::Next { space: space.0, absolute: shard.next_absolute(space) });
    (count, space.0.checked_add(1).map_or(At::End, |next| At::Keys(Space(next), None)))
}

/// What a snapshot's file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotHead {
    pub(super) lead: Lead,
    /// The log must reach this frame.
    pub(super) reach: u64,
    /// Changes read.
    pub(crate) changes: u64,
}

/// Reads a snapshot and calls `each` with its changes; `Err(None)` when it is damaged.
pub(crate) fn read_snapshot<E>(
    bytes: &[u8],
    mut each: impl FnMut(&Change<'_>) -> Result<(), E>,
) -> Result<SnapshotHead, Option<E>> {
    let lead = Lead::decode(bytes, MAGIC).ok_or(None)?;
    let (mut at, mut frames, mut changes) = (LEAD, 0, 0);
    loop {
        let frame = bytes.get(at..).and_then(frame::read).ok_or(None)?;
        frames += 1;
        if frame.sequence != frames || frame.epoch != lead.epoch {
            return Err(None);
        }
        at += HEAD + frame.payload.len();
        if frame.payload.is_empty() {
            let end = at == bytes.len() && frame.durable >= lead.number;
            return if end {
                Ok(SnapshotHead { lead, reach: frame.durable, changes })
            } else {
                Err(None)
            };
        }
        let mut rest = frame.payload;
        while !rest.is_empty() {
            let (change, left) = codec::decode(rest).ok_or(None)?;
            each(&change).map_err(Some)?;
            changes += 1;
            rest = left;
        }
    }
}

/// The newest snapshot in `folder`, if there is one.
pub(super) fn newest(folder: &Path) -> Result<Option<(u64, PathBuf)>, DurableError> {
    Ok(list(folder)?.snapshots.pop())
}
