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
mod error;
pub mod frames;
mod message;
mod pace;
pub mod tree;

pub use error::TransferError;
