//! What can be wrong with a store.

use std::io;
use std::path::{Path, PathBuf};

use crate::cold::ColdError;
use crate::flat::FlattenError;
use crate::parse::ParseError;

/// Why a store refused.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("{doing} {path}: {source}{remedy}", path = path.display(), remedy = remedy(source))]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process, or another handle of this one, writes to it.
    #[error("store {path} is being written to by another; wait for it, or open to read", path = path.display())]
    Locked {
        /// The store's folder.
        path: PathBuf,
    },
    /// A folder of something else.
    #[error("{path} is no store of syntax trees and not empty; give a new folder", path = path.display())]
    NotAStore {
        /// The folder.
        path: PathBuf,
    },
    /// A change was asked of a store opened to read.
    #[error("store {path} was opened to read; open it to write", path = path.display())]
    ReadOnly {
        /// The store's folder.
        path: PathBuf,
    },
    /// A segment, or a tree in it, cannot be read.
    #[error("{path}: {source}{remedy}", path = path.display(), remedy = full(source))]
    Segment {
        /// The segment's file.
        path: PathBuf,
        /// What is wrong with it.
        source: ColdError,
    },
    /// A tree could not be frozen.
    #[error(transparent)]
    Cold(#[from] ColdError),
    /// A source could not be parsed.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A parsed tree could not be taken.
    #[error(transparent)]
    Flatten(#[from] FlattenError),
    /// No grammar for a source.
    #[error("no grammar of this build is for {name}; name its language")]
    Language {
        /// The tree's name, or the language asked for.
        name: String,
    },
    /// A tree's source was not kept.
    #[error("the source of {name} was not kept; add it again by reference or as a copy")]
    NoSource {
        /// The tree's name.
        name: String,
    },
    /// The file that a tree refers to is not what it was.
    #[error("{file} is not what {name} was made from: {how}; add it again", file = file.display())]
    SourceChanged {
        /// The tree's name.
        name: String,
        /// The source's file.
        file: PathBuf,
        /// In what.
        how: &'static str,
    },
    /// Other threads replaced segments faster than this one could look.
    #[error("{name} was moved again and again while it was read; try again")]
    Busy {
        /// The tree's name.
        name: String,
    },
}

impl StoreError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { doing, path, source }
    }

    pub(super) fn segment(path: &Path) -> impl FnOnce(ColdError) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Segment { path, source }
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "; make room and flush again, nothing is lost until the store is closed"
        }
        io::ErrorKind::PermissionDenied => "; change its owner or mode",
        _ => "",
    }
}

fn full(error: &ColdError) -> &'static str {
    match error {
        ColdError::Io { source, .. } => remedy(source),
        _ => "",
    }
}
