//! Where token ids go: files, standard output, or another process.
//!
//! | sink | what it writes | reader |
//! |---|---|---|
//! | [`IdSinkSpec::U32`] | ids as they are, and an index by flow and time | [`Columns`] |
//! | [`IdSinkSpec::Arrow`] | an Arrow IPC file | any Arrow library |
//! | [`IdSinkSpec::Json`] | a JSON object a line | any JSON library |
//! | [`IdSinkSpec::Ring`] | records in shared memory | [`RingReader`] |
//!
//! Every worker has sinks of its own, so that none waits for another. They are opened before the
//! worker starts and closed after it has ended, by a thread that still has its capabilities.

mod arrow;
mod columns;
mod error;
mod file;
mod json;
mod record;
mod ring;
mod sink;
mod spec;
mod words;

pub(crate) use columns::fuzz_index;
pub use columns::{Columns, ColumnsError, INDEX_SUFFIX, IndexRecord};
pub use error::IdSinkError;
pub use file::OutFile;
pub use record::IdRecord;
pub use ring::{RingRead, RingReadError, RingReader};
pub use sink::{IdSinks, NamedIdSink};
pub use spec::{IdSinkSpec, WhenFull};
pub(crate) use words::fuzz_words;
