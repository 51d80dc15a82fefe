//! The hot form: about two bytes a node, read and moved in as it lies.

mod bits;
mod cursor;
mod node;
mod preorder;
mod sequence;
mod shape;
mod tree;

pub use cursor::Cursor;
pub use node::Node;
pub use preorder::{Preorder, Visit};
pub use tree::HotTree;
