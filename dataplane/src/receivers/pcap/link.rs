//! Link types: how the frames of a capture begin.
//!
//! Numbers from <https://www.tcpdump.org/linktypes.html>.

use std::fmt;

use super::reader::{Fault, Packet};
use crate::receivers::Framing;

/// A link type that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// 1: Ethernet.
    Ethernet,
    /// 101, 228, 229, 12 and 14: an IP header comes first.
    Raw,
    /// 0 and 108: four bytes of address family, then IP.
    Loopback,
    /// 113: Linux "cooked" header v1, 16 bytes.
    Sll,
    /// 276: Linux "cooked" header v2, 20 bytes.
    Sll2,
    /// 147, the first for private use: bare payload, as payload sinks write it.
    User0,
}

impl Link {
    /// The link type of registry number `number`.
    pub(super) const fn of(number: u16) -> Result<Self, Fault> {
        match number {
            1 => Ok(Self::Ethernet),
            12 | 14 | 101 | 228 | 229 => Ok(Self::Raw),
            0 | 108 => Ok(Self::Loopback),
            113 => Ok(Self::Sll),
            147 => Ok(Self::User0),
            276 => Ok(Self::Sll2),
            _ => Err(Fault::LinkType { number, name: name(number) }),
        }
    }

    /// How the frames look that the reader gives.
    #[must_use]
    pub const fn framing(self) -> Framing {
        match self {
            Self::Ethernet | Self::Sll | Self::Sll2 => Framing::Ethernet,
            Self::Raw | Self::Loopback => Framing::Ip,
            Self::User0 => Framing::Payload,
        }
    }

    /// Narrows a packet from what the file holds to what [`Self::framing`] promises.
    ///
    /// A cooked v1 header ends in MAC, two bytes of padding, protocol: its last 14 bytes read as
    /// an Ethernet header whose addresses mean nothing and whose EtherType is right. In a cooked v2
    /// header the protocol comes first; it is to be written where an Ethernet header has it.
    /// `head` is the packet's first two bytes, when it has them.
    #[inline]
    pub(super) fn strip(self, packet: &mut Packet, head: Option<[u8; 2]>) {
        let skip: u32 = match self {
            Self::Ethernet | Self::Raw | Self::User0 => return,
            Self::Sll => 2,
            Self::Loopback => 4,
            Self::Sll2 => 6,
        };
        let cut = skip.min(packet.captured);
        packet.offset += u64::from(cut);
        packet.captured -= cut;
        packet.wire -= cut;
        if self == Self::Sll2 && packet.captured >= 14 {
            packet.ether_type = head;
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ethernet => "Ethernet",
            Self::Raw => "raw IP",
            Self::Loopback => "BSD loopback",
            Self::Sll => "Linux cooked v1",
            Self::Sll2 => "Linux cooked v2",
            Self::User0 => "bare payload",
        })
    }
}

const fn name(number: u16) -> &'static str {
    match number {
        9 => "PPP",
        50 => "PPP_HDLC",
        105 => "IEEE802_11",
        119 => "IEEE802_11_PRISM",
        127 => "IEEE802_11_RADIOTAP",
        148..=162 => "USER",
        187 => "BLUETOOTH_HCI_H4",
        189 => "USB_LINUX",
        195 => "IEEE802_15_4_WITHFCS",
        220 => "USB_LINUX_MMAPPED",
        227 => "CAN_SOCKETCAN",
        239 => "NFLOG",
        253 => "NETLINK",
        _ => "unknown",
    }
}
