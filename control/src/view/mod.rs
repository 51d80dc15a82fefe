//! Live views of a run: one document, shown by `pfs top`, by the web view and by `/metrics`.
//!
//! The run's threads publish their counters some fifty times a second whether or not anybody
//! looks; a view reads them and makes the [`Live`] document from two looks. Nothing on the way of
//! a packet knows of views.

mod cores;
mod document;
mod metrics;
pub(crate) mod places;
pub(crate) mod protocol;
mod sample;
mod serve;

pub use document::{
    CoreLive, DropLive, EngineLive, LIVE_VERSION, LaneLive, Live, OpLive, Rates, ReceiverCycles,
    ReceiverLive, RunId, State, WorkerLive,
};
pub use protocol::{Answer, Hello, PROTOCOL_VERSION, Request};
pub(crate) use sample::Watched;
pub(crate) use serve::{Pages, Serving, Token, Views};
