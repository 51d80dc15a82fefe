//! AF_XDP: packets that an XDP program redirects, in memory shared with the kernel.
//!
//! [`AfXdp::open`] attaches the program once and gives a receiver for each queue, every one with
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

pub(crate) mod bind;
pub(crate) mod error;
mod frames;
mod gate;
mod receiver;
#[cfg(test)]
pub(crate) mod rig;
pub(crate) mod socket;
pub(crate) mod spec;
mod stage;
#[cfg(test)]
mod tests;
mod wait;

use std::sync::Arc;

use pfs_ebpf::rules::XdpRule;

pub use gate::XdpAttachment;
pub use receiver::AfXdpReceiver;
pub use spec::{AfXdpSpec, AllQueues, Queues, WaitMode, ZeroCopy};

use super::ReceiveError;
use crate::link::Link;
use gate::Gate;

/// An interface opened for AF_XDP.
#[derive(Debug)]
pub struct AfXdp {
    /// The program. It stays attached as long as this handle or any receiver lives.
    pub attachment: Arc<XdpAttachment>,
    /// One receiver for each queue, in the order of the specification.
    pub receivers: Vec<AfXdpReceiver>,
}

impl AfXdp {
    /// Attaches the program with `rules` to the interface and binds a socket to each queue.
    ///
    /// Needs CAP_NET_RAW for the sockets and what [`pfs_ebpf::load`] needs. On an error nothing
    /// stays attached or bound.
    ///
    /// # Errors
    /// The interface is missing, down, or has an XDP program; a queue does not exist or is held
    /// by another socket (waited for up to 2 s); mode, zero-copy or multi-buffer are required
    /// and not given; a capability is missing; memory is short.
    pub fn open(spec: &AfXdpSpec, rules: &[XdpRule]) -> Result<Self, ReceiveError> {
        spec.check()?;
        let link = Link::find_up(&spec.interface)?;
        let queues = spec.queue_list(link.rx_queues)?;
        let attachment = Arc::new(XdpAttachment::attach(spec, &link, &queues, rules)?);
        let open = |queue: &u32| {
            AfXdpReceiver::open(spec, &link, Gate::new(Arc::clone(&attachment), *queue))
        };
        let receivers = queues.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { attachment, receivers })
    }
}
