//! Exact byte-level tokenizer: vocabularies in, token ids out.

mod bpe;
pub mod certain;
mod decode;
mod encode;
pub mod formats;
pub mod fuzzing;
pub mod greedy;
pub mod naive;
mod pages;
pub mod profile;
pub mod split;
mod stream;
mod table;
pub mod trie;
pub mod vocab;
mod vocabulary;
mod words;

pub use decode::DecodeError;
pub use encode::{EncodeError, EncodeOptions, Encoder, SpecialPolicy};
pub use pages::Granted;
pub use stream::StreamState;
pub use table::Table;
pub use vocabulary::{VocabError, Vocabulary};
