//! Vectors in few bytes.

mod extra;
mod rabitq;

pub use extra::{ExtraBits, ExtraCodes};
pub use rabitq::{Codes, QueryTables, RaBitQ};
