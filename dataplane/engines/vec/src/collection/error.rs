//! What can go wrong with a collection.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::metric::BadVector;
use crate::wal::WalError;

/// A block of a segment whose bytes are not those that were written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "segment {segment:016x} is damaged in its {region}, block {block} at byte {at}; the other \
     segments are whole; restore it from a backup"
)]
pub struct Damage {
    /// Which segment.
    pub segment: u64,
    /// Which of its regions.
    pub region: &'static str,
    /// Which block of the file.
    pub block: u64,
    /// Where the block begins in the file.
    pub at: u64,
}

/// A collection that cannot do what it was asked for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The log cannot be used.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// A vector that the collection cannot have.
    #[error(transparent)]
    Vector(#[from] BadVector),
    /// A part of the collection is damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// Another process writes the collection.
    #[error("{path} is written by {}; a collection has one writer: let that end first", holder(*.pid))]
    Locked {
        /// The collection's folder.
        path: PathBuf,
        /// Who writes it; 0 when it is not known who.
        pid: u32,
    },
    /// A reader could not see one moment of the collection: who writes it replaced files all the time.
    #[error("{0} changed each time it was opened to be read; try again")]
    Restless(PathBuf),
    /// The collection was opened to be read.
    #[error("{0} is open to be read, by any number of processes; open it to write")]
    ReadOnly(PathBuf),
    /// There is a collection already.
    #[error("{0} holds a collection already; open it, or choose another folder")]
    Exists(PathBuf),
    /// There is no collection.
    #[error("{0} holds no collection; create one there first")]
    Missing(PathBuf),
    /// A file of the collection has not what it must have.
    #[error("{path} cannot be used: {why}; restore it from a backup")]
    Broken {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Settings that no collection can have.
    #[error("{0}")]
    Settings(&'static str),
    /// An id that is empty or too long.
    #[error("an id of {0} bytes; ids have 1 to 65535")]
    Id(usize),
    /// A number that is not one of those allowed.
    #[error("{what} is {value}; it must be a finite number")]
    Number {
        /// Which field.
        what: &'static str,
        /// What it is.
        value: f32,
    },
    /// Something is too long.
    #[error("{what} of {len} bytes; the most is {most}")]
    TooLong {
        /// What.
        what: &'static str,
        /// Its bytes.
        len: usize,
        /// The most there may be.
        most: usize,
    },
    /// An association names a record that is not there.
    #[error("there is no record {0:?}; associations are between records that are there")]
    Unknown(String),
    /// No raw vectors are kept, so nothing can be computed exactly.
    #[error("the collection keeps no raw vectors, so nothing can be computed exactly")]
    NoRaw,
    /// A query as of a time whose versions are no longer there.
    #[error("versions that ended before {since} µs are forgotten; asked as of {asked} µs")]
    Forgotten {
        /// The time that was asked for.
        asked: u64,
        /// From when on versions are kept.
        since: u64,
    },
    /// A segment that was built finds too little of what it holds, so it was not taken.
    #[error(
        "the new segment finds {seen:.3} of what an exact search does, {least:.3} is the least"
    )]
    Recall {
        /// The share that it finds.
        seen: f32,
        /// The share that it must find.
        least: f32,
    },
    /// A transaction that is not open.
    #[error("there is no open transaction {0}")]
    Transaction(u64),
}

fn holder(pid: u32) -> String {
    match pid {
        0 => "another process".to_owned(),
        pid => format!("process {pid}"),
    }
}

/// Says what was being done with which file when the system refused.
pub(crate) trait IoContext<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Io { doing, path: path.to_owned(), source })
    }
}
