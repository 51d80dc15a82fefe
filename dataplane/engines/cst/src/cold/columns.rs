//! A tree cut into blocks of nodes, each as columns of bytes.
//!
//! | column | entries |
//! |---|---|
//! | codes | a byte a node: its symbol, see [`Code`] |
//! | ends | per leaf: inner nodes that end with it |
//! | gaps | per leaf: bytes since the leaf before. With the source at hand: pairs of leaves skipped and bytes, of wrong guesses |
//! | lengths | per measured leaf: its bytes, or pairs as of gaps |
//! | rest | per node that needs it: symbol number `u16` of an escape; lead and tail of a measured inner node |
//! | links | ancestors: count, then of each the distance to the one below, of those that a node of the block has as parent; open nodes: count, then of each the distance to the one before, its children, nodes, start and end, of those that end behind the block |
//!
//! Numbers are LEB128 but for codes and escapes (little endian).

use super::predict;
use crate::flat::{Flat, Margin};
use crate::languages::{Code, Grammar, Symbol, SymbolId};
use crate::varint::push;

/// Columns of a block. Lengths are the one behind gaps.
pub(crate) const COLUMNS: usize = 6;
pub(crate) const CODES: usize = 0;
pub(crate) const ENDS: usize = 1;
pub(crate) const GAPS: usize = 2;
pub(crate) const REST: usize = 4;
pub(crate) const LINKS: usize = 5;

/// A node that ends behind its block.
#[derive(Clone, Copy, Debug)]
struct Unclosed {
    node: u32,
    children: u32,
    nodes: u32,
    start: u32,
    end: u32,
}

/// One block before compression.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// End of the last leaf before it.
    pub(crate) base: u32,
    /// Depth of its first node.
    pub(crate) depth: u32,
    pub(crate) columns: [Vec<u8>; COLUMNS],
    unclosed: Vec<Unclosed>,
    /// Ancestors of its first node, nearest first, as far as they are parents in it.
    ancestors: Vec<u32>,
    /// Leaves since the last wrong guess of a gap, and measured ones since that of a length.
    right: [u32; 2],
}

struct Open {
    node: u32,
    children: u32,
    first_leaf: usize,
    lead: u32,
    tail: u32,
}

/// Cuts `flat` into blocks of `block_nodes`. With `source`, positions are left to guesses from it.
pub(crate) fn cut(
    grammar: &Grammar,
    flat: &Flat,
    source: Option<&[u8]>,
    block_nodes: usize,
) -> Vec<Block> {
    let mut cutter = Cutter {
        grammar,
        flat,
        source,
        blocks: Vec::with_capacity(flat.len().div_ceil(block_nodes)),
        block_nodes,
        open: Vec::new(),
        lowest: 0,
        end: 0,
        leaf: 0,
        measured: 0,
        margin: 0,
        bit: 0,
    };
    for node in 0..flat.len() {
        cutter.node(node);
    }
    for (number, block) in cutter.blocks.iter_mut().enumerate() {
        block.link((number * block_nodes) as u32);
    }
    cutter.blocks
}

struct Cutter<'a> {
    grammar: &'a Grammar,
    flat: &'a Flat,
    source: Option<&'a [u8]>,
    blocks: Vec<Block>,
    block_nodes: usize,
    open: Vec<Open>,
    /// Least depth of a node in the block so far.
    lowest: usize,
    /// End of the last leaf.
    end: u32,
    leaf: usize,
    measured: usize,
    margin: usize,
    bit: usize,
}

