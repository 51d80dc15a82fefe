//! Segments of the log: files written full of zeros beforehand, so that a sync later has only data
//! to write and never meets a full disk.
//!
//! A segment begins with 64 bytes: magic (8), CRC-32C of what follows (4), version (4), shard (4),
//! shards (4), epoch (4), zero (4), number of the first frame (8), seed of the hash (8), zeros.
//! Frames follow. When the next segment exists and is durable, the end of this one is marked
//! (4 bytes magic, 4 bytes CRC-32C of the next one's number, that number in 8 bytes) and the file
//! is cut there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::DurableError;
use super::files::{publish, segment_path};
use super::frame::crc32c;

/// Bytes before the first frame.
pub(super) const LEAD: usize = 64;
/// Bytes of the mark at the end.
pub(super) const END: usize = 16;
const MAGIC: [u8; 8] = *b"pfskvlog";
const END_MAGIC: [u8; 4] = *b"pfkE";
const VERSION: u32 = 1;

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lead {
    pub(super) shard: u32,
    pub(super) shards: u32,
    pub(super) epoch: u32,
    /// Number of the first frame in a segment; of the last one in a snapshot.
    pub(super) number: u64,
    pub(super) seed: u64,
}

impl Lead {
    pub(super) fn encode(&self, magic: [u8; 8]) -> [u8; LEAD] {
        let mut bytes = [0; LEAD];
        bytes[..8].copy_from_slice(&magic);
        bytes[12..16].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.shard.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.shards.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.number.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.seed.to_le_bytes());
        let crc = crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads it from the start of a file; `None` when it is damaged or another's.
    pub(super) fn decode(bytes: &[u8], magic: [u8; 8]) -> Option<Self> {
        let bytes: &[u8; LEAD] = bytes.first_chunk()?;
        let u32_at =
            |at: usize| bytes[at..].first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
        let u64_at =
            |at: usize| bytes[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        let valid = bytes.starts_with(&magic) && u32_at(8) == crc32c(&bytes[12..]);
        (valid && u32_at(12) == VERSION).then(|| Self {
            shard: u32_at(16),
            shards: u32_at(20),
            epoch: u32_at(24),
            number: u64_at(32),
            seed: u64_at(40),
        })
    }

    /// Reads a segment's.
    pub(super) fn of_segment(bytes: &[u8]) -> Option<Self> {
        Self::decode(bytes, MAGIC)
    }
}

/// The mark that ends a segment which `next` follows.
pub(super) fn end_mark(next: u64) -> [u8; END] {
    let mut mark = [0; END];
    mark[..4].copy_from_slice(&END_MAGIC);
    mark[4..8].copy_from_slice(&crc32c(&next.to_le_bytes()).to_le_bytes());
    mark[8..].copy_from_slice(&next.to_le_bytes());
    mark
}

/// A segment being written.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    /// Bytes written.
    pub(super) at: u64,
    /// Bytes that there are.
    pub(super) size: u64,
}

impl Segment {
    /// Makes the segment of `lead` out of a file that [`prepare`] made.
    pub(super) fn adopt(folder: &Path, lead: &Lead, prepared: &Prepared) -> io::Result<Self> {
        let path = segment_path(folder, lead.number);
        prepared.file.write_all_at(&lead.encode(MAGIC), 0)?;
        prepared.file.sync_all()?;
        publish(&prepared.path, &path).map_err(DurableError::into_io)?;
        let file = Arc::clone(&prepared.file);
        Ok(Self { file, path, at: LEAD as u64, size: prepared.size })
    }

    /// Whether `len` bytes more fit, with room for the end's mark.
    pub(super) const fn fits(&self, len: u64) -> bool {
        self.at + len + END as u64 <= self.size
    }

    /// Writes `bytes` behind what was written.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

/// Marks the end of the segment at `path` after `at` bytes: `next` follows and is durable.
pub(super) fn seal(path: &Path, at: u64, next: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.write_all_at(&end_mark(next), at)?;
    file.set_len(at + END as u64)?;
    file.sync_all()
}

/// A file of zeros, on disk.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    pub(super) size: u64,
}

/// Makes a file of `size` zeros that are on disk. A full disk is met here, not later.
pub(super) fn prepare(folder: &Path, size: u64) -> io::Result<Prepared> {
    let path = folder.join("next.tmp");
    let made = fill(&path, size);
    if made.is_err() {
        // What is left of it takes space from the next try.
        let _ = std::fs::remove_file(&path);
    }
    made
}

fn fill(path: &Path, size: u64) -> io::Result<Prepared> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    let flags = nix::fcntl::FallocateFlags::empty();
    match nix::fcntl::fallocate(&file, flags, 0, size as i64) {
        // Not every file system can; writing the zeros allocates as well.
        Ok(()) | Err(nix::errno::Errno::EOPNOTSUPP) => {}
        Err(error) => return Err(error.into()),
    }
    let zeros = vec![0; (size as usize).min(1 << 20)];
    let mut at = 0;
    while at < size {
        let part = (size - at).min(zeros.len() as u64);
        file.write_all_at(&zeros[..part as usize], at)?;
        at += part;
    }
    file.sync_all()?;
    Ok(Prepared { file: Arc::new(file), path: path.into(), size })
}

/// The next segment's file, made in the background.
#[derive(Debug, Default)]
pub(super) struct Preparing(Option<JoinHandle<io::Result<Prepared>>>);

impl Preparing {
    /// Begins, unless it has begun.
    pub(super) fn begin(&mut self, folder: &Path, size: u64) {
        if self.0.is_none() {
            let folder = folder.to_path_buf();
            let name = std::thread::Builder::new().name("pfs-kv-prepare".to_owned());
            self.0 = name.spawn(move || prepare(&folder, size)).ok();
        }
    }

    /// The file, of at least `least` bytes; waits for it.
    pub(super) fn take(&mut self, folder: &Path, size: u64, least: u64) -> io::Result<Prepared> {
        if let Some(thread) = self.0.take()
            && let Ok(prepared) = thread.join()
        {
            let prepared = prepared?;
            if prepared.size >= least {
                return Ok(prepared);
            }
        }
        prepare(folder, size.max(least))
    }
}

impl Drop for Preparing {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take()
            && let Ok(Ok(prepared)) = thread.join()
        {
            // Removed at the next opening otherwise.
            let _ = std::fs::remove_file(prepared.path);
        }
    }
}
