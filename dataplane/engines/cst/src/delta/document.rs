//! A source that is edited, with its live tree kept up to date.

use std::ops::Range;
use std::sync::Arc;

use tree_sitter::{InputEdit, Point, Tree};

use crate::flat::{Flat, FlattenError, Flattener};
use crate::languages::Grammar;
use crate::parse::{Limits, ParseError, Parser};

/// A source and its live tree. An edit parses again what it may have changed, not the rest.
#[derive(Debug)]
pub struct Document {
    parser: Parser,
    source: Vec<u8>,
    tree: Tree,
}

/// What an edit has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// Bytes of the new source whose nodes differ in structure, as tree-sitter tells; the edited bytes
    /// themselves only if that changed too.
    pub ranges: Vec<Range<usize>>,
}

impl Document {
    /// Parses `source`.
    ///
    /// # Errors
    /// See [`ParseError`].
    pub fn new(
        grammar: &Arc<Grammar>,
        source: Vec<u8>,
        limits: Limits<'_>,
    ) -> Result<Self, ParseError> {
        let mut parser = Parser::new(grammar)?;
        let tree = parser.parse(&source, None, limits)?;
        Ok(Self { parser, source, tree })
    }

    /// The source as it is now.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// Its live tree.
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The grammar.
    pub const fn grammar(&self) -> &Arc<Grammar> {
        self.parser.grammar()
    }

    /// Its tree as columns, for [`Archive::put`](super::Archive::put).
    ///
    /// # Errors
    /// See [`FlattenError`].
    pub fn flatten(&self) -> Result<Flat, FlattenError> {
        Flattener::new(self.parser.grammar()).flatten(&self.tree, &self.source)
    }

    /// Puts `text` in place of the bytes `range`, which is taken into the source where it is not, and
    /// parses again.
    ///
    /// # Errors
    /// See [`ParseError`]; then source and tree are as they were.
    pub fn edit(
        &mut self,
        range: Range<usize>,
        text: &[u8],
        limits: Limits<'_>,
    ) -> Result<Edited, ParseError> {
        let end = range.end.min(self.source.len());
        let start = range.start.min(end);
        let mut source = Vec::with_capacity(self.source.len() - (end - start) + text.len());
        source.extend(&self.source[..start]);
        source.extend(text);
        source.extend(&self.source[end..]);
        let new_end = start + text.len();
        let mut old = self.tree.clone();
        old.edit(&InputEdit {
            start_byte: start,
            old_end_byte: end,
            new_end_byte: new_end,
            start_position: point(&self.source, start),
            old_end_position: point(&self.source, end),
            new_end_position: point(&source, new_end),
        });
        let tree = self.parser.parse(&source, Some(&old), limits)?;
        let ranges = old.changed_ranges(&tree).map(|it| it.start_byte..it.end_byte).collect();
        (self.source, self.tree) = (source, tree);
        Ok(Edited { ranges })
    }
}

/// Row and column of a byte.
fn point(source: &[u8], byte: usize) -> Point {
    let before = &source[..byte];
    let row = memchr::memchr_iter(b'\n', before).count();
    let column = byte - memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    Point { row, column }
}
