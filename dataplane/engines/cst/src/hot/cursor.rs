//! A place in a hot tree that remembers the way to it.

use std::ops::Range;

use super::node::Node;
use super::sequence::Track;
use super::tree::HotTree;

/// Moves over a hot tree as tree-sitter's `TreeCursor` does over a live one. The way down is kept,
/// so that moves up search nothing; and what was read last, so that spans are read quickly in order.
#[derive(Clone, Debug)]
pub struct Cursor<'t> {
    node: Node<'t>,
    /// Ancestors that were passed on the way down, the nearest last.
    passed: Vec<Passed>,
    /// The node's first leaf, where a move has told.
    leaf: Option<u32>,
    /// Where the node ends, where a move has told.
    close: Option<Close>,
    /// The end of the node's last leaf, where it was read.
    last: Last,
    /// Bit of the node that it was made with; it does not leave that one's subtree.
    root: u32,
    starts: Track,
    lengths: (usize, usize, Track),
}

#[derive(Clone, Copy, Debug)]
struct Passed {
    at: u32,
    index: u32,
    leaf: Option<u32>,
    last: Last,
}

/// How an inner node ends whose span was read: what ends with it ends with the same leaf.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    /// Bit at which it ends, 0 if nothing was read.
    close: u32,
    /// Leaves before that bit.
    leaves: u32,
    /// Byte behind the last of these.
    end: u32,
}

#[derive(Clone, Copy, Debug)]
struct Close {
    at: u32,
    /// Leaves before that bit, where they were counted.
    leaves: Option<u32>,
}

impl HotTree {
    /// A cursor at the root.
    pub fn walk(&self) -> Cursor<'_> {
        self.root().walk()
    }
}

impl<'t> Node<'t> {
    /// A cursor at this node that stays in its subtree.
    pub fn walk(&self) -> Cursor<'t> {
        Cursor {
            node: *self,
            passed: Vec::new(),
            leaf: None,
            close: None,
            last: Last::default(),
            root: self.at() as u32,
            starts: Track::default(),
            lengths: (usize::MAX, 0, Track::default()),
        }
    }
}

impl<'t> Cursor<'t> {
    /// Where it is.
    #[inline]
    pub const fn node(&self) -> Node<'t> {
        self.node
    }

    #[inline]
    fn leaf(&mut self) -> usize {
        let node = self.node;
        let rank = || node.tree().shape().leaf_rank(node.at()) as u32;
        *self.leaf.get_or_insert_with(rank) as usize
    }

    /// First byte of its node and that behind the last: what the node itself gives, faster when the
    /// cursor goes on from one node to the next.
    #[inline]
    pub fn byte_range(&mut self) -> Range<usize> {
        let (node, leaf) = (self.node, self.leaf());
        let tree = node.tree();
        let start = tree.leaf_start_near(&mut self.starts, leaf) as usize;
        if node.is_leaf() {
            let len = tree.leaf_len_near(&mut self.lengths, node.index()) as usize;
            return start..start + len;
        }
        let Last { end, .. } = self.last(leaf);
        let end = end as usize;
        if node.symbol().is_measured() {
            let (lead, tail) = tree.margin(node.index());
            return start - lead as usize..end + tail as usize;
        }
        start..end
    }

    /// Where the inner node ends that begins with leaf `leaf`.
    #[inline]
    fn last(&mut self, leaf: usize) -> Last {
        let node = self.node;
        let (tree, close) = (node.tree(), self.close());
        if self.last.close == close.at {
            return self.last;
        }
        let above = self.passed.last().map_or(Last::default(), |passed| passed.last);
        self.last = if above.close == close.at + 1 {
            Last { close: close.at, ..above }
        } else {
            let between = || tree.shape().leaves_between(node.at(), close.at as usize);
            let leaves = close.leaves.map_or_else(|| leaf + between(), |leaves| leaves as usize);
            let index = node.index() + (close.at as usize - node.at()) / 2;
            let end = tree.leaf_end_ahead(self.starts, &self.lengths, leaves - 1, index);
            Last { close: close.at, leaves: leaves as u32, end }
        };
        self.close = Some(Close { leaves: Some(self.last.leaves), ..close });
        self.last
    }

    #[inline]
    fn descend(&mut self, child: Node<'t>, leaf: Option<u32>) {
        let (at, index) = (self.node.at() as u32, self.node.index() as u32);
        self.passed.push(Passed { at, index, leaf: self.leaf, last: self.last });
        (self.node, self.leaf, self.close, self.last) = (child, leaf, None, Last::default());
    }

    /// To the first child; false, and it stays, if there is none.
    #[inline]
    pub fn goto_first_child(&mut self) -> bool {
        let Some(child) = self.node.first_child() else { return false };
        self.descend(child, self.leaf);
        true
    }

    /// To the last child; false, and it stays, if there is none.
    pub fn goto_last_child(&mut self) -> bool {
        let Some(child) = self.node.last_child() else { return false };
        self.descend(child, None);
        true
    }

    #[inline]
    fn close(&mut self) -> Close {
        let node = self.node;
        *self.close.get_or_insert_with(|| {
            let at = node.tree().shape().close(node.at());
            Close { at: at as u32, leaves: None }
        })
    }

    /// To the next sibling; false, and it stays, if there is none.
    #[inline]
    pub fn goto_next_sibling(&mut self) -> bool {
        if self.node.at() as u32 == self.root {
            return false;
        }
        let mut close = self.close();
        if close.at as usize == self.node.at() + 1 {
            close.leaves = self.leaf.map(|leaf| leaf + 1);
            self.close = Some(close);
        }
        let next = close.at as usize + 1;
        if !self.node.tree().shape().opens(next) {
            return false;
        }
        let index = (next + self.node.depth()) / 2;
        self.node = Node::new(self.node.tree(), next as u32, index as u32);
        (self.leaf, self.close, self.last) = (close.leaves, None, Last::default());
        true
    }

    /// To the sibling before; false, and it stays, if there is none.
    pub fn goto_previous_sibling(&mut self) -> bool {
        if self.node.at() as u32 == self.root {
            return false;
        }
        let Some(node) = self.node.prev_sibling() else { return false };
        (self.node, self.leaf, self.close, self.last) = (node, None, None, Last::default());
        true
    }

    /// To the parent; false, and it stays, where it was made.
    #[inline]
    pub fn goto_parent(&mut self) -> bool {
        if self.node.at() as u32 == self.root {
            return false;
        }
        let tree = self.node.tree();
        // Behind a last child its parent ends.
        let close = self.close.map(|close| Close { at: close.at + 1, ..close });
        self.close = close.filter(|next| !tree.shape().opens(next.at as usize));
        (self.node, self.leaf, self.last) = match self.passed.pop() {
            Some(Passed { at, index, leaf, last }) => (Node::new(tree, at, index), leaf, last),
            None => match self.node.parent() {
                Some(parent) => (parent, None, Last::default()),
                None => return false,
            },
        };
        true
    }

    /// To the node of number `index` in pre-order, counted from the tree's root; false, and it
    /// stays, if that is not in the subtree that it was made for.
    pub fn goto_descendant(&mut self, index: usize) -> bool {
        let tree = self.node.tree();
        let Some(node) = tree.node(index) else { return false };
        let end = tree.shape().close(self.root as usize);
        if node.at() < self.root as usize || node.at() > end {
            return false;
        }
        self.passed.clear();
        (self.node, self.leaf, self.close, self.last) = (node, None, None, Last::default());
        true
    }
}
