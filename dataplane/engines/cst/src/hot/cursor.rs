//! A place in a hot tree that remembers the way to it.

use super::node::Node;
use super::tree::HotTree;

/// Moves over a hot tree as tree-sitter's `TreeCursor` does over a live one. The way down is kept,
/// so that moves up search nothing.
#[derive(Clone, Debug)]
pub struct Cursor<'t> {
    node: Node<'t>,
    /// Ancestors that were passed on the way down, the nearest last: bit and number.
    passed: Vec<(u32, u32)>,
    /// Bit at which the node ends, where a move has told.
    close: Option<u32>,
    /// Bit of the node that it was made with; it does not leave that one's subtree.
    root: u32,
}

impl HotTree {
    /// A cursor at the root.
    pub const fn walk(&self) -> Cursor<'_> {
        self.root().walk()
    }
}

impl<'t> Node<'t> {
    /// A cursor at this node that stays in its subtree.
    pub const fn walk(&self) -> Cursor<'t> {
        Cursor { node: *self, passed: Vec::new(), close: None, root: self.at() as u32 }
    }
}

impl<'t> Cursor<'t> {
    /// Where it is.
    pub const fn node(&self) -> Node<'t> {
        self.node
    }

    /// To the first child; false, and it stays, if there is none.
    #[inline]
    pub fn goto_first_child(&mut self) -> bool {
        let Some(child) = self.node.first_child() else { return false };
        self.passed.push((self.node.at() as u32, self.node.index() as u32));
        (self.node, self.close) = (child, None);
        true
    }

    /// To the last child; false, and it stays, if there is none.
    pub fn goto_last_child(&mut self) -> bool {
        let Some(child) = self.node.last_child() else { return false };
        self.passed.push((self.node.at() as u32, self.node.index() as u32));
        (self.node, self.close) = (child, None);
        true
    }

    #[inline]
    fn close(&mut self) -> usize {
        let close = match self.close {
            Some(close) => close as usize,
            None => self.node.tree().shape().close(self.node.at()),
        };
        self.close = Some(close as u32);
        close
    }

    /// To the next sibling; false, and it stays, if there is none.
    #[inline]
    pub fn goto_next_sibling(&mut self) -> bool {
        if self.node.at() as u32 == self.root {
            return false;
        }
        let next = self.close() + 1;
        if !self.node.tree().shape().opens(next) {
            return false;
        }
        let index = (next + self.node.depth()) / 2;
        (self.node, self.close) = (Node::new(self.node.tree(), next as u32, index as u32), None);
        true
    }

    /// To the sibling before; false, and it stays, if there is none.
    pub fn goto_previous_sibling(&mut self) -> bool {
        if self.node.at() as u32 == self.root {
            return false;
        }
        let Some(node) = self.node.prev_sibling() else { return false };
        (self.node, self.close) = (node, None);
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
        let close = self.close.map(|close| close + 1);
        self.close = close.filter(|next| !tree.shape().opens(*next as usize));
        self.node = match self.passed.pop() {
            Some((at, index)) => Node::new(tree, at, index),
            None => match self.node.parent() {
                Some(parent) => parent,
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
        (self.node, self.close) = (node, None);
        true
    }
}
