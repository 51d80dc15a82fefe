//! `pfs blob`, `pfs send` and `pfs recv`: files as references, from the command line.

mod blob;
mod hosts;
mod recv;
mod send;
mod show;
mod via;

pub(crate) use blob::{BlobCommand, blob};
pub(crate) use recv::{RecvArgs, recv};
pub(crate) use send::{SendArgs, send};
pub(crate) use via::Via;
