//! `pfs blob`, `plan-file`, `rebuild`, `send` and `recv`: files as references, from the command line.

mod blob;
mod hosts;
mod plan_file;
mod rebuild;
mod recv;
mod send;
mod show;
mod via;

pub(crate) use blob::{BlobCommand, blob};
pub(crate) use plan_file::{PlanFileArgs, plan_file};
pub(crate) use rebuild::{RebuildArgs, rebuild};
pub(crate) use recv::{RecvArgs, recv};
pub(crate) use send::{SendArgs, send};
pub(crate) use via::{LinkFrom, Via};
