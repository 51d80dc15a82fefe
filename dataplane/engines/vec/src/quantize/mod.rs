//! Vectors in few bytes.

mod extra;
mod rabitq;

pub use extra::{ExtraBits, ExtraCodes, ExtraView};
pub(crate) use rabitq::to_bytes;
pub use rabitq::{Codes, CodesView, QueryTables, RaBitQ};
