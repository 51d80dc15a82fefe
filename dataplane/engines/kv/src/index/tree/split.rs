//! Nodes that are full become two.

use std::io;

use super::arena::{LEAF_MAX, LeafArena};
use super::descend::{Path, shared};
use super::inner::{FAN, Inner};
use super::{Tree, common};
use crate::log::Log;

/// How far from the middle a leaf may be cut, for a shorter separator.
const SLACK: usize = 10;

/// The shortest key that is greater than `left` and not greater than `right`.
fn separator(left: &[u8], right: &[u8]) -> Box<[u8]> {
    right[..(common(left, right) + 1).min(right.len())].into()
}

/// Where to cut: near the middle, where neighbours differ earliest.
fn cut(slices: &[u32]) -> usize {
    let middle = slices.len() / 2;
    let same_bytes = |at: usize| (slices[at - 1] ^ slices[at]).leading_zeros() / 8;
    let range = middle - SLACK..=middle + SLACK;
    range.min_by_key(|&at| (same_bytes(at), at.abs_diff(middle))).unwrap_or(middle)
}

impl Tree {
    /// Cuts a full leaf in two. With `ascending`, the key that comes next and belongs behind all of
    /// the leaf's: it stays full and an empty one is put behind it.
    pub(super) fn split_leaf(
        &mut self,
        arena: &mut LeafArena,
        log: &Log,
        path: &Path,
        leaf: u32,
        ascending: Option<&[u8]>,
    ) -> io::Result<()> {
        let locs = arena.locs(leaf);
        let (at, first) = match ascending {
            Some(key) => (LEAF_MAX, key),
            None => {
                let at = cut(arena.slices(leaf));
                (at, log.key(locs[at]))
            }
        };
        let separator = separator(log.key(locs[at - 1]), first);
        let left_skip = shared(self.low(path), Some(&separator));
        let right_skip = shared(Some(&separator), self.high(path));
        let right = arena.allocate(LEAF_MAX - at + 8, right_skip)?;
        let left = match arena.allocate((at + 8).min(LEAF_MAX), left_skip) {
            Ok(left) => left,
            Err(error) => {
                arena.release(right);
                return Err(error);
            }
        };
        arena.append_anew(log, left, leaf, 0..at);
        arena.append_anew(log, right, leaf, at..LEAF_MAX);
        arena.release(leaf);
        self.shape += 1;
        self.point(path, left);
        self.add(*path, separator, right);
        Ok(())
    }

    /// Puts a child in on the right of the one that `path` ends at.
    fn add(&mut self, mut path: Path, separator: Box<[u8]>, right: u32) {
        let Some((node, child)) = path.pop() else {
            let mut root = Inner::new(0, self.root);
            root.insert(0, separator, right);
            self.root = self.adopt(root);
            self.height += 1;
            return;
        };
        if self.nodes[node as usize].count() < FAN - 1 {
            self.nodes[node as usize].insert(child, separator, right);
            return;
        }
        let (middle, sibling) = self.split_inner(&path, node);
        let left_count = self.nodes[node as usize].count();
        if child <= left_count {
            self.nodes[node as usize].insert(child, separator, right);
        } else {
            self.nodes[sibling as usize].insert(child - left_count - 1, separator, right);
        }
        self.add(path, middle, sibling);
    }

    /// Takes the upper half of a full node away; `path` leads to it.
    fn split_inner(&mut self, path: &Path, node: u32) -> (Box<[u8]>, u32) {
        let half = FAN / 2;
        let left = &self.nodes[node as usize];
        let middle = left.separators[half - 1].clone();
        let left_skip = shared(self.low(path), Some(&middle));
        let right_skip = shared(Some(&middle), self.high(path));
        let left = &mut self.nodes[node as usize];
        let mut right = Inner::new(right_skip, left.children[half]);
        let moved = left.separators.split_off(half);
        for (position, separator) in moved.into_iter().enumerate() {
            right.insert(position, separator, left.children[half + 1 + position]);
        }
        left.separators.pop();
        left.share(left_skip);
        (middle, self.adopt(right))
    }

    /// A number for a node.
    fn adopt(&mut self, node: Inner) -> u32 {
        if let Some(id) = self.free.pop() {
            *self.nodes[id as usize] = node;
            return id;
        }
        self.nodes.push(Box::new(node));
        self.nodes.len() as u32 - 1
    }
}
