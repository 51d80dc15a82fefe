//! What the parser gives: the payload's span and the fields that rules and hash look at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a frame, counted from its first byte over all its buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub offset: u32,
    /// Bytes; may be 0.
    pub len: u32,
}

impl Span {
    /// One past the last byte.
    #[inline]
    #[must_use]
    pub const fn end(self) -> u32 {
        self.offset + self.len
    }
}

/// What the addresses of a [`Parsed`] are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Network {
    /// None: the frame is payload alone.
    #[default]
    None,
    /// MAC addresses: the frame carries no IP.
    Link,
    /// IPv4 addresses.
    Ipv4,
    /// IPv6 addresses.
    Ipv6,
}

/// Which part of an IP datagram a packet is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Fragment {
    /// All of it. IPv6 atomic fragments (RFC 6946) are whole.
    #[default]
    Whole,
    /// The first fragment: holds the transport header.
    First,
    /// A later fragment: no transport header.
    Later,
}

/// Ports of a UDP, TCP, SCTP or UDP-Lite packet that holds its transport header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
}

/// VLAN tags, outermost first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vlans {
    pub(super) ids: [u16; 2],
    pub(super) count: u8,
}

impl Vlans {
    /// VLAN ids, `0..4096`, outermost first; at most two.
    #[must_use]
    pub fn ids(&self) -> &[u16] {
        self.ids.get(..usize::from(self.count)).unwrap_or(&self.ids)
    }
}

/// A well-formed frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Source address as a number: IPv4 in the low 32 bits, a MAC address in the low 48.
    pub source: u128,
    /// Destination address, likewise.
    pub destination: u128,
    /// The payload, within the captured bytes; it begins in (or at the end of) the first buffer.
    pub payload: Span,
    /// EtherType after the VLAN tags; below 0x600 it is an IEEE 802.3 length; 0 for bare payload.
    pub ethertype: u16,
    /// Transport ports, where the packet holds them.
    pub ports: Option<Ports>,
    /// VLAN tags.
    pub vlans: Vlans,
    /// What the addresses are.
    pub network: Network,
    /// IP protocol number, after IPv6 extension headers; in a later IPv6 fragment that of the
    /// first header in the fragmented part; 0 without IP.
    pub protocol: u8,
    /// Which part of its datagram this is.
    pub fragment: Fragment,
    /// Bytes of the UDP or TCP header that ends where the payload begins; 0 without one.
    pub transport_len: u8,
    /// Whether the frame was longer on the wire than what is there.
    pub truncated: bool,
}

impl Parsed {
    /// The source IP address, if there is one.
    #[must_use]
    pub const fn source_ip(&self) -> Option<IpAddr> {
        self.ip(self.source)
    }

    /// The destination IP address, if there is one.
    #[must_use]
    pub const fn destination_ip(&self) -> Option<IpAddr> {
        self.ip(self.destination)
    }

    const fn ip(&self, number: u128) -> Option<IpAddr> {
        match self.network {
            Network::Ipv4 => Some(IpAddr::V4(Ipv4Addr::from_bits(number as u32))),
            Network::Ipv6 => Some(IpAddr::V6(Ipv6Addr::from_bits(number))),
            Network::None | Network::Link => None,
        }
    }
}
