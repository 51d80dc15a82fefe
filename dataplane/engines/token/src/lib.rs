//! Exact byte-level tokenizer: vocabularies in, token ids out.

pub mod certain;
pub mod formats;
pub mod greedy;
pub mod naive;
mod table;
pub mod trie;
pub mod vocab;

pub use table::Table;
