//! From a directory back to a shard: the newest snapshot, then the log behind it.

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::files::{list, segment_path};
use super::frame::{Scanned, scan_frames};
use super::segment::{END, LEAD, Lead, end_mark};
use super::snapshot::{newest, read_snapshot};
use super::{DurableError, IoContext};
use crate::OpError;
use crate::shard::{Shard, ShardSettings};

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Frame up to which the snapshot reaches; `None` without one.
    pub snapshot: Option<u64>,
    /// Changes read from it.
    pub snapshot_changes: u64,
    /// Segments of the log.
    pub segments: u64,
    /// Frames read from them.
    pub frames: u64,
    /// Bytes of these.
    pub log_bytes: u64,
    /// Number of the last frame.
    pub last: u64,
    /// Bytes behind it that were no whole frame: a write that was under way.
    pub cut_bytes: u64,
    /// What was given up, one line each; only with salvage.
    pub lost: Vec<String>,
}

/// The end of the last segment, which is sealed when the next one exists.
type Unsealed = Option<(PathBuf, u64)>;

fn map(path: &Path) -> Result<Mmap, DurableError> {
    let file = File::open(path).doing("opening", path)?;
    // SAFETY: the directory is locked; that nobody else changes the file meanwhile is what the lock
    // is for. Every byte is checked before it is believed.
    unsafe { Mmap::map(&file) }.doing("mapping", path)
}

struct Recovery {
    shard: Shard,
    settings: ShardSettings,
    folder: PathBuf,
    salvage: bool,
    found: Recovered,
    /// Frame that the log must reach.
    reach: u64,
    epoch: u32,
}

/// Recovers the shard in `folder`.
pub(super) fn recover(
    folder: &Path,
    settings: ShardSettings,
    salvage: bool,
) -> Result<(Shard, Recovered, Unsealed), DurableError> {
    let shard = Shard::new(settings).doing("reserving memory for", folder)?;
    let epoch = u32::MAX;
    let settings = *shard.settings();
    let mut recovery = Recovery {
        shard,
        settings,
        folder: folder.into(),
        salvage,
        found: Recovered::default(),
        reach: 0,
        epoch,
    };
    recovery.check_seed(folder)?;
    recovery.snapshot()?;
    let unsealed = recovery.segments()?;
    let Recovery { shard, found, .. } = recovery;
    Ok((shard, found, unsealed))
}

impl Recovery {
    /// The seed is the directory's from its first opening on: it decides which shard owns a key.
    fn check_seed(&mut self, folder: &Path) -> Result<(), DurableError> {
        let Some((_, path)) = list(folder)?.segments.pop() else { return Ok(()) };
        let bytes = map(&path)?;
        if let Some(lead) = Lead::of_segment(&bytes)
            && lead.seed != self.settings.seed
        {
            let settings = ShardSettings { seed: lead.seed, ..self.settings };
            self.shard = Shard::new(settings).doing("reserving memory for", folder)?;
        }
        Ok(())
    }

    fn own(&self, path: &Path, lead: &Lead) -> Result<(), DurableError> {
        let ShardSettings { shards, shard, .. } = self.settings;
        if lead.shards != shards {
            let (was, asked) = (lead.shards, shards);
            return Err(DurableError::Shards { path: path.into(), was, asked });
        }
        if lead.shard != shard {
            return Err(DurableError::Foreign { path: path.into() });
        }
        Ok(())
    }

    fn damaged(&mut self, path: &Path, at: u64, what: &'static str) -> Result<(), DurableError> {
        let error = DurableError::Damaged { path: path.into(), at, what };
        if !self.salvage {
            return Err(error);
        }
        self.found.lost.push(error.to_string());
        Ok(())
    }

