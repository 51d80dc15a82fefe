//! The files that vocabularies come from and go to.

mod error;
pub mod sections;

pub use error::FormatError;
