//! Programs as bytes: PacketFS's formats, and one of our own for files of any size.
//!
//! Every reader takes all of its input or refuses it, with the place and the fault
//! ([`FormatError`]); nothing is allocated that the input's own size does not justify. What the
//! original's formats cannot say is said to be so, never written half.

pub mod binary;
pub mod blueprint;
mod cursor;
mod error;
pub mod frames;
#[doc(hidden)]
pub mod fuzzing;
pub mod iprog;
mod json;
mod mapped;
mod open;
pub mod pox1;
#[cfg(test)]
pub(crate) mod testing;

pub use error::{Fault, FormatError, Unwritable};
pub use mapped::Mapped;
pub use open::{Format, OpenError, Opened};