    fn snapshot(&mut self) -> Result<(), DurableError> {
        let Some((number, path)) = newest(&self.folder)? else { return Ok(()) };
        let bytes = map(&path)?;
        let shard = &mut self.shard;
        match read_snapshot(&bytes, |change| shard.apply(change)) {
            Ok(head) => {
                self.own(&path, &head.lead)?;
                if head.lead.number != number {
                    return Err(DurableError::Foreign { path });
                }
                self.found.snapshot = Some(number);
                self.found.snapshot_changes = head.changes;
                self.found.last = number;
                self.reach = head.reach;
                Ok(())
            }
            Err(Some(source)) => Err(self.no_room(source)),
            Err(None) => {
                // What was read of it stays; the log behind it is still whole.
                self.found.last = number;
                self.damaged(&path, 0, "the snapshot is not whole")
            }
        }
    }

    fn no_room(&self, source: OpError) -> DurableError {
        DurableError::Recover { path: self.folder.clone(), source }
    }

    fn segments(&mut self) -> Result<Unsealed, DurableError> {
        let segments = list(&self.folder)?.segments;
        let opened = self.folder.join("epoch").exists();
        let first_wanted = self.found.last + 1;
        let begins = segments.first().map(|(first, _)| *first);
        if begins.map_or(opened, |first| first > first_wanted) {
            let path = segment_path(&self.folder, first_wanted);
            self.missing(path)?;
        }
        let mut unsealed = None;
        for (index, (first, path)) in segments.iter().enumerate() {
            let next = segments.get(index + 1).map(|(next, _)| *next);
            unsealed = self.segment(*first, path, next)?;
            self.found.segments += 1;
        }
        if self.found.last < self.reach {
            let path =
                segments.last().map_or_else(|| self.folder.clone(), |(_, path)| path.clone());
            self.damaged(&path, 0, "the snapshot reaches further than the log")?;
            self.found.last = self.reach;
        }
        Ok(unsealed)
    }

    fn missing(&mut self, path: PathBuf) -> Result<(), DurableError> {
        let error = DurableError::Missing { path };
        if !self.salvage {
            return Err(error);
        }
        self.found.lost.push(error.to_string());
        Ok(())
    }

    /// Reads one segment; `next` is the number of the one behind it.
    fn segment(
        &mut self,
        first: u64,
        path: &Path,
        next: Option<u64>,
    ) -> Result<Unsealed, DurableError> {
        let bytes = map(path)?;
        let Some(lead) = Lead::of_segment(&bytes) else {
            self.damaged(path, 0, "its head is no segment's")?;
            return Ok(None);
        };
        self.own(path, &lead)?;
        if lead.number != first {
            return Err(DurableError::Foreign { path: path.into() });
        }
        let scanned = self.replay(bytes.get(LEAD..).unwrap_or_default(), first)?;
        let end = LEAD as u64 + scanned.good;
        self.found.frames += scanned.frames;
        self.found.log_bytes += scanned.good;
        self.found.last = self.found.last.max(scanned.last);
        let tail = bytes.get(end as usize..).unwrap_or_default();
        let sealed = tail == end_mark(scanned.last + 1);
        match next {
            Some(next) if next == scanned.last + 1 && (sealed || scanned.cut == 0) => {}
            Some(_) => self.damaged(path, end, "a frame before the last segment cannot be read")?,
            None if sealed => self.missing(segment_path(&self.folder, scanned.last + 1))?,
            None if scanned.damaged => {
                self.damaged(path, end, "a frame that had been durable cannot be read")?;
                self.found.cut_bytes += scanned.cut;
            }
            None => self.found.cut_bytes += scanned.cut,
        }
        Ok((!sealed).then(|| (path.into(), end)))
    }

    fn replay(&mut self, bytes: &[u8], first: u64) -> Result<Scanned, DurableError> {
        let (shard, from) = (&mut self.shard, self.found.last);
        let scanned = scan_frames(bytes, first - 1, self.epoch, |sequence, change| {
            // What the snapshot certainly holds is not done again.
            if sequence > from { shard.apply(change) } else { Ok(()) }
        });
        scanned.map_err(|source| self.no_room(source))
    }
}

const _: () = assert!(END < LEAD);
