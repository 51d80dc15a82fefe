//! Ascending runs of locations.

use super::Tree;
use super::arena::LeafArena;
use super::descend::Path;
use crate::log::{Loc, Log};

/// A place between entries, and the way on from it.
#[derive(Clone, Debug)]
pub(crate) struct Walk<'a> {
    tree: &'a Tree,
    arena: &'a LeafArena,
    path: Path,
    /// Leaf to go on with, and the position in it; none when that is behind the path's end.
    at: Option<(u32, usize)>,
}

impl Tree {
    /// A walk that begins with the first key not less than `from`.
    pub(crate) fn walk<'a>(&'a self, arena: &'a LeafArena, log: &Log, from: &[u8]) -> Walk<'a> {
        if self.rootless() {
            return Walk { tree: self, arena, path: Path::new(), at: None };
        }
        let (path, leaf) = self.descend(from);
        arena.prefetch(leaf);
        let (position, _) = arena.lower_bound(leaf, log, from);
        Walk { tree: self, arena, path, at: Some((leaf, position)) }
    }

    /// The location with the greatest key.
    pub(crate) fn last(&self, arena: &LeafArena) -> Option<Loc> {
        let rightmost = |at: u32, level: u32| -> Option<Loc> { self.last_below(arena, at, level) };
        if self.rootless() { None } else { rightmost(self.root, self.height) }
    }

    fn last_below(&self, arena: &LeafArena, at: u32, level: u32) -> Option<Loc> {
        if level == 0 {
            return arena.locs(at).last().copied();
        }
        let node = &self.nodes[at as usize];
        (0..=node.count())
            .rev()
            .find_map(|child| self.last_below(arena, node.children[child], level - 1))
    }

    /// Gives every node back; the tree is empty afterwards.
    pub(crate) fn clear(&mut self, arena: &mut LeafArena) {
        if !self.rootless() {
            self.release_below(arena, self.root, self.height);
        }
        *self = Self { shape: self.shape + 1, ..Self::default() };
    }

    fn release_below(&self, arena: &mut LeafArena, at: u32, level: u32) {
        if level == 0 {
            return arena.release(at);
        }
        let node = &self.nodes[at as usize];
        node.children[..=node.count()]
            .iter()
            .for_each(|&child| self.release_below(arena, child, level - 1));
    }
}

impl<'a> Walk<'a> {
    /// The locations of the rest of a leaf, in the order of their keys; never empty.
    #[inline]
    pub(crate) fn run(&mut self) -> Option<&'a [Loc]> {
        loop {
            let (leaf, position) = match self.at.take() {
                Some(at) => at,
                None => (self.next_leaf()?, 0),
            };
            let run = &self.arena.locs(leaf)[position..];
            if !run.is_empty() {
                return Some(run);
            }
        }
    }

    /// Fetches the leaf behind the run given out last ahead.
    pub(crate) fn prefetch(&mut self) {
        if self.at.is_none() {
            self.at = self.next_leaf().map(|leaf| (leaf, 0));
        }
    }

    fn next_leaf(&mut self) -> Option<u32> {
        let tree = self.tree;
        let mut up = 0;
        loop {
            let (node, child) = self.path.pop()?;
            let inner = &tree.nodes[node as usize];
            if child < inner.count() {
                self.path.push(node, child + 1);
                let mut at = inner.children[child + 1];
                for _ in 0..up {
                    self.path.push(at, 0);
                    at = tree.nodes[at as usize].children[0];
                }
                self.arena.prefetch(at);
                return Some(at);
            }
            up += 1;
        }
    }
}
