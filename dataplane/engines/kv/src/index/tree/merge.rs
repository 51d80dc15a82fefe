//! Nodes with little in them join their neighbours.

use super::Tree;
use super::arena::{LEAF_MAX, LeafArena};
use super::descend::{Path, shared};
use super::inner::{FAN, Inner};
use crate::log::Log;

impl Tree {
    /// Joins the leaf that `path` leads to with a neighbour under the same parent, when they fit
    /// one leaf with room to spare.
    pub(super) fn merge_leaf(&mut self, arena: &mut LeafArena, log: &Log, path: &Path) {
        let mut up = *path;
        let Some((parent, child)) = up.pop() else { return };
        let node = &self.nodes[parent as usize];
        let left_of = |at: usize| (node.children[at], node.children[at + 1]);
        let fits = |&at: &usize| {
            let (left, right) = left_of(at);
            let (left, right) = (arena.count(left), arena.count(right));
            left + right <= LEAF_MAX * 3 / 4 || left == 0 || right == 0
        };
        let candidates = [Some(child), child.checked_sub(1)];
        let pairs = candidates.into_iter().flatten().filter(|&at| at < node.count());
        let Some(at) = { pairs }.find(fits) else { return };
        let (left, right) = left_of(at);
        let total = arena.count(left) + arena.count(right);
        let skip = self.shared_by(&up, parent, at, at + 1);
        // Without memory for the joined leaf, the two stay.
        let Ok(joined) = arena.allocate((total + 8).min(LEAF_MAX), skip) else { return };
        for from in [left, right] {
            arena.append_anew(log, joined, from, 0..arena.count(from));
            arena.release(from);
        }
        self.shape += 1;
        let node = &mut self.nodes[parent as usize];
        node.remove(at);
        node.children[at] = joined;
        self.shrink(up, parent);
    }

    /// Bytes shared by the ranges of children `first` to `last` of `node`, to which `up` leads.
    fn shared_by(&self, up: &Path, node: u32, first: usize, last: usize) -> usize {
        let (mut low, mut high) = (*up, *up);
        low.push(node, first);
        high.push(node, last);
        shared(self.low(&low), self.high(&high))
    }

    /// Looks after a node that lost a child; `up` leads to it.
    fn shrink(&mut self, up: Path, id: u32) {
        let count = self.nodes[id as usize].count();
        if up.last().is_none() {
            if count == 0 {
                self.root = self.nodes[id as usize].children[0];
                self.height -= 1;
                self.abandon(id);
            }
        } else if count < FAN / 4 {
            self.merge_inner(up);
        }
    }

    fn merge_inner(&mut self, mut up: Path) {
        let Some((parent, child)) = up.pop() else { return };
        let node = &self.nodes[parent as usize];
        let count = |at: usize| self.nodes[node.children[at] as usize].count();
        let fits = |&at: &usize| {
            let (left, right) = (count(at), count(at + 1));
            let most = if left == 0 || right == 0 { FAN - 1 } else { FAN * 3 / 4 };
            left + right < most
        };
        let candidates = [Some(child), child.checked_sub(1)];
        let pairs = candidates.into_iter().flatten().filter(|&at| at < node.count());
        let Some(at) = { pairs }.find(fits) else { return };
        let skip = self.shared_by(&up, parent, at, at + 1);
        let node = &mut self.nodes[parent as usize];
        let (left, right) = (node.children[at], node.children[at + 1]);
        let middle = node.remove(at);
        let taken = std::mem::replace(&mut *self.nodes[right as usize], Inner::new(0, 0));
        let joined = &mut self.nodes[left as usize];
        joined.share(skip);
        joined.insert(joined.count(), middle, taken.children[0]);
        for (separator, &child) in taken.separators.into_iter().zip(&taken.children[1..]) {
            joined.insert(joined.count(), separator, child);
        }
        self.abandon(right);
        self.shrink(up, parent);
    }

    fn abandon(&mut self, id: u32) {
        *self.nodes[id as usize] = Inner::new(0, 0);
        self.free.push(id);
    }
}
