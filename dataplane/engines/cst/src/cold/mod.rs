//! The cold form: trees on disk in well under a byte a node, read by the block.

mod codec;
mod columns;
mod error;
mod file;
mod fuzzing;
mod predict;
mod reading;
mod record;
mod train;
mod varint;

pub use codec::Positions;
pub use error::ColdError;
pub use file::{ColdFile, VERSION, Writer};
pub(crate) use fuzzing::{again, mend};
pub use record::{BLOCK_NODES, ColdNode, ColdTree, Freezer, Settings};
pub use train::{TrainError, train};
