//! Vectors in few bytes.

mod rabitq;

pub use rabitq::{Codes, QueryTables, RaBitQ};
