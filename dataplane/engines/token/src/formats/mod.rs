//! The files that vocabularies come from and go to.

mod error;
pub mod packed;
pub mod sections;
pub mod tiktoken;

pub use error::FormatError;
