//! Vectors in few bytes.

mod extra;
pub mod pq;
mod rabitq;

pub use extra::{ExtraBits, ExtraCodes, ExtraView};
pub use pq::{Pq, PqBits, PqCodes, PqQuery, PqSettings, PqView};
pub use rabitq::{Codes, CodesView, QueryTables, RaBitQ};
