//! One interface opened for AF_XDP: the program attached once, a receiver for each queue.

use std::sync::Arc;

use pfs_ebpf::rules::XdpRule;

use super::gate::{Gate, XdpAttachment};
use super::{AfXdpReceiver, AfXdpSpec};
use crate::link::Link;
use crate::receivers::ReceiveError;

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
