//! The write-ahead log: every change, whole, before it is acknowledged.
//!
//! A folder holds files `<first log sequence number>.wal`: a head of 32 bytes, then frames with
//! ascending numbers without gaps. A new file begins when one is full; a checkpoint removes files
//! whose frames it covers. The numbers go on ever after.

mod frame;
mod recover;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use thiserror::Error;

pub use frame::{Frame, MAX_PAYLOAD};
pub use recover::Recovered;

/// When what was appended is made to outlast a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// With each [`Wal::commit`].
    Always,
    /// When the oldest change waits as long, or as many bytes wait.
    Group {
        /// Longest wait.
        max_wait: Duration,
        /// Most bytes that wait.
        max_bytes: usize,
    },
    /// When the kernel likes.
    Never,
}

impl Default for Fsync {
    /// Groups of up to 2 ms or 256 KiB.
    fn default() -> Self {
        Self::Group { max_wait: Duration::from_millis(2), max_bytes: 256 << 10 }
    }
}

/// A log that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WalError {
    /// The operating system refused.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file is not of a log, or of another version.
    #[error("{path} is no log file of this version: {why}; move it elsewhere")]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A frame is damaged, though frames after it are whole: that is no torn end.
    #[error(
        "{path} is damaged at byte {at}, before frames that are whole; restore it from a backup, \
         or cut it there to lose what follows"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where the first damaged frame begins.
        at: u64,
    },
    /// A file is missing between others.
    #[error("the log goes from change {after} to {path}: files between them are missing")]
    Gap {
        /// The last change before the gap.
        after: u64,
        /// The file after it.
        path: PathBuf,
    },
    /// A payload is longer than a frame may be.
    #[error("a change of {0} bytes; a log takes up to {MAX_PAYLOAD}")]
    TooLong(usize),
    /// Writing failed before, so what the file holds is not known.
    #[error("the log failed earlier and takes no more; open it again")]
    Failed,
}

/// Bytes of a file before its frames.
const FILE_HEAD: usize = 32;
const MAGIC: &[u8; 8] = b"PFSVWAL\0";
const VERSION: u32 = 1;
/// Bytes after which a new file begins.
const FILE_BYTES: u64 = 64 << 20;

/// The end of a log, where changes are added.
#[derive(Debug)]
pub struct Wal {
    folder: PathBuf,
    fsync: Fsync,
    file: File,
    path: PathBuf,
    /// Bytes written to the file.
    written: u64,
    /// Frames that are not yet written.
    pending: Vec<u8>,
    /// The next frame's number.
    next: u64,
    /// Bytes that are written and may not be on disk, and since when.
    unsynced: usize,
    since: Option<Instant>,
    /// Up to which number changes outlast a loss of power.
    durable: u64,
    failed: bool,
}

