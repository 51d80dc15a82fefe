//! One walk over a live tree: its nodes as columns, from which every stored form is made.

use tree_sitter::{Node, Tree, TreeCursor};

use crate::items::Numbers;
use crate::languages::{Flags, Grammar, SYMBOLS_MAX, Symbol, SymbolId};
use crate::supertypes::Supertypes;

/// Nodes that a tree may have: twice as many bits of shape are counted in 32 bits.
pub const NODES_MAX: usize = (u32::MAX >> 2) as usize;

/// Why a live tree could not be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlattenError {
    /// The grammar has more distinct symbols than forms can number.
    #[error("{grammar} has more than {SYMBOLS_MAX} distinct symbols; its trees cannot be stored")]
    Symbols {
        /// The grammar's name.
        grammar: Box<str>,
    },
    /// More than [`NODES_MAX`] nodes.
    #[error("a {grammar} tree has more than {NODES_MAX} nodes; split the file")]
    Nodes {
        /// The grammar's name.
        grammar: Box<str>,
    },
    /// Supertypes were asked for, and the grammar has more than flags tell apart.
    #[error(
        "{grammar} has {supertypes} supertypes, of which at most {} can be kept; leave them out",
        Flags::SUPERTYPES_MAX
    )]
    Supertypes {
        /// The grammar's name.
        grammar: Box<str>,
        /// How many it has.
        supertypes: usize,
    },
    /// A node lies before an earlier one or outside its parent.
    #[error(
        "node {node} of a {grammar} tree is at byte {at}, out of order; was the tree edited and not parsed again?"
    )]
    Disorder {
        /// The grammar's name.
        grammar: Box<str>,
        /// The node, in pre-order.
        node: u32,
        /// Its start.
        at: u32,
    },
    /// The tree ends behind its source.
    #[error(
        "a {grammar} tree ends at byte {end} of a source of {bytes} bytes; give the source it was parsed from"
    )]
    Source {
        /// The grammar's name.
        grammar: Box<str>,
        /// End of the root node.
        end: u32,
        /// Length of the source.
        bytes: usize,
    },
}

/// How far an inner node that is [`Flags::MEASURED`] extends beyond its leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Margin {
    /// The node, in pre-order.
    pub node: u32,
    /// Bytes before its first leaf.
    pub lead: u32,
    /// Bytes behind its last leaf.
    pub tail: u32,
}

/// A tree as columns, nodes in pre-order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flat {
    /// What each node is.
    pub symbols: Vec<SymbolId>,
    /// Shape of the tree: two bits a node, 1 where it begins and 0 where it ends, from bit 0 of the
    /// first word on; zeros behind.
    pub parens: Vec<u64>,
    /// Byte at which each leaf starts; never falls.
    pub starts: Vec<u32>,
    /// Bytes of each leaf whose length does not follow from its symbol.
    pub lengths: Vec<u32>,
    /// Inner nodes that are longer than their leaves, by node.
    pub margins: Vec<Margin>,
    /// Byte behind each line feed of the source.
    pub lines: Vec<u32>,
    /// Length of the source in bytes.
    pub source_len: u32,
}

/// Bytes behind the line feeds of a source.
pub(crate) fn line_starts(source: &[u8]) -> impl Iterator<Item = u32> {
    memchr::memchr_iter(b'\n', source).map(|at| at as u32 + 1)
}

/// An inner node whose subtree is being walked.
#[derive(Clone, Copy)]
struct Open {
    symbol: Symbol,
    node: u32,
    first_leaf: u32,
    start: u32,
    end: u32,
}

/// Walks trees of one grammar; keeps its memory from tree to tree.
pub struct Flattener<'g> {
    grammar: &'g Grammar,
    numbers: Numbers<'g>,
    supertypes: Option<Box<Supertypes>>,
    open: Vec<Open>,
    errors: bool,
    /// End of the leaf before.
    end: u32,
    /// Bits of the shape so far, and those that no word was made of yet.
    bits: usize,
    word: u64,
}

impl std::fmt::Debug for Flattener<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flattener")
            .field("grammar", self.grammar.identity())
            .finish_non_exhaustive()
    }
}

impl<'g> Flattener<'g> {
    /// For trees of `grammar`.
    pub fn new(grammar: &'g Grammar) -> Self {
        let (numbers, supertypes) = (Numbers::new(grammar), None);
        let open = Vec::new();
        Self { grammar, numbers, supertypes, open, errors: false, end: 0, bits: 0, word: 0 }
    }

    /// The same, with what queries for supertypes need: of each node which of them it stands for. It
    /// costs another walk, and symbols that are told apart by it.
    ///
    /// # Errors
    /// [`FlattenError::Supertypes`].
    pub fn with_supertypes(grammar: &'g Grammar) -> Result<Self, FlattenError> {
        let supertypes = Some(Box::new(Supertypes::new(grammar)?));
        Ok(Self { supertypes, ..Self::new(grammar) })
    }

    /// Takes all nodes of `tree`, which was parsed from `source`. Needs no stack for the depth.
    ///
    /// # Errors
    /// See [`FlattenError`].
    pub fn flatten(&mut self, tree: &Tree, source: &[u8]) -> Result<Flat, FlattenError> {
        let mut flat = Flat::default();
        self.flatten_into(tree, source, &mut flat)?;
        Ok(flat)
    }

