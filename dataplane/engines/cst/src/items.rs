//! A tree's nodes one by one: taken from columns, and put into columns.

use crate::flat::{Flat, Margin};
use crate::languages::{Grammar, Symbol, SymbolId};

/// A node as streams of nodes tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) symbol: Symbol,
    /// Depth, from the tree's root.
    pub(crate) depth: u32,
    /// Leaf: its start. Inner node: end of the leaf before it.
    pub(crate) start: u32,
    /// Leaf: its end.
    pub(crate) end: u32,
    /// Inner node: bytes before its first leaf and behind its last one.
    pub(crate) lead: u32,
    pub(crate) tail: u32,
    /// Leaf: inner nodes that end with it.
    pub(crate) ends: u32,
}

/// The nodes of a tree in pre-order.
pub(crate) struct Items<'a> {
    grammar: &'a Grammar,
    flat: &'a Flat,
    node: usize,
    leaf: usize,
    measured: usize,
    margin: usize,
    bit: usize,
    depth: u32,
    end: u32,
}

impl<'a> Items<'a> {
    /// Of `flat`, whose symbols `grammar` numbered.
    pub(crate) const fn new(grammar: &'a Grammar, flat: &'a Flat) -> Self {
        let (node, leaf, measured, margin, bit) = (0, 0, 0, 0, 0);
        Self { grammar, flat, node, leaf, measured, margin, bit, depth: 0, end: 0 }
    }

    fn opens(&self, bit: usize) -> bool {
        self.flat.parens.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    /// Zeros from the next bit on: nodes that end.
    fn closed(&mut self) -> u32 {
        let (from, upto) = (self.bit, 2 * self.flat.len());
        while self.bit < upto && !self.opens(self.bit) {
            self.bit += 1;
        }
        (self.bit - from) as u32
    }
}

impl Iterator for Items<'_> {
    type Item = (SymbolId, Item);

    #[inline]
    fn next(&mut self) -> Option<(SymbolId, Item)> {
        let id = *self.flat.symbols.get(self.node)?;
        let (symbol, implied) = self.grammar.symbol_and_len(id);
        let (depth, start) = (self.depth, self.end);
        let mut item = Item { symbol, depth, start, end: 0, lead: 0, tail: 0, ends: 0 };
        self.bit += 1;
        if self.opens(self.bit) {
            if let Some(margin) = self.flat.margins.get(self.margin)
                && margin.node as usize == self.node
            {
                (item.lead, item.tail) = (margin.lead, margin.tail);
                self.margin += 1;
            }
            self.depth += 1;
        } else {
            item.start = self.flat.starts[self.leaf];
            self.leaf += 1;
            let mut len = u32::from(implied);
            if id.is_measured_leaf() {
                len = self.flat.lengths[self.measured];
                self.measured += 1;
            }
            item.end = item.start + len;
            self.end = item.end;
            item.ends = self.closed() - 1;
            self.depth -= item.ends;
        }
        self.node += 1;
        Some((id, item))
    }
}

/// Numbers symbols by a grammar's table, mostly without asking it.
pub(crate) struct Numbers<'g> {
    grammar: &'g Grammar,
    /// Recent symbols and their numbers, by a hash of the symbol.
    recent: Box<[(u64, SymbolId)]>,
}

/// Symbols that are kept: most trees have fewer.
const RECENT: usize = 512;

impl<'g> Numbers<'g> {
    pub(crate) fn new(grammar: &'g Grammar) -> Self {
        let recent = vec![(u64::MAX, SymbolId::from_bits(0)); RECENT].into_boxed_slice();
        Self { grammar, recent }
    }

    /// The number of `symbol`; none when the grammar's table is full.
    #[inline]
    pub(crate) fn get(&mut self, symbol: Symbol) -> Option<SymbolId> {
        let bits = symbol.bits();
        let slot = (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize % RECENT;
        let (key, id) = self.recent[slot];
        if key == bits {
            return Some(id);
        }
        let id = self.grammar.intern(symbol)?;
        self.recent[slot] = (bits, id);
        Some(id)
    }
}

/// Makes columns of nodes that are told in pre-order, and refuses what is no tree.
#[derive(Debug)]
pub(crate) struct Builder {
    flat: Flat,
    bits: usize,
    /// End of the last leaf.
    end: u32,
    /// Nodes that have not ended.
    open: u32,
    /// The most that an inner node since the last leaf starts before its first one.
    lead: u32,
}

impl Builder {
    /// For a tree of a source of this length, of as many nodes if it is what it says: room is made for
    /// no more than a source of that length can have.
    pub(crate) fn new(source_len: u32, nodes: usize) -> Self {
        let nodes = nodes.min(2 * source_len as usize);
        let flat = Flat {
            source_len,
            symbols: Vec::with_capacity(nodes),
            parens: Vec::with_capacity(nodes / 32 + 1),
            // Seven nodes in ten are leaves.
            starts: Vec::with_capacity(nodes / 4 * 3),
            lengths: Vec::with_capacity(nodes / 3),
            ..Flat::default()
        };
        Self { flat, bits: 0, end: 0, open: 0, lead: 0 }
    }

    /// End of the last leaf, and the depth of the next node.
    pub(crate) const fn place(&self) -> (u32, u32) {
        (self.end, self.open)
    }

    /// Adds a node, which has number `id`; none if it cannot lie there.
    #[inline]
    pub(crate) fn push(&mut self, id: SymbolId, item: &Item) -> Option<()> {
        let node = self.flat.symbols.len() as u32;
        self.flat.symbols.push(id);
        self.bit(true);
        self.open += 1;
        let Item { symbol, start, end, lead, tail, ends, .. } = *item;
        if !symbol.is_leaf() {
            if symbol.is_measured() {
                self.flat.margins.push(Margin { node, lead, tail });
            }
            self.lead = self.lead.max(lead);
            return (tail <= self.flat.source_len).then_some(());
        }
        if self.lead > start || end > self.flat.source_len || start < self.end || end < start {
            return None;
        }
        self.lead = 0;
        self.flat.starts.push(start);
        if symbol.is_measured() {
            self.flat.lengths.push(end - start);
        }
        self.open = self.open.checked_sub(ends.checked_add(1)?)?;
        (0..=ends).for_each(|_| self.bit(false));
        self.end = end;
        Some(())
    }

    fn bit(&mut self, opens: bool) {
        if self.bits.is_multiple_of(64) {
            self.flat.parens.push(0);
        }
        if let Some(word) = self.flat.parens.last_mut() {
            *word |= u64::from(opens) << (self.bits % 64);
        }
        self.bits += 1;
    }

    /// The tree, with where its lines start; none if its root has not ended.
    pub(crate) fn finish(mut self, lines: Vec<u32>) -> Option<Flat> {
        self.flat.lines = lines;
        (self.open == 0 && !self.flat.is_empty()).then_some(self.flat)
    }
}
