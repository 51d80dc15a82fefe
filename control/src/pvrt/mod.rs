//! `pfs blob`: files as references into a blob, from the command line.

mod blob;

pub(crate) use blob::{BlobCommand, blob};
