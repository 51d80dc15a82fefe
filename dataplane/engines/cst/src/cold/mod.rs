//! The cold form: trees on disk in well under a byte a node, read by the block.

mod codec;
mod columns;
mod error;
mod file;
mod fuzzing;
mod known;
mod predict;
mod reading;
mod record;
mod train;
mod write;

pub use codec::Positions;
pub(crate) use codec::{Decoders, Packer, Unpacker, decoder, dictionary};
pub(crate) use columns::{Block, CODES, COLUMNS, ENDS, GAPS, LINKS, REST};
pub use error::ColdError;
pub(crate) use file::{Bytes, index_of, mend_index};
pub use file::{ColdFile, VERSION};
pub(crate) use fuzzing::{again, mend};
pub(crate) use known::{Known, Ready, known};
pub(crate) use reading::{Place, Reading};
pub use record::{BLOCK_NODES, ColdNode, ColdTree, Freezer, Frozen, Settings};
pub(crate) use record::{crc, raw_columns, raw_of};
pub use train::{TrainError, train};
pub use write::Writer;
pub(crate) use write::{Beside, bytes, end, grammar_row};
