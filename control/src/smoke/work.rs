//! What is done with a capture, and what must come out of it.

use std::path::PathBuf;

use pfs_dataplane::run::RuleResults;

use super::PROGRAM;
use super::replies::Answers;
use super::sources::Sources;
use super::store::Load;
use super::text::{self, Text};
use super::vectors::Vectors;

/// What a capture's payload is for.
#[derive(Debug)]
pub(super) enum Work {
    /// Digests, the same over every backend.
    Digests,
    /// A text cut into payloads: its token ids.
    Text(Text),
    /// Key/value operations: what the store must hold.
    Load(Load),
    /// Source files in pieces: their trees.
    Sources(Sources),
    /// Vectors: what the collection must hold.
    Vectors(Vectors),
}

impl Work {
    /// First part of the legs' names.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Digests => "capture",
            Self::Text(_) => "text",
            Self::Load(_) => "store",
            Self::Sources(_) => "trees",
            Self::Vectors(_) => "vec",
        }
    }

    /// The program, made ready to run.
    ///
    /// # Errors
    /// What could not be made.
    pub(super) fn program(&self) -> Result<String, String> {
        match self {
            Self::Digests => Ok(PROGRAM.to_owned()),
            Self::Text(_) => Ok(text::PROGRAM.to_owned()),
            Self::Load(load) => Ok(load.program()),
            Self::Sources(sources) => Ok(sources.program()),
            Self::Vectors(vectors) => vectors.program(),
        }
    }

    /// The text, of one that has ids for a sink.
    pub(super) const fn text(&self) -> Option<&Text> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The operations, of work whose store a server is beside.
    pub(super) const fn load(&self) -> Option<&Load> {
        if let Self::Load(load) = self { Some(load) } else { None }
    }

    /// File for the replies that cannot be sent, of work that is answered.
    pub(super) fn replies(&self) -> Option<PathBuf> {
        match self {
            Self::Load(load) => Some(load.replies()),
            Self::Vectors(vectors) => Some(vectors.replies()),
            Self::Digests | Self::Text(_) | Self::Sources(_) => None,
        }
    }

    /// Holds what a leg found, left and answered against what must be; gives what is to be said of it.
    ///
    /// # Errors
    /// What differs.
    pub(super) fn check(
        &self,
        results: &[RuleResults],
        replies: &Answers,
    ) -> Result<Option<String>, String> {
        match self {
            Self::Digests => Ok(None),
            Self::Text(text) => text.check(results).map(|()| None),
            Self::Load(load) => load.check(results, replies).map(|()| None),
            Self::Sources(sources) => sources.check(results).map(|()| None),
            Self::Vectors(vectors) => vectors.check(results, replies).map(Some),
        }
    }
}
