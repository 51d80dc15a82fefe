//! What a vocabulary says, before anything is compiled from it.

mod check;
mod hash;
mod shipped;
mod source;

pub use check::{MAX_ID, MAX_TOKEN_BYTES, SourceError};
pub(crate) use shipped::grammar_and_specials;
pub use shipped::{shipped, shipped_names};
pub use source::{Grammar, Mode, Ranks, Special, Unknown, VocabSource};
