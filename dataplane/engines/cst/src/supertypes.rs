//! Which supertypes of its grammar each node of a live tree stands for.
//!
//! A supertype is a hidden node of the grammar (`_expression`) that queries may name. Which ones a visible
//! node was wrapped in is known to tree-sitter's tree, and told by its query cursor alone: so a query that
//! asks for each of them is run over the tree.

use std::collections::HashMap;
use std::fmt;

use tree_sitter::{Node, Query, QueryCursor, StreamingIterator, Tree};

use crate::flat::FlattenError;
use crate::languages::{Flags, Grammar};

/// What a live tree told. One per thread; keeps its memory from tree to tree.
pub(crate) struct Supertypes {
    query: Query,
    cursor: QueryCursor,
    /// By the node's address in the tree.
    found: HashMap<usize, Flags, foldhash::fast::RandomState>,
}

impl fmt::Debug for Supertypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supertypes").finish_non_exhaustive()
    }
}

impl Supertypes {
    /// For trees of `grammar`.
    pub(crate) fn new(grammar: &Grammar) -> Result<Self, FlattenError> {
        let supertypes = grammar.supertypes();
        let fail = || FlattenError::Supertypes {
            grammar: grammar.identity().name.clone(),
            supertypes: supertypes.len(),
        };
        if supertypes.len() > Flags::SUPERTYPES_MAX {
            return Err(fail());
        }
        let pattern = |kind: &u16| format!("({}) @it\n", grammar.kind_name(*kind));
        let text: String = supertypes.iter().map(pattern).collect();
        let query = Query::new(grammar.language(), &text).map_err(|_| fail())?;
        Ok(Self { query, cursor: QueryCursor::new(), found: HashMap::default() })
    }

    /// Looks at all nodes of `tree`.
    pub(crate) fn look(&mut self, tree: &Tree, source: &[u8]) {
        self.found.clear();
        let mut matches = self.cursor.matches(&self.query, tree.root_node(), source);
        while let Some(found) = matches.next() {
            for capture in found.captures() {
                let flags = self.found.entry(capture.node.id()).or_default();
                *flags = flags.with(Flags::supertype(found.pattern_index));
            }
        }
    }

    /// Those of a node of the tree that was looked at last.
    pub(crate) fn of(&self, node: &Node<'_>) -> Flags {
        self.found.get(&node.id()).copied().unwrap_or_default()
    }
}
