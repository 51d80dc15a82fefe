//! tree-sitter's queries over stored trees: the same matches as over the live one, with nothing parsed.
//!
//! ```
//! # #[cfg(feature = "rust")] {
//! use std::ops::ControlFlow;
//!
//! use pfs_cst::hot::HotTree;
//! use pfs_cst::languages::Registry;
//! use pfs_cst::parse::{Limits, Parser};
//! use pfs_cst::query::{Query, Search};
//!
//! let source = b"fn a() {} fn b() { a() }";
//! let grammar = Registry::shared().get("rust").ok_or("no grammar")?;
//! let tree = Parser::new(&grammar)?.parse(source, None, Limits::default())?;
//! let tree = HotTree::new(&grammar, &tree, source)?;
//! let query = Query::new(&grammar, "(function_item name: (_) @name)")?;
//! let mut names = Vec::new();
//! Search::new(&query).matches(&tree, source, |found| {
//!     names.extend(found.captures().map(|it| it.node.text(source)));
//!     ControlFlow::Continue(())
//! })?;
//! assert_eq!(names, [b"a", b"b"]);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How
//!
//! Of each code (a symbol's number in a byte) it is known which patterns may begin there, so a search runs
//! through the column of codes and stops at those alone. A pattern of one node is matched by its symbol:
//! kind, field and flags are one number. For others states move through the part of the tree under that
//! node (or among its siblings), and only where some state waits. `docs/CST_QUERIES.md` says what
//! of the language is taken, and where matches may differ.

mod error;
mod machine;
mod parse;
mod plan;
mod predicate;
mod search;
mod step;
mod text;

use std::sync::Arc;

pub use error::{QueryError, Wrong};
pub use predicate::{Argument, Directive};
pub use search::{Capture, Match, Outcome, Search, WrongTree};

use crate::languages::{Flags, Grammar};
use parse::Reader;
use predicate::Predicate;
use step::{Entry, Scope, Step};

/// A compiled query. Threads share it; each has a [`Search`] of its own.
#[derive(Debug)]
pub struct Query {
    grammar: Arc<Grammar>,
    steps: Vec<Step>,
    patterns: Vec<Pattern>,
    captures: Vec<Box<str>>,
}

#[derive(Debug)]
struct Pattern {
    offset: usize,
    entries: Vec<Entry>,
    scope: Scope,
    predicates: Vec<Predicate>,
}

impl Query {
    /// Compiles the text of a query file for trees of `grammar`.
    ///
    /// # Errors
    /// What is wrong with the text, and where. A pattern that is well formed but can match nothing
    /// in this grammar is none: it matches nothing.
    pub fn new(grammar: &Arc<Grammar>, text: &str) -> Result<Self, QueryError> {
        let mut reader = Reader::new(grammar, text);
        let parsed = reader.patterns()?;
        let (steps, captures) = (reader.steps, reader.captures);
        let patterns = parsed.into_iter().map(|parsed| Pattern {
            offset: parsed.offset,
            scope: step::scope(&steps, &parsed.entries),
            entries: parsed.entries,
            predicates: parsed.predicates,
        });
        let patterns = patterns.collect();
        Ok(Self { grammar: Arc::clone(grammar), steps, patterns, captures })
    }

    /// Whether it asks for supertypes: then trees must have been taken with them
    /// ([`Flattener::with_supertypes`](crate::flat::Flattener::with_supertypes)).
    pub fn asks_for_supertypes(&self) -> bool {
        self.steps.iter().any(|step| step.supertype != Flags::NONE)
    }

    /// The grammar that it is for.
    pub const fn grammar(&self) -> &Arc<Grammar> {
        &self.grammar
    }

    /// Names of captures, without the `@`, by number.
    pub fn capture_names(&self) -> &[Box<str>] {
        &self.captures
    }

    /// Patterns.
    pub const fn pattern_count(&self) -> usize {
        self.patterns.len()
    }

    /// Byte of the query's text at which a pattern begins.
    pub fn pattern_offset(&self, pattern: usize) -> Option<usize> {
        self.patterns.get(pattern).map(|pattern| pattern.offset)
    }

    /// A pattern's predicates that are not about text, passed through: `#set!`, `#is?` and whatever
    /// else is written.
    pub fn directives(&self, pattern: usize) -> impl Iterator<Item = &Directive> {
        let predicates = self.patterns.get(pattern).map_or(&[][..], |it| &it.predicates[..]);
        predicates.iter().filter_map(|predicate| match predicate {
            Predicate::Other(directive) => Some(directive),
            Predicate::Text(_) => None,
        })
    }
}
