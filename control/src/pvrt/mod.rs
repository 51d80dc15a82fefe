//! `pfs blob` and `pfs rebuild`: files as references into a blob, from the command line.

mod blob;
mod rebuild;

pub(crate) use blob::{BlobCommand, blob};
pub(crate) use rebuild::{RebuildArgs, rebuild};
