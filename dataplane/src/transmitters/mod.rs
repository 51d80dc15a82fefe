//! Transmitters: where frames go out.

pub mod af_packet;
#[cfg(feature = "af-xdp")]
pub mod af_xdp;
mod any;
#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod frames;
pub mod pace;
pub mod pcap;
pub mod replies;
pub mod udp;

use serde::{Deserialize, Serialize};

pub use any::{SinkSpec, Transmitter};

/// The contract of a transmitting backend. Called by the one thread that owns it.
pub trait Transmit {
    /// Queues frames in order, as many as there is room for, and returns how many it took.
    /// The caller offers the rest again.
    ///
    /// # Errors
    /// When the sink is gone or refuses a frame for good (larger than the MTU); the count of
    /// frames already taken is in [`Transmit::counters`].
    fn send(&mut self, frames: &[&[u8]]) -> Result<usize, TransmitError>;

    /// Makes the kernel send what is queued and waits until all of it has left.
    ///
    /// # Errors
    /// When the sink is gone, or makes no progress for two seconds.
    fn flush(&mut self) -> Result<(), TransmitError>;

    /// Monotonic totals: what really went out.
    fn counters(&mut self) -> TransmitCounters;
}

/// What a transmitter put out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransmitCounters {
    /// Frames accepted by [`Transmit::send`].
    pub accepted: u64,
    /// Frames that the kernel (or the file) took for good.
    pub sent: u64,
    /// Bytes of those frames, Ethernet header included, FCS not.
    pub sent_bytes: u64,
    /// Frames that the kernel refused or the link dropped.
    pub failed: u64,
}

/// A sink that cannot be opened or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransmitError {
    /// The interface is missing or down.
    #[error(transparent)]
    Link(#[from] crate::link::LinkError),
    /// A system call failed.
    #[error("{doing}: {source}{}", if .fix.is_empty() { String::new() } else { format!("; {fix}") })]
    Io {
        /// What was being done, with its object.
        doing: String,
        /// The kernel's answer.
        source: std::io::Error,
        /// What mends it; may be empty.
        fix: String,
    },
    /// What was asked cannot be.
    #[error("{what}{}", if .fix.is_empty() { String::new() } else { format!("; {fix}") })]
    Unsupported {
        /// What cannot be, and why.
        what: String,
        /// What mends it; may be empty.
        fix: String,
    },
}
