//! Trees of files: what the sender walks, what a manifest says, what the receiver writes.

mod manifest;
mod path;
mod scan;
pub(crate) mod staging;
mod target;

pub use manifest::{Entry, FILE_MAX, Kind, MODE_MASK, Order};
pub(crate) use path::as_path;
pub use path::{NAME_MAX, PATH_MAX, PathError, STAGING};
pub use scan::{Found, Scanned, scan};
pub(crate) use staging::{Part, Staging};
pub(crate) use target::{Standing, Target, dress};
