//! Why a blob cannot be had, or does not do what is asked of it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Digest;

/// What goes wrong with a blob.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BlobError {
    /// No blob can be like that.
    #[error("no blob can be like that: {0}")]
    Identity(String),
    /// A system call failed.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The disk has no room for the region.
    #[error(
        "allocating {bytes} bytes for {}: {source}; free some space, or make the blob smaller",
        path.display()
    )]
    NoSpace {
        /// The region's file.
        path: PathBuf,
        /// Bytes asked for.
        bytes: u64,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel gives no memory.
    #[error("mapping {bytes} bytes of memory: {source}; make the blob smaller")]
    NoMemory {
        /// Bytes asked for.
        bytes: u64,
        /// The kernel's answer.
        source: io::Error,
    },
    /// There is no blob.
    #[error("{path} holds no blob; `pfs blob create {path}` makes one", path = .0.display())]
    Missing(PathBuf),
    /// There is one already.
    #[error("{} holds a blob already; open that, or remove the folder first", .0.display())]
    Exists(PathBuf),
    /// Files lie there that are no blob's.
    #[error("{} is no blob's; choose an empty folder", .0.display())]
    Foreign(PathBuf),
    /// Another process writes it.
    #[error("{}: process {pid} has it open for writing; wait for it to end", path.display())]
    Locked {
        /// The blob's folder.
        path: PathBuf,
        /// Who writes; 0 if unknown.
        pid: u32,
    },
    /// Space cannot be given back while others may read it.
    #[error(
        "{}: another process reads the blob, so that no space can be given back; try again when it \
         has ended",
        .0.display()
    )]
    Readers(PathBuf),
    /// It was opened for reading.
    #[error("the blob is open for reading only")]
    ReadOnly,
    /// What is there is not what it should be.
    #[error(
        "{}, byte {at}: {what}; `pfs blob fsck --repair` keeps what is whole",
        path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// What says what the blob is, is not what it should be.
    #[error("{}: {what}; bring it back from a copy, or remove the folder and make the blob anew", path.display())]
    Header {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// It is not the one that was asked for.
    #[error("the blob has {found}, not {asked}")]
    Other {
        /// What it has.
        found: String,
        /// What was wanted.
        asked: String,
    },
    /// No stretch of free space is long enough.
    #[error(
        "the blob is full: {need} bytes are wanted and {free} are free, {longest} in one stretch; \
         `pfs blob gc` would give back {garbage}, `pfs blob rm` more"
    )]
    Full {
        /// Bytes to be stored.
        need: u64,
        /// Free bytes.
        free: u64,
        /// The longest free stretch.
        longest: u64,
        /// Bytes that nothing refers to.
        garbage: u64,
    },
    /// A chunk must have at least a byte and less than 4 GiB.
    #[error("a chunk of {0} bytes: 1 to 4,294,967,295 can be stored")]
    ChunkSize(u64),
    /// No chunk has that digest.
    #[error("no chunk has the digest {0}")]
    Unknown(Digest),
    /// A chunk was released more often than it was retained.
    #[error("the chunk {0} is released more often than it was retained")]
    NotRetained(Digest),
    /// No object has that name.
    #[error("no object is called {0}; `pfs blob list` names all")]
    NoObject(String),
    /// A name that no object can have.
    #[error("an object's name has 1 to {max} bytes, not {0}", max = super::objects::NAME_MAX)]
    ObjectName(usize),
    /// Reading what is to be stored, or writing what is got, failed.
    #[error("reading or writing an object: {0}")]
    Transfer(#[from] io::Error),
    /// A failed write left the disk's state unknown.
    #[error("an earlier sync failed ({0}); open the blob again, what was synced before is there")]
    Poisoned(String),
}

impl BlobError {
    pub(super) fn damaged(path: &Path, at: u64, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), at, what: what.into() }
    }
}

/// Says what was being done when a call failed.
pub(super) trait Context<T> {
    /// `doing` to `path`.
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, BlobError>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, BlobError> {
        self.map_err(|source| BlobError::Io { doing, path: path.to_owned(), source: source.into() })
    }
}
