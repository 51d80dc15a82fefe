//! What can be wrong with a cold file.

use std::io;
use std::path::PathBuf;

use crate::languages::Identity;

/// Why a cold tree was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum ColdError {
    /// The system refused.
    #[error("{doing} {path}: {source}", path = path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// zstd refused.
    #[error("cannot {doing}: {source}")]
    Zstd {
        /// What was being done.
        doing: &'static str,
        /// What zstd says.
        source: io::Error,
    },
    /// Not a file of trees, or one whose end is missing.
    #[error("not a whole file of syntax trees: {why}; if it was cut, write it again")]
    NotTrees {
        /// What is not as it should be.
        why: &'static str,
    },
    /// Of another version of this format.
    #[error("file of syntax trees of version {found}; this build reads {wanted}")]
    Version {
        /// The version told.
        found: u32,
        /// The version that this build reads.
        wanted: u32,
    },
    /// A part's checksum does not fit its bytes.
    #[error("checksum of {part} is wrong: the file was changed or its disk fails; write it again")]
    Checksum {
        /// Which part: index, or tree and block.
        part: String,
    },
    /// A part with a right checksum that means nothing.
    #[error("{part} is malformed: it was not written by this program")]
    Malformed {
        /// Which part.
        part: String,
    },
    /// The grammar at hand is not the one that the trees were stored with.
    #[error(
        "tree of {stored}, but the grammar at hand is {at_hand}; use that release, or parse its source again"
    )]
    Grammar {
        /// What the file names.
        stored: Box<Identity>,
        /// What was given.
        at_hand: Box<Identity>,
    },
    /// Compressed with a dictionary that this build does not have.
    #[error("trees of {grammar} need dictionary {id:016x}; use the build that wrote them")]
    Dictionary {
        /// The grammar's name.
        grammar: Box<str>,
        /// Hash of the dictionary.
        id: u64,
    },
    /// The tree's positions follow from its source, and that is not the one given.
    #[error(
        "source of {bytes} bytes is not the one that the tree was stored with; give the unchanged file"
    )]
    Source {
        /// Length of the source given.
        bytes: usize,
    },
    /// A table of symbols is full.
    #[error("the table of symbols of {grammar} is full: its trees need another file")]
    Symbols {
        /// The grammar's name.
        grammar: Box<str>,
    },
    /// Two trees of one name in a file.
    #[error("there is a tree named {name} already; remove it first, or take another name")]
    Twice {
        /// The name.
        name: String,
    },
}

impl ColdError {
    pub(crate) fn malformed(part: impl Into<String>) -> Self {
        Self::Malformed { part: part.into() }
    }
}
