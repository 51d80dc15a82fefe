//! The cold form: trees on disk in well under a byte a node, read by the block.

mod code;
mod codec;
mod columns;
mod error;
mod file;
mod fuzzing;
mod known;
mod pass;
mod predict;
mod reading;
mod record;
mod train;
mod unit;
mod write;

pub use codec::Positions;
pub(crate) use codec::{Decoders, Packer, Unpacker, decoder, dictionary};
pub use error::ColdError;
pub(crate) use file::{Bytes, index_of, mend_index};
pub use file::{ColdFile, VERSION};
pub(crate) use fuzzing::{again, mend};
pub(crate) use known::{Known, Ready, known};
pub(crate) use reading::{Lines, Place, Reading};
pub use record::{BLOCK_NODES, ColdNode, ColdTree, Freezer, Frozen, Settings};
pub(crate) use record::{crc, raw_columns, raw_of};
pub use train::{TrainError, train};
pub(crate) use unit::{COLUMNS, Unit, Usual};
pub use write::Writer;
pub(crate) use write::{Beside, bytes, end, grammar_row};
