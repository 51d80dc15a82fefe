//! What can be wrong with a query.

use std::fmt;

use crate::languages::Flags;

/// Why a query was not taken, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// Byte of the query's text.
    pub offset: usize,
    /// Line, from 1.
    pub line: usize,
    /// Byte of that line, from 1.
    pub column: usize,
    /// What is wrong there.
    pub what: Wrong,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query, line {}, column {}: {}", self.line, self.column, self.what)
    }
}

impl std::error::Error for QueryError {}

impl QueryError {
    pub(super) fn new(text: &[u8], offset: usize, what: Wrong) -> Self {
        let before = &text[..offset.min(text.len())];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        Self { offset, line, column: before.len() - line_start + 1, what }
    }
}

/// What is wrong at a place of a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// Something else had to stand here.
    #[error("{0} is expected")]
    Expected(&'static str),
    /// The grammar has no such kind of node.
    #[error("{grammar} has no node {name}")]
    Kind {
        /// The grammar's name.
        grammar: Box<str>,
        /// The kind's name.
        name: Box<str>,
    },
    /// The grammar has no such field.
    #[error("{grammar} has no field {name}")]
    Field {
        /// The grammar's name.
        grammar: Box<str>,
        /// The field's name.
        name: Box<str>,
    },
    /// A predicate names a capture that no node before it has.
    #[error("no node before has the capture @{0}")]
    Capture(Box<str>),
    /// A predicate's arguments are not what it takes.
    #[error("#{name} {why}")]
    Predicate {
        /// The predicate's name.
        name: Box<str>,
        /// What it takes.
        why: Box<str>,
    },
    /// A supertype of a grammar that has more than can be kept.
    #[error(
        "{name} is one of {grammar}'s {of} supertypes, and trees can keep {}: write an alternation of its kinds, [(a) (b)]",
        Flags::SUPERTYPES_MAX
    )]
    Supertype {
        /// The grammar's name.
        grammar: Box<str>,
        /// The supertype's name.
        name: Box<str>,
        /// Supertypes that it has.
        of: usize,
    },
    /// A node other than a supertype with a subtype.
    #[error("{0} is no supertype")]
    NoSupertype(Box<str>),
    /// A pattern that matches where no node is.
    #[error("the whole pattern may match nothing: leave out its ? or *")]
    Nothing,
    /// A repetition of what may be nothing.
    #[error("this repeats what may be nothing: one of the two quantifiers is too many")]
    Endless,
    /// More captures than a node may have.
    #[error("a node has {CAPTURES_MAX} captures at most")]
    Captures,
    /// Parentheses in parentheses beyond reason.
    #[error("nested deeper than {DEPTH_MAX}")]
    Deep,
    /// Too long for its steps to be numbered.
    #[error("the query has more than {STEPS_MAX} steps")]
    Long,
}

/// Captures of one node of a pattern.
pub(super) const CAPTURES_MAX: usize = 3;
/// Brackets in brackets.
pub(super) const DEPTH_MAX: usize = 200;
/// Steps of a query.
pub(super) const STEPS_MAX: usize = 60_000;
