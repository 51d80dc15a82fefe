//! `pfs rebuild`: files as references into a blob, from the command line.

mod rebuild;

pub(crate) use rebuild::{RebuildArgs, rebuild};
