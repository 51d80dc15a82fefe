//! Where replies go out, as the plan writes it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::receivers::af_xdp::ZeroCopy;
use crate::transmitters::af_packet::AfPacketTxSpec;
use crate::transmitters::pcap::PcapSinkSpec;

/// The way out of replies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplySpec {
    /// Out of the socket of the `udp` source that the request came to.
    Udp(UdpReplySpec),
    /// A packet socket with a transmit ring; each worker has its own.
    AfPacket(AfPacketTxSpec),
    /// An AF_XDP socket on a transmit queue.
    AfXdp(AfXdpReplySpec),
    /// A capture file of the replies to Ethernet frames, for sources that are no link: replies are as
    /// long as it takes, and the file is waited for. With more than one worker each has its own, with
    /// `.` and the worker's number appended. It is there once the run has ended.
    Pcap(PcapSinkSpec),
}

/// Replies out of a source's own socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UdpReplySpec {
    /// Most bytes of a reply's payload, 64 to 65,507. With more than the way's MTU takes, IP
    /// fragments replies.
    #[serde(default = "datagram_bytes")]
    pub datagram_bytes: u32,
}

/// Replies by AF_XDP. Each worker has a queue of its own: `queue` and the worker's number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AfXdpReplySpec {
    /// Interface to send from; it must be up.
    pub interface: String,
    /// First transmit queue, from 0. No AF_XDP receiver can be bound to the same one.
    #[serde(default)]
    pub queue: u32,
    /// Whether the driver may read from the UMEM itself.
    #[serde(default)]
    pub zero_copy: ZeroCopy,
}

/// What an Ethernet frame of 1,500 bytes has room for.
const fn datagram_bytes() -> u32 {
    1472
}

impl ReplySpec {
    /// What a reply out of a socket may have, in bytes of payload.
    pub const DATAGRAM_BYTES: std::ops::RangeInclusive<u32> = 64..=65_507;

    /// The kind's name in plans.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Udp(_) => "udp",
            Self::AfPacket(_) => "af_packet",
            Self::AfXdp(_) => "af_xdp",
            Self::Pcap(_) => "pcap",
        }
    }
}

impl Default for UdpReplySpec {
    fn default() -> Self {
        Self { datagram_bytes: datagram_bytes() }
    }
}
