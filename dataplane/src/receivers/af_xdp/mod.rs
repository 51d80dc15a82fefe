//! AF_XDP: packets that an XDP program redirects, in memory shared with the kernel.
//!
//! `AfXdp::open` attaches the program once and gives a receiver for each queue, every one with
//! a UMEM and a socket of its own; nothing is shared between their threads but the program.
//! What a rule does not select goes on to the kernel's stack.
//!
//! # What is counted where (copy mode, Linux 6.18, by experiment)
//!
//! The program counts each packet once, by verdict. A redirect counts there before the socket
//! has taken it, and what the socket then loses is in `XDP_STATISTICS`, native and generic alike:
//!
//! | cause | `rx_dropped` | `rx_ring_full` | `rx_fill_ring_empty_descs` |
//! |---|---|---|---|
//! | too few frames in the fill ring, in one buffer or several | 1 | 0 | 1 |
//! | RX ring full | 0 | 1 | 0 |
//!
//! So `redirected = polled + rx_dropped + rx_ring_full` at quiet, and an empty fill ring must
//! not be added again. The kernel's totals do not reset when read.

#[cfg(feature = "af-xdp")]
pub(crate) mod bind;
#[cfg(feature = "af-xdp")]
pub(crate) mod error;
#[cfg(feature = "af-xdp")]
mod frames;
#[cfg(feature = "af-xdp")]
mod gate;
#[cfg(feature = "af-xdp")]
mod interface;
#[cfg(feature = "af-xdp")]
mod receiver;
#[cfg(feature = "af-xdp")]
#[cfg(test)]
pub(crate) mod rig;
#[cfg(feature = "af-xdp")]
pub(crate) mod socket;
mod spec;
#[cfg(feature = "af-xdp")]
mod stage;
#[cfg(feature = "af-xdp")]
#[cfg(test)]
mod tests;
#[cfg(feature = "af-xdp")]
mod wait;

#[cfg(feature = "af-xdp")]
pub use gate::XdpAttachment;
#[cfg(feature = "af-xdp")]
pub use interface::AfXdp;
#[cfg(feature = "af-xdp")]
pub use receiver::AfXdpReceiver;
#[cfg(feature = "af-xdp")]
pub(crate) use spec::HEADROOM;
pub use spec::{AfXdpSpec, AllQueues, Queues, WaitMode, ZeroCopy};
