//! What a vocabulary says, before anything is compiled from it.

mod source;

pub use source::{Grammar, Mode, Ranks, Special, Unknown, VocabSource};
