//! One way to walk that live and stored trees share.

use tree_sitter::TreeCursor;

use crate::hot::Cursor;

/// A cursor in a syntax tree: tree-sitter's [`TreeCursor`] over a live one, [`Cursor`] over a hot
/// one. Code that is generic over it walks either.
pub trait Walk {
    /// To the first child; false, and it stays, if there is none.
    fn goto_first_child(&mut self) -> bool;
    /// To the last child; false, and it stays, if there is none.
    fn goto_last_child(&mut self) -> bool;
    /// To the next sibling; false, and it stays, if there is none.
    fn goto_next_sibling(&mut self) -> bool;
    /// To the parent; false, and it stays, where it was made.
    fn goto_parent(&mut self) -> bool;
    /// The grammar's number of the node's kind.
    fn kind_id(&self) -> u16;
    /// Name of the node's kind.
    fn kind(&self) -> &str;
    /// The field that its parent knows it by.
    fn field_id(&self) -> Option<u16>;
    /// Name of that field.
    fn field_name(&self) -> Option<&str>;
    /// The grammar names its kind.
    fn is_named(&self) -> bool;
    /// First byte, and that behind the last.
    fn byte_range(&mut self) -> std::ops::Range<usize>;
}

/// Calls `visit` at every node of the subtree that `cursor` was made for and stands at the top of,
/// in pre-order, with the depth below it. The cursor ends where it began.
pub fn preorder<W: Walk>(cursor: &mut W, mut visit: impl FnMut(&mut W, usize)) {
    let mut depth = 0;
    loop {
        visit(cursor, depth);
        if cursor.goto_first_child() {
            depth += 1;
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return;
            }
            depth -= 1;
        }
    }
}

/// The subtree as an S-expression of named nodes with their fields, as tree-sitter's command
/// `parse` prints it on one line. Missing and error nodes are named by kind alone.
pub fn sexp<W: Walk>(cursor: &mut W) -> String {
    let (mut out, mut open) = (String::new(), Vec::new());
    preorder(cursor, |cursor, depth| {
        while open.last().is_some_and(|last| *last >= depth) {
            open.pop();
            out.push(')');
        }
        if !cursor.is_named() {
            return;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        if let Some(field) = cursor.field_name() {
            out.push_str(field);
            out.push_str(": ");
        }
        out.push('(');
        out.push_str(cursor.kind());
        open.push(depth);
    });
    open.iter().for_each(|_| out.push(')'));
    out
}

impl Walk for TreeCursor<'_> {
    fn goto_first_child(&mut self) -> bool {
        Self::goto_first_child(self)
    }

    fn goto_last_child(&mut self) -> bool {
        Self::goto_last_child(self)
    }

    fn goto_next_sibling(&mut self) -> bool {
        Self::goto_next_sibling(self)
    }

    fn goto_parent(&mut self) -> bool {
        Self::goto_parent(self)
    }

    fn kind_id(&self) -> u16 {
        self.node().kind_id()
    }

    fn kind(&self) -> &str {
        self.node().kind()
    }

    fn field_id(&self) -> Option<u16> {
        Self::field_id(self).map(std::num::NonZero::get)
    }

    fn field_name(&self) -> Option<&str> {
        Self::field_name(self)
    }

    fn is_named(&self) -> bool {
        self.node().is_named()
    }

    fn byte_range(&mut self) -> std::ops::Range<usize> {
        self.node().byte_range()
    }
}

impl Walk for Cursor<'_> {
    fn goto_first_child(&mut self) -> bool {
        Self::goto_first_child(self)
    }

    fn goto_last_child(&mut self) -> bool {
        Self::goto_last_child(self)
    }

    fn goto_next_sibling(&mut self) -> bool {
        Self::goto_next_sibling(self)
    }

    fn goto_parent(&mut self) -> bool {
        Self::goto_parent(self)
    }

    fn kind_id(&self) -> u16 {
        self.node().kind_id()
    }

    fn kind(&self) -> &str {
        self.node().kind()
    }

    fn field_id(&self) -> Option<u16> {
        self.node().field_id()
    }

    fn field_name(&self) -> Option<&str> {
        self.node().field_name()
    }

    fn is_named(&self) -> bool {
        self.node().is_named()
    }

    fn byte_range(&mut self) -> std::ops::Range<usize> {
        Self::byte_range(self)
    }
}
