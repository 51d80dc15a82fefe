//! A tree cut into blocks of nodes, each as columns of bytes: those of `unit.rs`, and links.
//!
//! Links: ancestors: count, then of each the distance to the one below, of those that a node of the block has
//! as parent; open nodes: count, then of each the distance to the one before, its children, nodes, start
//! and bytes, of those that end behind the block.

use super::unit::{LINKS, Unit, Usual};
use crate::flat::Flat;
use crate::items::{Item, Items};
use crate::languages::{Grammar, Symbol, SymbolId};
use crate::varint::push;

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
    pub(crate) unit: Unit,
    unclosed: Vec<Unclosed>,
    /// Ancestors of its first node, nearest first, as far as they are parents in it.
    ancestors: Vec<u32>,
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
    let usual = source.map_or(Usual::Kinds(grammar.habits()), Usual::Source);
    let mut cutter = Cutter {
        flat,
        usual,
        blocks: Vec::with_capacity(flat.len().div_ceil(block_nodes)),
        block_nodes,
        open: Vec::new(),
        lowest: 0,
        end: 0,
        leaf: 0,
        lines: if source.is_some() { &[] } else { &flat.lines },
    };
    for (node, (id, item)) in Items::new(grammar, flat).enumerate() {
        cutter.node(node, id, &item);
    }
    cutter.finish()
}

struct Cutter<'a> {
    flat: &'a Flat,
    usual: Usual<'a>,
    blocks: Vec<Block>,
    block_nodes: usize,
    open: Vec<Open>,
    /// Least depth of a node in the block so far.
    lowest: usize,
    /// End of the last leaf.
    end: u32,
    leaf: usize,
    /// Line starts behind it.
    lines: &'a [u32],
}

impl<'a> Cutter<'a> {
    fn node(&mut self, node: usize, id: SymbolId, item: &Item) {
        if node.is_multiple_of(self.block_nodes) {
            let (base, depth) = (self.end, item.depth);
            if let Some(block) = self.blocks.last_mut() {
                block.unit.finish(self.usual, None);
            }
            self.blocks.push(Block { base, depth, ..Block::default() });
            self.lowest = self.open.len() + 1;
        }
        self.note_parent();
        if let Some(parent) = self.open.last_mut() {
            parent.children += 1;
        }
        let at = self.blocks.len() - 1;
        self.blocks[at].unit.push(self.usual, (id, item), self.end, &mut self.lines);
        if item.symbol.is_leaf() {
            (self.leaf, self.end) = (self.leaf + 1, item.end);
            (0..item.ends).for_each(|_| self.close(node));
        } else {
            let (node, lead, tail) = (node as u32, item.lead, item.tail);
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

    /// The innermost open node ends with leaf `node`.
    fn close(&mut self, node: usize) {
        let Some(open) = self.open.pop() else { return };
        let began = open.node as usize / self.block_nodes;
        if began + 1 < self.blocks.len() {
            let Open { node: first, children, first_leaf, lead, tail } = open;
            let (start, end) = (self.flat.starts[first_leaf] - lead, self.end + tail);
            let nodes = node as u32 + 1 - first;
            let unclosed = Unclosed { node: first, children, nodes, start, end };
            self.blocks[began].unclosed.push(unclosed);
        }
    }

    fn finish(mut self) -> Vec<Block> {
        if let Some(last) = self.blocks.last_mut() {
            last.unit.finish(self.usual, Some((self.lines, self.end)));
        }
        for (number, block) in self.blocks.iter_mut().enumerate() {
            block.link((number * self.block_nodes) as u32);
        }
        self.blocks
    }
}

impl Block {
    fn link(&mut self, first: u32) {
        let links = &mut self.unit.columns[LINKS];
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
