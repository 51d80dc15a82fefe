//! All nodes of a hot tree in order, each with its span.

use super::sequence::Iter;
use super::tree::HotTree;
use crate::languages::Symbol;

/// What a walk in pre-order tells of a node without moving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Kind, field, flags.
    pub symbol: Symbol,
    /// Ancestors.
    pub depth: u32,
    /// First byte.
    pub start: u32,
}

/// Nodes in pre-order: reads the columns one after another, so that a node costs a few
/// nanoseconds. Ends are not known before the subtree is; [`HotTree::node`] has them.
#[derive(Clone, Debug)]
pub struct Preorder<'t> {
    tree: &'t HotTree,
    starts: Iter<'t>,
    start: u32,
    index: usize,
    at: usize,
}

impl HotTree {
    /// All nodes in pre-order.
    pub fn preorder(&self) -> Preorder<'_> {
        let mut starts = self.leaf_starts(0);
        let start = starts.next().unwrap_or(0);
        Preorder { tree: self, starts, start, index: 0, at: 0 }
    }
}

impl Iterator for Preorder<'_> {
    type Item = Visit;

    #[inline]
    fn next(&mut self) -> Option<Visit> {
        if self.index >= self.tree.len() {
            return None;
        }
        let symbol = self.tree.symbol(self.index);
        let depth = (2 * self.index - self.at) as u32;
        let mut start = self.start;
        if symbol.is_leaf() {
            self.start = self.starts.next().unwrap_or(start);
            self.at = self.tree.shape().next_open(self.at + 1);
        } else {
            if symbol.is_measured() {
                start -= self.tree.margin(self.index).0;
            }
            self.at += 1;
        }
        self.index += 1;
        Some(Visit { symbol, depth, start })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.tree.len() - self.index;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Preorder<'_> {}
