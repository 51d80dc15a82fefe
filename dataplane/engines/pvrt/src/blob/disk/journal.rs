//! The file `journal`: a head of 64 bytes (magic (8), the blob's unique number (16), CRC-32C of
//! these (4), zeros), then frames.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::error::{BlobError, Context};
use super::frame::{self, Scanned};
use super::record::Record;
use super::{crc32c, write_whole};

const MAGIC: &[u8; 8] = b"pfsBJrnl";
const HEAD: usize = 64;
/// A journal shorter than this is left as it is.
const COMPACT_MIN: u64 = 4 << 20;
/// Records that wait for a sync, in bytes, before one is made unasked.
pub(in crate::blob) const PENDING_MAX: usize = 4 << 20;

/// The journal of a blob that this process writes.
#[derive(Debug)]
pub(in crate::blob) struct Journal {
    file: File,
    path: PathBuf,
    unique: [u8; 16],
    /// Bytes of head and frames.
    len: u64,
    frames: u64,
    /// Bytes that it had, roughly, when it was last without anything superfluous.
    needed: u64,
    /// Records that no frame has yet.
    pending: Vec<u8>,
    /// Why the disk's state is unknown.
    broken: Option<String>,
}

fn head(unique: &[u8; 16]) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(MAGIC);
    head[8..24].copy_from_slice(unique);
    let crc = crc32c(&head[..24]);
    head[24..28].copy_from_slice(&crc.to_le_bytes());
    head
}

/// What a folder's journal has.
#[derive(Debug)]
pub(in crate::blob) struct Read {
    bytes: Vec<u8>,
    path: PathBuf,
}

impl Read {
    /// Reads that of `folder`.
    pub(in crate::blob) fn new(folder: &Path) -> Result<Self, BlobError> {
        let path = folder.join("journal");
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(BlobError::damaged(&path, 0, "the journal is gone"));
            }
            read => read.doing("reading", &path)?,
        };
        Ok(Self { bytes, path })
    }

    /// Bytes of it, which bound what it can say.
    pub(in crate::blob) const fn len(&self) -> usize {
        self.bytes.len()
    }

    fn frames(&self) -> &[u8] {
        self.bytes.get(HEAD..).unwrap_or_default()
    }

    /// Gives all records to `each`.
    ///
    /// # Errors
    /// When it is another blob's or damaged before its end; what `each` finds wrong.
    pub(in crate::blob) fn scan(
        &self,
        unique: &[u8; 16],
        each: impl FnMut(&Record<'_>) -> Result<(), String>,
    ) -> Result<Scanned, BlobError> {
        if self.bytes.get(..HEAD) != Some(&head(unique)) {
            return Err(BlobError::damaged(&self.path, 0, "it does not begin as this blob's does"));
        }
        let scanned = frame::scan(self.frames(), each)
            .map_err(|what| BlobError::damaged(&self.path, 0, what))?;
        if scanned.damaged {
            let at = (HEAD + scanned.good) as u64;
            return Err(BlobError::damaged(&self.path, at, "a frame that was there is not whole"));
        }
        Ok(scanned)
    }

    /// Gives all records that can be read to `each`, whatever lies between them.
    pub(in crate::blob) fn salvage(&self, each: impl FnMut(&Record<'_>)) -> Scanned {
        // A head that is wrong may be shorter or longer: frames are looked for.
        frame::salvage(&self.bytes, each)
    }
}

impl Journal {
    /// Makes one with `records`, in place of what is there.
    pub(in crate::blob) fn create(
        folder: &Path,
        unique: [u8; 16],
        records: &[Vec<u8>],
    ) -> Result<Self, BlobError> {
        let mut bytes = head(&unique).to_vec();
        for (number, records) in (1..).zip(records) {
            frame::write(&mut bytes, number, records);
        }
        let file = write_whole(folder, "journal", &bytes)?;
        let (len, frames) = (bytes.len() as u64, records.len() as u64);
        let path = folder.join("journal");
        let (needed, pending) = (len, Vec::new());
        Ok(Self { file, path, unique, len, frames, needed, pending, broken: None })
    }

    /// Goes on with one that was read, behind its last whole frame.
    pub(in crate::blob) fn resume(
        read: &Read,
        unique: [u8; 16],
        scanned: &Scanned,
    ) -> Result<Self, BlobError> {
        let path = read.path.clone();
        let file = File::options().read(true).write(true).open(&path).doing("opening", &path)?;
        let len = (HEAD + scanned.good) as u64;
        if scanned.cut > 0 {
            tracing::warn!(path = %path.display(), bytes = scanned.cut, "cutting a torn end");
            file.set_len(len).and_then(|()| file.sync_all()).doing("cutting", &path)?;
        }
        let (frames, needed, pending) = (scanned.frames, len, Vec::new());
        Ok(Self { file, path, unique, len, frames, needed, pending, broken: None })
    }

    /// Bytes on disk.
    pub(in crate::blob) const fn len(&self) -> u64 {
        self.len
    }

    /// Says how many bytes it would have without anything superfluous.
    pub(in crate::blob) const fn needs(&mut self, bytes: u64) {
        self.needed = bytes;
    }

    /// Whether most of it is superfluous.
    pub(in crate::blob) fn is_long(&self) -> bool {
        self.len > COMPACT_MIN.max(self.needed.saturating_mul(2))
    }

    /// Bytes of records that wait.
    pub(in crate::blob) const fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Adds a record to those that wait.
    pub(in crate::blob) fn push(&mut self, record: &Record<'_>) {
        record.encode(&mut self.pending);
    }

    /// Drops what waits behind the first `bytes`.
    pub(in crate::blob) fn forget(&mut self, bytes: usize) {
        self.pending.truncate(bytes);
    }

    /// Refuses to go on from now on: nobody knows what is on the disk.
    pub(in crate::blob) fn give_up(&mut self, why: &dyn std::fmt::Display) {
        self.broken = Some(why.to_string());
    }

    /// Refuses to go on after a write that failed.
    pub(in crate::blob) fn check(&self) -> Result<(), BlobError> {
        self.broken.as_ref().map_or(Ok(()), |why| Err(BlobError::Poisoned(why.clone())))
    }

    /// Writes what waits as one frame, durably. When there is no room for it, it waits on.
    pub(in crate::blob) fn sync(&mut self) -> Result<(), BlobError> {
        self.check()?;
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut frame = Vec::with_capacity(frame::HEAD + self.pending.len());
        frame::write(&mut frame, self.frames + 1, &self.pending);
        if let Err(error) = self.file.write_all_at(&frame, self.len) {
            if let Err(worse) = self.file.set_len(self.len) {
                self.broken = Some(worse.to_string());
            }
            return Err(error).doing("writing", &self.path);
        }
        // After a failed sync nobody knows what is on the disk: pages count as written.
        if let Err(error) = self.file.sync_data() {
            self.broken = Some(error.to_string());
            return Err(error).doing("syncing", &self.path);
        }
        self.len += frame.len() as u64;
        self.frames += 1;
        self.pending.clear();
        Ok(())
    }

    /// Replaces all frames by those of `records`. Nothing may wait.
    pub(in crate::blob) fn compact(&mut self, records: &[Vec<u8>]) -> Result<(), BlobError> {
        debug_assert!(self.pending.is_empty());
        let folder = self.path.parent().unwrap_or(Path::new("."));
        *self = Self::create(folder, self.unique, records)?;
        Ok(())
    }
}