    /// The same, into columns whose memory is used again.
    ///
    /// # Errors
    /// See [`FlattenError`].
    pub fn flatten_into(
        &mut self,
        tree: &Tree,
        source: &[u8],
        flat: &mut Flat,
    ) -> Result<(), FlattenError> {
        let root = tree.root_node();
        if root.end_byte() > source.len() {
            let (grammar, end) = (self.grammar.identity().name.clone(), root.end_byte() as u32);
            return Err(FlattenError::Source { grammar, end, bytes: source.len() });
        }
        flat.clear();
        self.open.clear();
        (self.end, self.bits, self.word) = (0, 0, 0);
        self.errors = root.has_error();
        if let Some(supertypes) = &mut self.supertypes {
            supertypes.look(tree, source);
        }
        self.walk(&mut tree.walk(), flat)?;
        if !self.bits.is_multiple_of(64) {
            flat.parens.push(self.word);
        }
        // Nodes whose margins differ are closed inner ones first.
        flat.margins.sort_unstable_by_key(|margin| margin.node);
        flat.source_len = source.len() as u32;
        flat.lines.extend(line_starts(source));
        Ok(())
    }

    fn walk(&mut self, cursor: &mut TreeCursor<'_>, flat: &mut Flat) -> Result<(), FlattenError> {
        loop {
            let node = cursor.node();
            let field = cursor.field_id().map_or(0, std::num::NonZero::get);
            if cursor.goto_first_child() {
                self.enter(&node, field, flat);
                continue;
            }
            self.leaf(&node, field, flat)?;
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return Ok(());
                }
                self.leave(flat)?;
            }
        }
    }

    fn flags(&self, kind: u16, node: &Node<'_>) -> Flags {
        let flags = Flags::NONE
            .with_if(self.grammar.is_named(kind), Flags::NAMED)
            .with_if(node.is_extra(), Flags::EXTRA);
        let flags = match &self.supertypes {
            None => flags,
            Some(of) if self.bits == 0 => flags.with(of.of(node)).with(Flags::SUPERTYPES_KNOWN),
            Some(of) => flags.with(of.of(node)),
        };
        if !self.errors {
            return flags;
        }
        flags
            .with_if(node.is_missing(), Flags::MISSING)
            .with_if(node.is_error(), Flags::ERROR)
            .with_if(node.has_error(), Flags::HAS_ERROR)
    }

    fn enter(&mut self, node: &Node<'_>, field: u16, flat: &mut Flat) {
        let kind = node.kind_id();
        let open = Open {
            symbol: Symbol::new(kind, field, self.flags(kind, node)),
            node: flat.symbols.len() as u32,
            first_leaf: flat.starts.len() as u32,
            start: node.start_byte() as u32,
            end: node.end_byte() as u32,
        };
        self.open.push(open);
        self.paren(true, flat);
        // Known when its last leaf is.
        flat.symbols.push(SymbolId::from_bits(0));
    }

    #[inline]
    fn paren(&mut self, opens: bool, flat: &mut Flat) {
        self.word |= u64::from(opens) << (self.bits % 64);
        self.bits += 1;
        if self.bits.is_multiple_of(64) {
            flat.parens.push(std::mem::take(&mut self.word));
        }
    }

    fn leaf(&mut self, node: &Node<'_>, field: u16, flat: &mut Flat) -> Result<(), FlattenError> {
        let (kind, start, end) = (node.kind_id(), node.start_byte() as u32, node.end_byte() as u32);
        if flat.symbols.len() >= NODES_MAX {
            let grammar = self.grammar.identity().name.clone();
            return Err(FlattenError::Nodes { grammar });
        }
        if start < self.end || end < start {
            return Err(self.disorder(flat.symbols.len() as u32, start));
        }
        let flags = self.flags(kind, node).with(Flags::LEAF);
        let plain = Symbol::new(kind, field, flags);
        let measured = u32::from(self.grammar.implied_len(plain)) != end - start;
        let symbol = if measured {
            flat.lengths.push(end - start);
            plain.with_flags(flags.with(Flags::MEASURED))
        } else {
            plain
        };
        let id = self.intern(symbol)?;
        flat.symbols.push(id);
        self.paren(true, flat);
        self.paren(false, flat);
        flat.starts.push(start);
        self.end = end;
        Ok(())
    }

    fn leave(&mut self, flat: &mut Flat) -> Result<(), FlattenError> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        self.paren(false, flat);
        let lead = flat.starts[open.first_leaf as usize].checked_sub(open.start);
        let (Some(lead), Some(tail)) = (lead, open.end.checked_sub(self.end)) else {
            return Err(self.disorder(open.node, open.start));
        };
        let mut symbol = open.symbol;
        if lead != 0 || tail != 0 {
            symbol = symbol.with_flags(symbol.flags().with(Flags::MEASURED));
            flat.margins.push(Margin { node: open.node, lead, tail });
        }
        flat.symbols[open.node as usize] = self.intern(symbol)?;
        Ok(())
    }

    #[inline]
    fn intern(&mut self, symbol: Symbol) -> Result<SymbolId, FlattenError> {
        self.numbers
            .get(symbol)
            .ok_or_else(|| FlattenError::Symbols { grammar: self.grammar.identity().name.clone() })
    }

    #[cold]
    fn disorder(&self, node: u32, at: u32) -> FlattenError {
        FlattenError::Disorder { grammar: self.grammar.identity().name.clone(), node, at }
    }
}

impl Flat {
    fn clear(&mut self) {
        self.symbols.clear();
        self.parens.clear();
        self.starts.clear();
        self.lengths.clear();
        self.margins.clear();
        self.lines.clear();
        self.source_len = 0;
    }

    /// Nodes.
    pub const fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Never, of a tree: there is always a root.
    pub const fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }
}