impl Cutter<'_> {
    fn node(&mut self, node: usize) {
        if node.is_multiple_of(self.block_nodes) {
            let (base, depth) = (self.end, self.open.len() as u32);
            self.blocks.push(Block { base, depth, ..Block::default() });
            self.lowest = self.open.len() + 1;
        }
        self.note_parent();
        if let Some(parent) = self.open.last_mut() {
            parent.children += 1;
        }
        let id = self.flat.symbols[node];
        let is_leaf = self.flat.parens[(self.bit + 1) / 64] >> ((self.bit + 1) % 64) & 1 == 0;
        let at = self.blocks.len() - 1;
        let block = &mut self.blocks[at];
        let code = Code::of(id);
        block.columns[CODES].push(code.0);
        if code.is_escape() {
            block.columns[REST].extend(id.bits().to_le_bytes());
        }
        self.bit += 1;
        if is_leaf {
            self.leaf(id);
            self.ends(node);
        } else {
            let margin = self.take_margin(node as u32);
            let Margin { node, lead, tail } = margin;
            self.open.push(Open { node, children: 0, first_leaf: self.leaf, lead, tail });
        }
    }

    /// The parents that lie before the block, in the order in which its nodes need them.
    fn note_parent(&mut self) {
        let depth = self.open.len();
        if depth < self.lowest {
            self.lowest = depth;
            if let (Some(parent), Some(block)) = (self.open.last(), self.blocks.last_mut()) {
                block.ancestors.push(parent.node);
            }
        }
    }

    fn take_margin(&mut self, node: u32) -> Margin {
        match self.flat.margins.get(self.margin) {
            Some(margin) if margin.node == node => {
                self.margin += 1;
                let at = self.blocks.len() - 1;
                let rest = &mut self.blocks[at].columns[REST];
                push(rest, u64::from(margin.lead));
                push(rest, u64::from(margin.tail));
                *margin
            }
            _ => Margin { node, ..Margin::default() },
        }
    }

    fn leaf(&mut self, id: SymbolId) {
        let start = self.flat.starts[self.leaf];
        self.leaf += 1;
        let at = self.blocks.len() - 1;
        let block = &mut self.blocks[at];
        let guess = self.source.map(|source| predict::gap(source, self.end as usize));
        block.position(0, start - self.end, guess);
        self.end = start;
        if !id.is_measured_leaf() {
            self.end += u32::from(self.grammar.symbol_and_len(id).1);
            return;
        }
        let length = self.flat.lengths[self.measured];
        self.measured += 1;
        let guess = self.source.map(|source| predict::length(source, start as usize));
        block.position(1, length, guess);
        self.end += length;
    }

    fn ends(&mut self, node: usize) {
        self.bit += 1;
        let mut count = 0;
        while self.flat.parens.get(self.bit / 64).is_some_and(|w| w >> (self.bit % 64) & 1 == 0) {
            let Some(open) = self.open.pop() else { break };
            (self.bit, count) = (self.bit + 1, count + 1);
            let began = open.node as usize / self.block_nodes;
            if began + 1 < self.blocks.len() {
                let Open { node: first, children, first_leaf, lead, tail } = open;
                let (start, end) = (self.flat.starts[first_leaf] - lead, self.end + tail);
                let nodes = node as u32 + 1 - first;
                let unclosed = Unclosed { node: first, children, nodes, start, end };
                self.blocks[began].unclosed.push(unclosed);
            }
        }
        let at = self.blocks.len() - 1;
        push(&mut self.blocks[at].columns[ENDS], count);
    }
}

impl Block {
    /// Writes a gap (0) or length (1), or with a guess only what is wrong.
    fn position(&mut self, which: usize, value: u32, guess: Option<u32>) {
        let column = &mut self.columns[GAPS + which];
        if guess == Some(value) {
            self.right[which] += 1;
            return;
        }
        if guess.is_some() {
            push(column, u64::from(std::mem::take(&mut self.right[which])));
        }
        push(column, u64::from(value));
    }

    fn link(&mut self, first: u32) {
        let links = &mut self.columns[LINKS];
        push(links, self.ancestors.len() as u64);
        let mut below = first;
        for ancestor in &self.ancestors {
            push(links, u64::from(below - ancestor));
            below = *ancestor;
        }
        self.unclosed.sort_unstable_by_key(|open| open.node);
        push(links, self.unclosed.len() as u64);
        let mut before = first;
        for open in &self.unclosed {
            push(links, u64::from(open.node - before));
            push(links, u64::from(open.children));
            push(links, u64::from(open.nodes));
            // What starts behind the last leaf may do so before its end: a margin is no leaf's.
            push(links, u64::from(open.start));
            push(links, u64::from(open.end - open.start));
            before = open.node;
        }
    }
}

/// What a code stands for in one file, ready for the decoder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meaning {
    pub(crate) symbol: Symbol,
    /// Bytes of a leaf whose length is not stored.
    pub(crate) implied: u32,
}
