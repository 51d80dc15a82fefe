//! Why a vocabulary file cannot be read or written.

use std::io;
use std::path::PathBuf;

use crate::vocab::SourceError;

/// A vocabulary file that cannot be read, written or trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The operating system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done: `read`, `create`, `map`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The content is of no known format.
    #[error(
        "not a vocabulary: it begins with {start:02x?}; readable are .tiktoken, tokenizer.json, \
         Crayon's JSON and .dat, and .v3"
    )]
    Unrecognized {
        /// The first bytes, at most 8.
        start: Vec<u8>,
    },
    /// The file is larger than any vocabulary is.
    #[error("{format}: {what} is {found}, at most {limit} is read")]
    TooLarge {
        /// Name of the format.
        format: &'static str,
        /// What is too large.
        what: &'static str,
        /// Its size.
        found: u64,
        /// The largest size read.
        limit: u64,
    },
    /// The file ends early.
    #[error("{format}: truncated: {need} bytes are needed, {have} are there; copy the file again")]
    Truncated {
        /// Name of the format.
        format: &'static str,
        /// Bytes that the file says it has.
        need: u64,
        /// Bytes that it has.
        have: u64,
    },
    /// A version that this program does not know.
    #[error("{format}: version {found} is not known, {known} is; write the file again")]
    Version {
        /// Name of the format.
        format: &'static str,
        /// Version in the file.
        found: u32,
        /// Version that is read.
        known: u32,
    },
    /// A v3 file from a machine of the other byte order.
    #[error("v3: written on a machine of the other byte order; write it again on this one")]
    ByteOrder,
    /// The content does not have the hash that the header names.
    #[error("v3: the content's hash differs from the header's: the file is damaged, copy it again")]
    Hash,
    /// A v3 file without a part that is asked for.
    #[error("v3: section `{tag}` is missing; write the file again with this version")]
    NoSection {
        /// The section.
        tag: String,
    },
    /// A v3 section that does not hold what it should.
    #[error("v3: section `{tag}`: {cause}")]
    Section {
        /// The section.
        tag: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A cell of a compiled table that refers to what is not there, or to itself.
    #[error("{table}: cell {cell}: {cause}; the file is damaged or hostile, write it again")]
    Cell {
        /// The table.
        table: &'static str,
        /// Index of the cell.
        cell: usize,
        /// What is wrong with it.
        cause: &'static str,
    },
    /// A place in a text format.
    #[error("{format}: line {line}: {cause}")]
    Line {
        /// Name of the format.
        format: &'static str,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        cause: String,
    },
    /// Not JSON, or not of the shape that the format has.
    #[error("{format}: {source}")]
    Json {
        /// Name of the format.
        format: &'static str,
        /// Where and why, as the parser says it.
        #[source]
        source: serde_json::Error,
    },
    /// A tokenizer of a kind that is not byte-level BPE or longest match.
    #[error("{format}: {found} is not supported; {supported}")]
    Unsupported {
        /// Name of the format.
        format: &'static str,
        /// What the file asks for.
        found: String,
        /// What is supported instead.
        supported: &'static str,
    },
    /// A vocabulary that breaks a rule that all have.
    #[error("{format}: {source}")]
    Source {
        /// Name of the format.
        format: &'static str,
        /// The rule.
        #[source]
        source: SourceError,
    },
    /// Entries that contradict each other or break a rule of the format.
    #[error("{format}: {cause}")]
    Invalid {
        /// Name of the format.
        format: &'static str,
        /// What is wrong.
        cause: String,
    },
}

impl FormatError {
    /// An [`FormatError::Invalid`] in few words.
    pub(crate) fn invalid(format: &'static str, cause: impl Into<String>) -> Self {
        Self::Invalid { format, cause: cause.into() }
    }

    /// For `map_err` of a system call on `path`.
    pub(crate) fn io(
        doing: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}
