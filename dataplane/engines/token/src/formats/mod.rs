//! The files that vocabularies come from and go to.


pub mod crayon;
pub mod dat;
pub mod hf;
pub mod packed;
pub mod sections;
pub mod tiktoken;

mod error;

pub use error::FormatError;
