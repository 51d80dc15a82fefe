//! Exact byte-level tokenizer: vocabularies in, token ids out.

pub mod naive;
pub mod split;
mod table;
pub mod vocab;

pub use table::Table;
