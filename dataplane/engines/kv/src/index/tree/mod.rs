//! The ordered index: a B+tree over locations, whose leaves hold 8 bytes per record.
//!
//! A leaf knows how many leading bytes all keys of its range share (from the separators around it)
//! and keeps, per record, the 4 bytes behind them and the location. What these bytes do not tell
//! apart is compared in the log. Leaves have as many slots as they need, in steps of 8, up to 128.
//! Inner nodes hold 8 bytes of each separator behind what their range shares; the separators
//! themselves are as short as they can be and are kept whole, so that the tree never depends on a
//! record that is gone.

mod arena;
mod descend;
mod inner;
mod merge;
mod split;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use arena::LeafArena;
pub(crate) use descend::Place;
pub(crate) use walk::Walk;

use arena::LEAF_MAX;
use descend::Path;
use inner::Inner;

use crate::log::{Loc, Log};

/// The order of one space. Its leaves live in an arena that trees share.
#[derive(Debug)]
pub(crate) struct Tree {
    /// A leaf when `height` is 0; no node at all when it is 0 as well.
    root: u32,
    height: u32,
    #[allow(
        clippy::vec_box,
        reason = "a node has 1.3 KiB: growth of the list is not to move all of them"
    )]
    nodes: Vec<Box<Inner>>,
    free: Vec<u32>,
    len: u64,
    /// Leaf and position of the last insertion: ascending keys are told by it.
    recent: (u32, usize),
    /// Changes when a node gets or loses a child, or the root is another; never 0.
    shape: u64,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            root: 0,
            height: 0,
            nodes: Vec::new(),
            free: Vec::new(),
            len: 0,
            recent: (0, 0),
            shape: 1,
        }
    }
}

/// Bytes that `a` and `b` have in common at their start.
fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The 8 bytes of `key` behind `skip`, big-endian, 0 where it has none.
#[inline(always)]
fn head_of(key: &[u8], skip: usize) -> u64 {
    let rest = key.get(skip..).unwrap_or_default();
    if let Some(bytes) = rest.first_chunk() { u64::from_be_bytes(*bytes) } else { short_head(rest) }
}

/// The same of fewer than 8 bytes: loads that overlap, because copying so few through memory costs
/// more than all the rest of a search.
#[inline(always)]
fn short_head(rest: &[u8]) -> u64 {
    let len = rest.len();
    if let (Some(first), Some(last)) = (rest.first_chunk(), rest.last_chunk()) {
        let low = u64::from(u32::from_be_bytes(*last)) << (64 - 8 * len);
        return u64::from(u32::from_be_bytes(*first)) << 32 | low & 0xffff_ffff;
    }
    let byte = |at: usize| rest.get(at).map_or(0, |&byte| u64::from(byte) << (56 - 8 * at));
    byte(0) | byte(1) | byte(2)
}

/// What a leaf keeps of a key.
#[inline(always)]
fn slice_of(key: &[u8], skip: usize) -> u32 {
    let rest = key.get(skip..).unwrap_or_default();
    if let Some(bytes) = rest.first_chunk() {
        return u32::from_be_bytes(*bytes);
    }
    (short_head(rest) >> 32) as u32
}

impl Tree {
    /// Entries.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of inner nodes and separators; leaves are the arena's.
    pub(crate) fn bytes(&self) -> u64 {
        self.nodes.iter().map(|node| node.bytes()).sum()
    }

    /// Whether there is not even a leaf: leaves are counted from 1.
    const fn rootless(&self) -> bool {
        self.height == 0 && self.root == 0
    }

    /// Adds `key` at `loc`; the tree must not have the key. `place` is where [`Tree::prefetch`] saw it last.
    pub(crate) fn insert(
        &mut self,
        arena: &mut LeafArena,
        log: &Log,
        place: &Place,
        key: &[u8],
        loc: Loc,
    ) -> std::io::Result<()> {
        if self.rootless() {
            self.root = arena.allocate(8, 0)?;
        }
        let found;
        // By reference: most insertions look at the end of the way alone.
        let mut path = &place.path;
        if !self.holds(place) {
            found = self.descend(key).0;
            path = &found;
        }
        let mut leaf = self.leaf_at(path);
        let (mut position, mut slice) = arena.lower_bound(leaf, log, key);
        let again;
        if arena.count(leaf) == LEAF_MAX {
            let ascending = self.recent == (leaf, position.wrapping_sub(1));
            let ascending = (ascending && position == LEAF_MAX).then_some(key);
            self.split_leaf(arena, log, path, leaf, ascending)?;
            (again, leaf) = self.descend(key);
            path = &again;
            (position, slice) = arena.lower_bound(leaf, log, key);
        }
        if arena.count(leaf) == arena.capacity(leaf) {
            leaf = arena.resize(leaf, arena.capacity(leaf) + 8)?;
            self.point(path, leaf);
        }
        arena.insert_at(leaf, position, slice, loc);
        self.recent = (leaf, position);
        self.len += 1;
        Ok(())
    }

    /// Lets the entry of `key` at `from` be at `to`; false when there is none.
    pub(crate) fn replace(&self, arena: &mut LeafArena, key: &[u8], from: Loc, to: Loc) -> bool {
        if self.rootless() {
            return false;
        }
        let (_, leaf) = self.descend(key);
        let Some(position) = arena.position(leaf, key, from) else { return false };
        arena.set(leaf, position, to);
        true
    }

    /// Removes the entry of `key` at `loc`; false when there is none.
    pub(crate) fn remove(
        &mut self,
        arena: &mut LeafArena,
        log: &Log,
        key: &[u8],
        loc: Loc,
    ) -> bool {
        if self.rootless() {
            return false;
        }
        let (path, mut leaf) = self.descend(key);
        let Some(position) = arena.position(leaf, key, loc) else { return false };
        arena.remove_at(leaf, position);
        self.len -= 1;
        let count = arena.count(leaf);
        // Without memory for a smaller leaf, the larger one stays.
        if arena.capacity(leaf) >= count + 24
            && let Ok(smaller) = arena.resize(leaf, count + 8)
        {
            leaf = smaller;
            self.point(&path, leaf);
        }
        if count < LEAF_MAX / 4 {
            self.merge_leaf(arena, log, &path);
        }
        true
    }

    /// Lets the parent at the end of `path` point to `leaf`.
    fn point(&mut self, path: &Path, leaf: u32) {
        match path.last() {
            None => self.root = leaf,
            Some((node, child)) => self.nodes[node as usize].children[child] = leaf,
        }
    }
}
