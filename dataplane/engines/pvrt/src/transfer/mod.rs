//! Trees of files from one host to another.
//!
//! ```text
//! send: scan ─► manifest ═══ control (TCP, Noise) ═══► what is there already? ─► target : recv
//!         └───► windows ──► wire frames ─ UDP or another FrameSink ─► assembly ─► staging ─┘
//!                  ▲                                                    │
//!                  └──────────── what arrived, what is missing ◄────────┘
//! ```

mod codec;
pub mod control;
mod digests;
mod error;
pub mod frames;
#[doc(hidden)]
pub mod fuzzing;
mod gauge;
mod link;
mod message;
mod pace;
mod recv;
mod send;
pub mod tree;

pub use error::TransferError;
pub use gauge::Gauge;
pub use recv::{OpenSource, RecvOptions, RecvReport, Server};
pub use send::{Compress, OpenSink, SendOptions, SendReport, WINDOW, Wire, send};
