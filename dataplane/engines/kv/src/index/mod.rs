//! Two indexes over the log: hashed for points, ordered for scans.

mod objects;
mod table;
mod tree;

pub(crate) use objects::Objects;
pub(crate) use table::TagTable;
pub(crate) use tree::{LeafArena, Place, Tree, Walk};
