//! Source to live tree, with bounds on time and size.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tree_sitter::{ParseOptions, Tree};

use crate::languages::Grammar;

/// Bytes that a source may have: positions are 32 bits, and tree-sitter adds to them.
pub const SOURCE_MAX: usize = (u32::MAX >> 1) as usize;

/// Why a source was not parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The grammar's tables are of an ABI that the linked tree-sitter cannot run.
    #[error("cannot parse with {grammar}: {cause}; use a release of the grammar for ABI 13 to 15")]
    Grammar {
        /// The grammar's name.
        grammar: Box<str>,
        /// What tree-sitter says.
        cause: Box<str>,
    },
    /// Longer than [`SOURCE_MAX`].
    #[error("cannot parse {bytes} bytes as {grammar}: {SOURCE_MAX} are the most; split the file")]
    TooLong {
        /// The grammar's name.
        grammar: Box<str>,
        /// Length of the source.
        bytes: usize,
    },
    /// The time given was over first.
    #[error(
        "parsing {bytes} bytes as {grammar} stopped at byte {at} after {seconds:.1} s; give it more time"
    )]
    TimeOut {
        /// The grammar's name.
        grammar: Box<str>,
        /// Length of the source.
        bytes: usize,
        /// Where the parser stood.
        at: usize,
        /// Time given.
        seconds: Seconds,
    },
    /// The caller's flag was raised.
    #[error("parsing {bytes} bytes as {grammar} was cancelled at byte {at}")]
    Cancelled {
        /// The grammar's name.
        grammar: Box<str>,
        /// Length of the source.
        bytes: usize,
        /// Where the parser stood.
        at: usize,
    },
}

/// A time in an error's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.as_secs_f64(), f)
    }
}

/// Bounds of one parse.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits<'a> {
    /// Time that it may take; unbounded if none.
    pub time: Option<Duration>,
    /// Raised by another thread to stop it.
    pub cancel: Option<&'a AtomicBool>,
}

/// Parses sources of one grammar, one after another.
pub struct Parser {
    inner: tree_sitter::Parser,
    grammar: Arc<Grammar>,
}

impl fmt::Debug for Parser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parser").field("grammar", self.grammar.identity()).finish_non_exhaustive()
    }
}

enum Stop {
    Time,
    Cancel,
}

impl Parser {
    /// A parser for `grammar`.
    ///
    /// # Errors
    /// [`ParseError::Grammar`].
    pub fn new(grammar: &Arc<Grammar>) -> Result<Self, ParseError> {
        let mut inner = tree_sitter::Parser::new();
        inner.set_language(grammar.language()).map_err(|error| ParseError::Grammar {
            grammar: grammar.identity().name.clone(),
            cause: error.to_string().into(),
        })?;
        Ok(Self { inner, grammar: Arc::clone(grammar) })
    }

    /// The grammar.
    pub const fn grammar(&self) -> &Arc<Grammar> {
        &self.grammar
    }

    /// Parses `source`, any bytes. What does not fit the grammar becomes error nodes, never an
    /// error. `old` is the tree of an earlier state of this source that was told of the edits
    /// ([`Tree::edit`]); its unchanged parts are taken over.
    ///
    /// # Errors
    /// The source is too long, or a limit was met.
    pub fn parse(
        &mut self,
        source: &[u8],
        old: Option<&Tree>,
        limits: Limits<'_>,
    ) -> Result<Tree, ParseError> {
        let grammar = &self.grammar.identity().name;
        if source.len() > SOURCE_MAX {
            return Err(ParseError::TooLong { grammar: grammar.clone(), bytes: source.len() });
        }
        let end = limits.time.map(|time| Instant::now() + time);
        let (mut at, mut stop) = (0, None);
        let mut progress = |state: &tree_sitter::ParseState| {
            at = state.current_byte_offset();
            if limits.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
                stop = Some(Stop::Cancel);
            } else if end.is_some_and(|end| Instant::now() >= end) {
                stop = Some(Stop::Time);
            }
            if stop.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let options = ParseOptions::new().progress_callback(&mut progress);
        let mut rest = |at: usize, _| source.get(at..).unwrap_or_default();
        let tree = self.inner.parse_with_options(&mut rest, old, Some(options));
        tree.ok_or_else(|| {
            // Else the next source would go on from here.
            self.inner.reset();
            let (grammar, bytes) = (grammar.clone(), source.len());
            match stop {
                Some(Stop::Time) => {
                    let seconds = Seconds(limits.time.unwrap_or_default());
                    ParseError::TimeOut { grammar, bytes, at, seconds }
                }
                _ => ParseError::Cancelled { grammar, bytes, at },
            }
        })
    }
}
