//! `pfs blob`, `pfs plan-file` and `pfs rebuild`: files as references into a blob, from the command
//! line.

mod blob;
mod plan_file;
mod rebuild;

pub(crate) use blob::{BlobCommand, blob};
pub(crate) use plan_file::{PlanFileArgs, plan_file};
pub(crate) use rebuild::{RebuildArgs, rebuild};
