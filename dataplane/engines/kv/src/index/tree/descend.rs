//! From the root to a leaf.

use super::{Tree, common};

/// Most levels above the leaves: a node has at least 2 children when it is made.
const DEPTH: usize = 24;

/// Nodes and children on the way to a leaf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    steps: [(u32, u8); DEPTH],
    len: usize,
}

impl Path {
    pub(super) const fn new() -> Self {
        Self { steps: [(0, 0); DEPTH], len: 0 }
    }

    #[inline(always)]
    pub(super) fn push(&mut self, node: u32, child: usize) {
        self.steps[self.len] = (node, child as u8);
        self.len += 1;
    }

    pub(super) fn pop(&mut self) -> Option<(u32, usize)> {
        let last = self.last()?;
        self.len -= 1;
        Some(last)
    }

    pub(super) fn last(&self) -> Option<(u32, usize)> {
        let &(node, child) = self.steps[..self.len].last()?;
        Some((node, usize::from(child)))
    }

    fn upwards(&self) -> impl Iterator<Item = (u32, usize)> + '_ {
        self.steps[..self.len].iter().rev().map(|&(node, child)| (node, usize::from(child)))
    }
}

impl Tree {
    /// The leaf whose range has `key`, and the way to it.
    #[inline]
    pub(super) fn descend(&self, key: &[u8]) -> (Path, u32) {
        let (mut path, mut at) = (Path::new(), self.root);
        for _ in 0..self.height {
            let node = &self.nodes[at as usize];
            let child = node.child(key);
            path.push(at, child);
            at = node.children[child];
        }
        (path, at)
    }

    /// Where the range begins that `path` leads to; `None` when nothing is before it.
    pub(super) fn low(&self, path: &Path) -> Option<&[u8]> {
        let (node, child) = path.upwards().find(|&(_, child)| child > 0)?;
        Some(&self.nodes[node as usize].separators[child - 1])
    }

    /// Where it ends; `None` when nothing is behind it.
    pub(super) fn high(&self, path: &Path) -> Option<&[u8]> {
        let inside = |&(node, child): &(u32, usize)| child < self.nodes[node as usize].count();
        let (node, child) = path.upwards().find(inside)?;
        Some(&self.nodes[node as usize].separators[child])
    }
}

/// Bytes that all keys from `low` on and below `high` share.
pub(super) fn shared(low: Option<&[u8]>, high: Option<&[u8]>) -> usize {
    match (low, high) {
        (Some(low), Some(high)) => common(low, high),
        _ => 0,
    }
}
