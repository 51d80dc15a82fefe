//! From the root to a leaf.

use super::inner::FAN;
use super::{LeafArena, Tree, common};

/// Most levels above the leaves: a node has at least 2 children when it is made.
const DEPTH: usize = 24;

/// Nodes and children on the way to a leaf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    /// A node's number and, in the last bits, which child: a shard's memory holds fewer than 2^26 nodes.
    steps: [u32; DEPTH],
    len: u32,
}

/// Where a key belongs, as long as the tree keeps its shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(super) path: Path,
    shape: u64,
}

impl Place {
    /// Nowhere: the way is to be found again.
    pub(crate) const NONE: Self = Self { path: Path::new(), shape: 0 };
}

const fn step((node, child): (u32, usize)) -> u32 {
    (node * FAN as u32) | child as u32
}

const fn of_step(step: u32) -> (u32, usize) {
    (step / FAN as u32, step as usize % FAN)
}

impl Path {
    pub(super) const fn new() -> Self {
        Self { steps: [0; DEPTH], len: 0 }
    }

    #[inline(always)]
    pub(super) fn push(&mut self, node: u32, child: usize) {
        self.steps[self.len as usize] = step((node, child));
        self.len += 1;
    }

    pub(super) fn pop(&mut self) -> Option<(u32, usize)> {
        let last = self.last()?;
        self.len -= 1;
        Some(last)
    }

    pub(super) fn last(&self) -> Option<(u32, usize)> {
        self.steps[..self.len as usize].last().copied().map(of_step)
    }

    fn upwards(&self) -> impl Iterator<Item = (u32, usize)> + '_ {
        self.steps[..self.len as usize].iter().rev().copied().map(of_step)
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

    /// Fetches ahead the leaves that `keys` belong to, and tells where those are. All keys go down a level
    /// together, so that what one waits for is on its way while the others look at theirs.
    pub(crate) fn prefetch<const N: usize>(
        &self,
        arena: &LeafArena,
        keys: &[Option<&[u8]>; N],
        places: &mut [Place; N],
    ) {
        if self.rootless() {
            return;
        }
        let mut at = [self.root; N];
        for level in (0..self.height).rev() {
            for ((key, place), at) in keys.iter().zip(places.iter_mut()).zip(&mut at) {
                let Some(key) = key else { continue };
                let node = &self.nodes[*at as usize];
                let child = node.child(key);
                place.path.push(*at, child);
                *at = node.children[child];
                if level > 0 {
                    self.nodes[*at as usize].prefetch();
                } else {
                    arena.prefetch(*at);
                }
            }
        }
        for (place, key) in places.iter_mut().zip(keys) {
            place.shape = if key.is_some() { self.shape } else { 0 };
        }
    }

    /// Whether the way to `place` is still the way there.
    #[inline(always)]
    pub(super) const fn holds(&self, place: &Place) -> bool {
        place.shape == self.shape
    }

    /// The leaf that `path` leads to.
    #[inline(always)]
    pub(super) fn leaf_at(&self, path: &Path) -> u32 {
        let leaf = path.last().map(|(node, child)| self.nodes[node as usize].children[child]);
        leaf.unwrap_or(self.root)
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