impl Wal {
    /// Opens the log in `folder`, which is made where missing, and gives `apply` every frame from
    /// number `from` on. A torn end is cut off.
    ///
    /// # Errors
    /// [`WalError`]; nothing has been changed then, beside a cut end.
    pub fn open(
        folder: &Path,
        fsync: Fsync,
        from: u64,
        apply: &mut dyn FnMut(&Frame<'_>),
    ) -> Result<(Self, Recovered), WalError> {
        std::fs::create_dir_all(folder).map_err(io_error("making the folder", folder))?;
        let recovered = recover::recover(folder, from, true, apply)?;
        let next = recovered.last + 1;
        let (path, file, written) = match &recovered.open {
            Some((path, len)) => {
                let options = OpenOptions::new().append(true).open(path);
                (path.clone(), options.map_err(io_error("opening", path))?, *len)
            }
            None => create(folder, next)?,
        };
        let wal = Self {
            folder: folder.to_owned(),
            fsync,
            file,
            path,
            written,
            pending: Vec::new(),
            next,
            unsynced: 0,
            since: None,
            durable: recovered.last,
            failed: false,
        };
        Ok((wal, recovered))
    }

    /// Gives `apply` every frame of the log in `folder` from number `from` on and changes nothing: a torn
    /// end is left out. What is returned takes no changes.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn read(
        folder: &Path,
        from: u64,
        apply: &mut dyn FnMut(&Frame<'_>),
    ) -> Result<(Self, Recovered), WalError> {
        let recovered = recover::recover(folder, from, false, apply)?;
        let wal = Self {
            folder: folder.to_owned(),
            fsync: Fsync::Never,
            file: File::open(folder).map_err(io_error("opening", folder))?,
            path: folder.to_owned(),
            written: 0,
            pending: Vec::new(),
            next: recovered.last + 1,
            unsynced: 0,
            since: None,
            durable: recovered.last,
            failed: true,
        };
        Ok((wal, recovered))
    }

    /// Adds a change and returns its number. It is written by [`Self::commit`].
    ///
    /// # Errors
    /// When the payload is too long, or the log has failed.
    pub fn append(&mut self, kind: u32, payload: &[u8]) -> Result<u64, WalError> {
        if self.failed {
            return Err(WalError::Failed);
        }
        if payload.len() > MAX_PAYLOAD {
            return Err(WalError::TooLong(payload.len()));
        }
        let lsn = self.next;
        frame::write(lsn, kind, payload, &mut self.pending);
        self.next += 1;
        Ok(lsn)
    }

    /// Writes what was added, and syncs it as the policy says.
    ///
    /// # Errors
    /// When writing fails: the changes since the last commit may or may not be there after the
    /// next opening, and none is accepted until then.
    pub fn commit(&mut self) -> Result<(), WalError> {
        if self.failed {
            return Err(WalError::Failed);
        }
        let done = self.write_pending();
        self.failed = done.is_err();
        done
    }

    fn write_pending(&mut self) -> Result<(), WalError> {
        if !self.pending.is_empty() {
            self.file.write_all(&self.pending).map_err(io_error("writing", &self.path))?;
            self.written += self.pending.len() as u64;
            self.unsynced += self.pending.len();
            self.since.get_or_insert_with(Instant::now);
            self.pending.clear();
        }
        let due = match self.fsync {
            Fsync::Always => self.unsynced > 0,
            Fsync::Group { max_bytes, .. } => self.unsynced >= max_bytes || self.is_due(),
            Fsync::Never => false,
        };
        if due {
            self.sync_file()?;
        }
        if self.written >= FILE_BYTES {
            self.sync_file()?;
            (self.path, self.file, self.written) = create(&self.folder, self.next)?;
        }
        Ok(())
    }

    /// Whether a group waits too long. To be asked when nothing else happens; then
    /// [`Self::sync`].
    #[must_use]
    pub fn is_due(&self) -> bool {
        match (self.fsync, self.since) {
            (Fsync::Group { max_wait, .. }, Some(since)) => since.elapsed() >= max_wait,
            _ => false,
        }
    }

    /// Writes what was added, and makes all of it outlast a loss of power.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn sync(&mut self) -> Result<(), WalError> {
        self.commit()?;
        let done = self.sync_file();
        self.failed = done.is_err();
        done
    }

    fn sync_file(&mut self) -> Result<(), WalError> {
        self.file.sync_data().map_err(io_error("syncing", &self.path))?;
        (self.unsynced, self.since) = (0, None);
        self.durable = self.next - 1;
        Ok(())
    }

    /// The number of the last change that was added.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.next - 1
    }

    /// Up to which number changes outlast a loss of power.
    #[must_use]
    pub const fn durable(&self) -> u64 {
        self.durable
    }

    /// Removes files of which all changes have numbers up to `covered`, once those are safe
    /// elsewhere. The numbers go on.
    ///
    /// # Errors
    /// When the folder cannot be read, or a file not be removed.
    pub fn truncate(&mut self, covered: u64) -> Result<(), WalError> {
        self.sync()?;
        if covered >= self.last() && self.written > FILE_HEAD as u64 {
            (self.path, self.file, self.written) = create(&self.folder, self.next)?;
        }
        let files = recover::files(&self.folder)?;
        for pair in files.windows(2) {
            if pair[1].0 <= covered + 1 {
                std::fs::remove_file(&pair[0].1).map_err(io_error("removing", &pair[0].1))?;
            }
        }
        sync_folder(&self.folder)
    }
}

/// A new file for frames from number `first` on, there under its name only when it is whole.
fn create(folder: &Path, first: u64) -> Result<(PathBuf, File, u64), WalError> {
    let path = folder.join(format!("{first:016x}.wal"));
    let fresh = folder.join("new.tmp");
    let mut head = [0; FILE_HEAD];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[16..24].copy_from_slice(&first.to_le_bytes());
    let open = OpenOptions::new().create(true).write(true).truncate(true).mode(0o640).open(&fresh);
    let mut file = open.map_err(io_error("making", &fresh))?;
    file.write_all(&head).map_err(io_error("writing", &fresh))?;
    file.sync_all().map_err(io_error("syncing", &fresh))?;
    std::fs::rename(&fresh, &path).map_err(io_error("naming", &path))?;
    sync_folder(folder)?;
    let file = OpenOptions::new().append(true).open(&path).map_err(io_error("opening", &path))?;
    Ok((path, file, FILE_HEAD as u64))
}

fn sync_folder(folder: &Path) -> Result<(), WalError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("syncing", folder))
}

fn io_error<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> WalError + 'a {
    move |source| WalError::Io { doing, path: path.to_owned(), source }
}
