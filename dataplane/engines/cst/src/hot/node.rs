//! One node of a hot tree.

use std::fmt;
use std::ops::Range;

use tree_sitter::Point;

use super::tree::HotTree;
use crate::languages::{Flags, Symbol};

/// A node: two numbers and its tree. Moves give another node.
#[derive(Clone, Copy)]
pub struct Node<'t> {
    tree: &'t HotTree,
    /// Bit of the shape at which it begins.
    at: u32,
    /// Number in pre-order.
    index: u32,
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{Node {} {:?}}}", self.kind(), self.byte_range())
    }
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.tree, other.tree) && self.index == other.index
    }
}

impl Eq for Node<'_> {}

impl<'t> Node<'t> {
    #[inline]
    pub(crate) const fn new(tree: &'t HotTree, at: u32, index: u32) -> Self {
        Self { tree, at, index }
    }

    /// The tree that it is of.
    pub const fn tree(&self) -> &'t HotTree {
        self.tree
    }

    /// Its number in pre-order; the root's is 0.
    pub const fn index(&self) -> usize {
        self.index as usize
    }

    pub(crate) const fn at(&self) -> usize {
        self.at as usize
    }

    /// Ancestors.
    pub const fn depth(&self) -> usize {
        2 * self.index as usize - self.at as usize
    }

    /// Kind, field and flags.
    #[inline]
    pub fn symbol(&self) -> Symbol {
        self.tree.symbol(self.index())
    }

    /// tree-sitter's number of its kind.
    pub fn kind_id(&self) -> u16 {
        self.symbol().kind()
    }

    /// Name of its kind.
    pub fn kind(&self) -> &'t str {
        self.tree.grammar().kind_name(self.kind_id())
    }

    /// The field that its parent knows it by.
    pub fn field_id(&self) -> Option<u16> {
        Some(self.symbol().field()).filter(|field| *field != 0)
    }

    /// Name of that field.
    pub fn field_name(&self) -> Option<&'t str> {
        self.tree.grammar().field_name(self.symbol().field())
    }

    fn has(&self, flag: Flags) -> bool {
        self.symbol().flags().has(flag)
    }

    /// The grammar names its kind.
    pub fn is_named(&self) -> bool {
        self.has(Flags::NAMED)
    }

    /// May stand anywhere, like a comment.
    pub fn is_extra(&self) -> bool {
        self.has(Flags::EXTRA)
    }

    /// Put in by the parser.
    pub fn is_missing(&self) -> bool {
        self.has(Flags::MISSING)
    }

    /// Not placed by the parser.
    pub fn is_error(&self) -> bool {
        self.has(Flags::ERROR)
    }

    /// Is or has an error.
    pub fn has_error(&self) -> bool {
        self.has(Flags::HAS_ERROR)
    }

    /// Has no children.
    #[inline]
    pub fn is_leaf(&self) -> bool {
        !self.tree.shape().opens(self.at() + 1)
    }

    fn first_leaf(&self) -> usize {
        self.tree.shape().leaf_rank(self.at())
    }

    /// First byte.
    #[inline]
    pub fn start_byte(&self) -> usize {
        let leaf = self.tree.leaf_start(self.first_leaf()) as usize;
        if self.is_leaf() || !self.symbol().is_measured() {
            return leaf;
        }
        leaf - self.tree.margin(self.index()).0 as usize
    }

    /// Byte behind the last.
    #[inline]
    pub fn end_byte(&self) -> usize {
        if self.is_leaf() {
            let start = self.tree.leaf_start(self.first_leaf());
            return (start + self.tree.leaf_len(self.index())) as usize;
        }
        self.inner_end(self.tree.shape().close(self.at()))
    }

    fn inner_end(&self, close: usize) -> usize {
        self.end_at(close, self.tree.shape().leaf_rank(close) - 1)
    }

    /// The end of an inner node that ends at bit `close` with leaf `leaf`.
    #[inline]
    fn end_at(&self, close: usize, leaf: usize) -> usize {
        let last = self.index() + (close - self.at()) / 2;
        let end = (self.tree.leaf_start(leaf) + self.tree.leaf_len(last)) as usize;
        if self.symbol().is_measured() {
            end + self.tree.margin(self.index()).1 as usize
        } else {
            end
        }
    }

    /// First byte, and that behind the last.
    pub fn byte_range(&self) -> Range<usize> {
        self.start_byte()..self.end_byte()
    }

    /// Row and column of its first byte.
    pub fn start_position(&self) -> Point {
        self.tree.point(self.start_byte())
    }

    /// Row and column behind its last byte.
    pub fn end_position(&self) -> Point {
        self.tree.point(self.end_byte())
    }

    /// Its bytes of `source`, which the tree was parsed from; empty if that is shorter.
    pub fn text<'s>(&self, source: &'s [u8]) -> &'s [u8] {
        source.get(self.byte_range()).unwrap_or_default()
    }

    /// Itself and all below it.
    pub fn descendant_count(&self) -> usize {
        (self.tree.shape().close(self.at()) - self.at()).div_ceil(2)
    }

    /// Its parent; none of the root.
    #[inline]
    pub fn parent(&self) -> Option<Self> {
        let depth = self.depth().checked_sub(1)?;
        Some(self.begins_at(self.tree.shape().open_before(self.at()), depth))
    }

    /// The node that begins at a bit where the depth is known.
    #[inline]
    const fn begins_at(&self, at: usize, depth: usize) -> Self {
        Self::new(self.tree, at as u32, ((at + depth) / 2) as u32)
    }

    /// Its first child.
    #[inline]
    pub fn first_child(&self) -> Option<Self> {
        (!self.is_leaf()).then(|| Self::new(self.tree, self.at + 1, self.index + 1))
    }

    /// Its last child.
    pub fn last_child(&self) -> Option<Self> {
        if self.is_leaf() {
            return None;
        }
        let shape = self.tree.shape();
        let at = shape.open_before(shape.close(self.at()) - 1);
        Some(self.begins_at(at, self.depth() + 1))
    }

    /// The next child of its parent.
    #[inline]
    pub fn next_sibling(&self) -> Option<Self> {
        let shape = self.tree.shape();
        self.sibling_at(shape, shape.close(self.at()) + 1)
    }

    #[inline]
    fn sibling_at(&self, shape: super::shape::Shape<'t>, at: usize) -> Option<Self> {
        shape.opens(at).then(|| self.begins_at(at, self.depth()))
    }

    /// The child of its parent before it.
    pub fn prev_sibling(&self) -> Option<Self> {
        let before = self.at().checked_sub(1)?;
        let shape = self.tree.shape();
        (!shape.opens(before)).then(|| self.begins_at(shape.open_before(before), self.depth()))
    }

    /// Its children, in order.
    pub fn children(&self) -> impl Iterator<Item = Self> + use<'t> {
        std::iter::successors(self.first_child(), Self::next_sibling)
    }

    /// Children.
    pub fn child_count(&self) -> usize {
        self.children().count()
    }

    /// The `n`-th child, from 0.
    pub fn child(&self, n: usize) -> Option<Self> {
        self.children().nth(n)
    }

    /// The first child that it knows by field `field`.
    pub fn child_by_field_id(&self, field: u16) -> Option<Self> {
        self.children().find(|child| child.symbol().field() == field)
    }

    /// The first child that it knows by the field of this name.
    pub fn child_by_field_name(&self, name: &str) -> Option<Self> {
        self.child_by_field_id(self.tree.grammar().field_id(name)?)
    }

    /// The smallest node in it that spans the bytes of `range`, as tree-sitter's
    /// `descendant_for_byte_range`: a node that ends where the range starts does not, unless it is
    /// empty.
    pub fn descendant_for_byte_range(&self, range: Range<usize>) -> Option<Self> {
        if range.start > range.end {
            return None;
        }
        let path = self.path_before(range.start);
        let mut hints = path.iter().rev();
        let (mut node, mut next) = (*self, hints.next().copied().or_else(|| self.first_child()));
        while let Some(child) = next {
            let Range { start, end } = child.byte_range();
            let before = if start == end { end < range.start } else { end <= range.start };
            next = if end < range.end || before {
                // Off the path: all below starts behind it.
                hints = [].iter().rev();
                child.next_sibling()
            } else if range.start < start {
                None
            } else {
                node = child;
                hints.next().copied().or_else(|| child.first_child())
            };
        }
        Some(node)
    }

    /// The last leaf in it that starts before `byte`, and its ancestors up to a child of this node:
    /// their earlier siblings end before `byte`.
    fn path_before(&self, byte: usize) -> Vec<Self> {
        let leaves = byte.checked_sub(1).map_or(0, |byte| self.tree.leaves_up_to(byte as u32));
        let Some(leaf) = leaves.checked_sub(1) else { return Vec::new() };
        let shape = self.tree.shape();
        let at = shape.leaf_select(leaf);
        if at <= self.at() || at > shape.close(self.at()) {
            return Vec::new();
        }
        let leaf = Self::new(self.tree, at as u32, shape.rank(at) as u32);
        let up = std::iter::successors(Some(leaf), Self::parent);
        up.take_while(|node| node.index > self.index).collect()
    }

    /// The smallest node in it at the position `point`; rows without it give none.
    pub fn descendant_for_point(&self, point: Point) -> Option<Self> {
        let byte = self.tree.line_start(point.row)? + point.column;
        self.descendant_for_byte_range(byte..byte)
    }
}
