//! The files that vocabularies come from and go to.
//!
//! | format | reads | writes |
//! |---|---|---|
//! | `.tiktoken` | [`tiktoken::read`] | [`tiktoken::write`] |
//! | `tokenizer.json` | [`hf::read`] | – |
//! | Crayon JSON | [`crayon::read`] | – |
//! | Crayon `.dat` version 2 | [`dat::read`] | [`dat::write`] |
//! | v3 | [`sections::SectionReader`] | [`sections::SectionWriter`] |
//!
//! [`read`] tells them apart by their content.

pub mod crayon;
pub mod dat;
mod error;
pub mod fuzzing;
pub mod hf;
mod open;
pub mod packed;
pub mod sections;
mod stored;
pub mod tiktoken;

pub use error::FormatError;
pub use open::{Loaded, ReadOptions, read, read_bytes, read_with, save};
