//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers.

use super::frame::be16;
use super::parse::Link;
use super::{Fragment, Frame, Malformed, Network, Parsed, Vlans, transport};

/// IPv6 extension headers followed; a longer chain counts as a loop. As in the XDP program.
const MAX_EXTENSIONS: usize = 6;

// IP protocol and IPv6 next-header numbers (IANA).
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// An IP packet whose IP headers are done: what the transport layer needs of it.
#[derive(Clone, Copy)]
pub(super) struct Packet {
    pub(super) source: u128,
    pub(super) destination: u128,
    pub(super) ethertype: u16,
    pub(super) vlans: Vlans,
    pub(super) network: Network,
    pub(super) protocol: u8,
    pub(super) fragment: Fragment,
    /// One past the last byte of the IP packet in its frame: `<= wire`.
    pub(super) end: usize,
}

/// An IPv4 packet at `at`, which is at most 22.
#[inline(always)]
pub(super) fn v4(frame: Frame<'_>, at: usize, link: Link) -> Result<Parsed, Malformed> {
    let header = frame.at::<20>(at, Malformed::Ipv4Short)?;
    if header[0] >> 4 != 4 {
        return Err(Malformed::IpVersion);
    }
    let header_len = usize::from(header[0] & 15) * 4;
    if header_len < 20 {
        return Err(Malformed::Ipv4HeaderLength);
    }
    let total_len = usize::from(be16::<2, 20>(header));
    if total_len < header_len {
        return Err(Malformed::Ipv4TotalShort);
    }
    let end = at + total_len;
    if end > frame.wire() as usize {
        return Err(Malformed::Ipv4TotalBeyond);
    }
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    let packet = Packet {
        source: u128::from(u32::from_be_bytes([s0, s1, s2, s3])),
        destination: u128::from(u32::from_be_bytes([d0, d1, d2, d3])),
        ethertype: link.ethertype,
        vlans: link.vlans,
        network: Network::Ipv4,
        protocol: header[9],
        // Don't Fragment and the reserved bit do not matter.
        fragment: fragment(be16::<6, 20>(header) & 0x1fff, header[6] & 0x20 != 0),
        end,
    };
    transport::parse(frame, at + header_len, &packet)
}

#[inline(always)]
const fn fragment(offset: u16, more: bool) -> Fragment {
    match (offset, more) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First,
        _ => Fragment::Later,
    }
}

/// An IPv6 packet at `at`, which is at most 22.
#[inline(always)]
pub(super) fn v6(frame: Frame<'_>, at: usize, link: Link) -> Result<Parsed, Malformed> {
    let header = frame.at::<40>(at, Malformed::Ipv6Short)?;
    if header[0] >> 4 != 6 {
        return Err(Malformed::IpVersion);
    }
    let payload_len = usize::from(be16::<4, 40>(header));
    let next = header[6];
    if payload_len == 0 && next == HOP_BY_HOP {
        return Err(Malformed::Ipv6Jumbogram);
    }
    let at = at + 40;
    let end = at + payload_len;
    if end > frame.wire() as usize {
        return Err(Malformed::Ipv6PayloadBeyond);
    }
    let (_, addresses) = header.split_at(8);
    let packet = Packet {
        source: addresses.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes)),
        destination: addresses.last_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes)),
        ethertype: link.ethertype,
        vlans: link.vlans,
        network: Network::Ipv6,
        protocol: next,
        fragment: Fragment::Whole,
        end,
    };
    if is_extension(next) {
        extensions(frame, at, packet)
    } else {
        transport::parse(frame, at, &packet)
    }
}

const fn is_extension(next: u8) -> bool {
    matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS)
}

/// Follows the chain of extension headers from `at`.
#[inline(never)]
fn extensions(frame: Frame<'_>, mut at: usize, mut packet: Packet) -> Result<Parsed, Malformed> {
    for _ in 0..MAX_EXTENSIONS {
        let kind = packet.protocol;
        if at + 8 > packet.end {
            return Err(Malformed::Ipv6ChainShort);
        }
        let header = frame.at::<8>(at, Malformed::Ipv6ChainShort)?;
        packet.protocol = header[0];
        at += match kind {
            FRAGMENT => 8,
            AUTHENTICATION => usize::from(header[1]) * 4 + 8,
            _ => usize::from(header[1]) * 8 + 8,
        };
        if at > packet.end {
            return Err(Malformed::Ipv6ChainShort);
        }
        if kind == FRAGMENT {
            let word = be16::<2, 8>(header);
            // A second fragment header cannot make a fragment whole again.
            packet.fragment = packet.fragment.max(fragment(word >> 3, word & 1 != 0));
        }
        if packet.fragment == Fragment::Later || !is_extension(packet.protocol) {
            return transport::parse(frame, at, &packet);
        }
    }
    Err(Malformed::Ipv6ChainLong)
}
