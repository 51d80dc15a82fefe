//! Vectors in few bytes.

mod extra;
mod rabitq;

pub use extra::{ExtraBits, ExtraCodes, ExtraView};
pub use rabitq::{Codes, CodesView, QueryTables, RaBitQ};
