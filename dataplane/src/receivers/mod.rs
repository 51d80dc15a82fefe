//! Receivers: where packets come from.
//!
//! A backend fills a [`Batch`] with whole frames and lends each under a token; the tokens come
//! back through [`Receive::recycle`]. Backends are variants of [`Receiver`], chosen once per
//! batch, not once per packet.

pub mod af_packet;
pub mod af_xdp;
mod any;
mod batch;
#[cfg(feature = "dpdk")]
pub mod dpdk;
pub(crate) mod errors;
pub mod memory;
pub mod pcap;
pub mod udp;

use std::time::Duration;

use pfs_rings::{Desc, RegionView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use any::{Receiver, SourceSpec};
pub use batch::{BATCH, Batch};

use crate::counters::SourceCounters;

/// What the first byte of a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// An Ethernet header.
    Ethernet,
    /// An IPv4 or IPv6 header.
    Ip,
    /// Payload alone: no header is parsed.
    Payload,
}

/// The contract of a backend. All methods are called by the one thread that owns it.
pub trait Receive {
    /// Adds frames to `batch`, as many as are there and fit, without waiting.
    ///
    /// A frame over several buffers is added whole or not at all, as a SOM..EOM chain. Each
    /// descriptor added has its frame lent; `region` is left 0, for the caller to set.
    ///
    /// # Errors
    /// When the source is gone or broken (interface removed, file truncated). Frames already in
    /// `batch` stay valid.
    fn poll(&mut self, batch: &mut Batch) -> Result<usize, ReceiveError>;

    /// Takes lent frames back. Tokens that are not on loan are refused and counted.
    fn recycle(&mut self, frames: &[u32]);

    /// Takes all back that is still on loan of what the last poll added: `descs`, in their order.
    fn recycle_all(&mut self, descs: &[Desc]) {
        let mut tokens = [0; BATCH];
        for descs in descs.chunks(BATCH) {
            tokens.iter_mut().zip(descs).for_each(|(token, desc)| *token = desc.frame);
            self.recycle(&tokens[..descs.len()]);
        }
    }

    /// Sleeps until a frame may be there, or `timeout` has passed.
    ///
    /// # Errors
    /// As [`Self::poll`].
    fn wait(&mut self, timeout: Duration) -> Result<(), ReceiveError>;

    /// Monotonic totals, read afresh. May make a system call: for the housekeeping path.
    fn counters(&mut self) -> SourceCounters;

    /// What the kernel gave, beside what was asked.
    fn granted(&self) -> Granted;

    /// The memory that this source's descriptors point into.
    fn region(&self) -> RegionView;

    /// How frames begin.
    fn framing(&self) -> Framing;

    /// Whether a full ring makes this source wait instead of dropping: files and memory do.
    fn lossless(&self) -> bool;

    /// Whether the source has ended: nothing more will come. Live sources end only by `detach`,
    /// once all that had arrived was polled.
    fn finished(&self) -> bool;

    /// Stops new arrivals. What has arrived can still be polled; `finished` tells when it was.
    fn detach(&mut self);
}

/// What a source was granted, for the plan's `granted` section and the reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Granted {
    /// Backend by its plan name: `af_packet`, `af_xdp`, `dpdk`, `udp`, `pcap`, `memory`.
    pub backend: String,
    /// Mode in one word or two: `native copy`, `generic copy`, `native zero-copy`, `tpacket_v3`,
    /// `gro`, `mapped`, a driver's name, …
    pub mode: String,
    /// Interface, address or path that it reads from.
    pub from: String,
    /// Kernel receive queue, where the backend has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
    /// Frames that can be on loan at once.
    pub frames: u32,
    /// Bytes of the region.
    pub region_bytes: u64,
    /// Why something asked for was not given; empty when all was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A source that cannot be opened, or can no longer be read.
///
/// Each message says what was being done, why it failed, and the command that mends it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The interface is missing or down.
    #[error(transparent)]
    Link(#[from] crate::link::LinkError),
    /// The XDP program could not be loaded, attached or given a socket.
    #[error(transparent)]
    Xdp(#[from] pfs_ebpf::XdpError),
    /// A system call failed.
    #[error("{doing}: {source}{}", remedy(.fix))]
    Io {
        /// What was being done, with its object: `binding AF_XDP to veth0 queue 3`.
        doing: String,
        /// The kernel's answer.
        source: std::io::Error,
        /// What mends it, as a command where there is one; may be empty.
        fix: String,
    },
    /// What was asked cannot be: a bad setting, or a host that lacks it.
    #[error("{what}{}", remedy(.fix))]
    Unsupported {
        /// What cannot be, and why.
        what: String,
        /// What mends it; may be empty.
        fix: String,
    },
    /// The source's content is broken: a truncated or corrupt capture.
    #[error("{what} at byte {at}")]
    Malformed {
        /// What is wrong, with the file's name.
        what: String,
        /// Byte offset in the source.
        at: u64,
    },
}

fn remedy(fix: &str) -> String {
    if fix.is_empty() { String::new() } else { format!("; {fix}") }
}
