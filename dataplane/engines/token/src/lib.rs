//! Exact byte-level tokenizer: vocabularies in, token ids out.

pub mod formats;
pub mod naive;
mod table;
pub mod vocab;

pub use table::Table;
