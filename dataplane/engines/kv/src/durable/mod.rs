//! Shards on disk: a log of changes, snapshots, recovery.

mod codec;
mod files;
mod frame;
mod recover;
mod segment;
mod shard;
mod snapshot;
mod sync;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

pub use recover::Recovered;
pub use shard::{DurableShard, Ticket};

pub(crate) use files::{Lock, write_whole};
pub(crate) use frame::scan_frames;
pub(crate) use shard::unix_ms;
pub(crate) use snapshot::read_snapshot;

/// When a write is on disk before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Each [`DurableShard::execute`] syncs what it wrote before it returns.
    Always,
    /// What was written is synced together, by a thread of its own, when the oldest write is
    /// `max_us` microseconds old or `max_bytes` bytes wait.
    Group {
        /// Longest wait in microseconds.
        max_us: u64,
        /// Most bytes that wait.
        max_bytes: u64,
    },
    /// The kernel writes when it likes. A killed process loses nothing, a machine that loses power
    /// does.
    Never,
}

impl Default for Fsync {
    fn default() -> Self {
        Self::Group { max_us: 1000, max_bytes: 1 << 20 }
    }
}

impl Fsync {
    pub(crate) const fn wait(self) -> Duration {
        match self {
            Self::Group { max_us, .. } => Duration::from_micros(max_us),
            _ => Duration::ZERO,
        }
    }
}

/// How a shard is kept on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurableSettings {
    /// When writes are synced.
    pub fsync: Fsync,
    /// Bytes of a segment of the log; it is written full of zeros beforehand.
    pub segment_bytes: u64,
    /// Log bytes since the last snapshot at which a new one is due.
    pub snapshot_bytes: u64,
    /// Recover what can be read of a damaged log, and report what is lost.
    pub salvage: bool,
}

impl Default for DurableSettings {
    fn default() -> Self {
        Self {
            fsync: Fsync::default(),
            segment_bytes: 64 << 20,
            snapshot_bytes: 1 << 30,
            salvage: false,
        }
    }
}

/// Why a store on disk could not be opened or written.
#[derive(Debug, Error)]
pub enum DurableError {
    /// A system call failed.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Another process has the directory.
    #[error("{} is open in process {pid}: stop it, or choose another directory", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process, 0 when it did not say.
        pid: u32,
    },
    /// Something else lies in the directory.
    #[error("{} is no file of a store: move it away, or choose another directory", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A file that must be there is not.
    #[error("{} is missing: the log is not whole; restore it, or open with salvage", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file is damaged where it had been made durable.
    #[error(
        "{} is damaged at byte {at}: {what}; restore it, or open with salvage to keep what is before",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// How.
        what: &'static str,
    },
    /// The directory is of a store with other settings.
    #[error("{} was made with {was} shards, not {asked}: open it with {was}", path.display())]
    Shards {
        /// The directory.
        path: PathBuf,
        /// Shards that it has.
        was: u32,
        /// Shards asked for.
        asked: u32,
    },
    /// A record does not fit the memory bound.
    #[error("recovering {}: {source}", path.display())]
    Recover {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: crate::OpError,
    },
    /// Writing or syncing failed before; nothing more is written.
    #[error("the log could not be made durable earlier: open the store again")]
    Poisoned,
    /// There is no such database, or its name is not allowed.
    #[error("database name {name:?}: 1 to 64 letters, digits, `-`, `_` and inner `.`")]
    Name {
        /// The name.
        name: String,
    },
    /// There are as many databases as there can be.
    #[error("a store has at most {most} databases")]
    Databases {
        /// How many.
        most: usize,
    },
}

impl DurableError {
    /// The system's error when there is one: what kind it is tells a full disk from a broken one.
    fn into_io(self) -> io::Error {
        match self {
            Self::Io { source, .. } => source,
            other => io::Error::other(other),
        }
    }
}

pub(crate) trait IoContext<T> {
    /// Says what was being done when it failed.
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, DurableError>;
}

impl<T, E: Into<io::Error>> IoContext<T> for Result<T, E> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, DurableError> {
        let context =
            |source: E| DurableError::Io { doing, path: path.into(), source: source.into() };
        self.map_err(context)
    }
}
