//! The control channel: a TCP connection with messages in sealed records.

mod channel;
pub mod keys;
mod secure;

use std::time::Duration;

pub use channel::{Incoming, Outgoing, accept, connect};
pub use secure::{Security, VERSION};

/// How long an end may say nothing before it counts as dead.
pub const PATIENCE: Duration = Duration::from_secs(30);
