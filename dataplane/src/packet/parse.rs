//! Ethernet and VLAN tags, and the way in.

use super::frame::be16;
use super::{Frame, Malformed, Network, Parsed, Span, Vlans, ip};
use crate::receivers::Framing;

/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// EtherType for local experiments (IEEE 802): its payload is all after the Ethernet header.
pub const ETHERTYPE_RAW: u16 = 0x88b5;

/// Bytes of an Ethernet header without tags.
const ETHERNET: usize = 14;
/// EtherTypes below are the payload's length (IEEE 802.3).
const LENGTH_LIMIT: u16 = 0x0600;
/// Tags followed; a third one is left in the payload.
const MAX_TAGS: usize = 2;

/// What stands before the network header.
#[derive(Clone, Copy)]
pub(super) struct Link {
    pub(super) ethertype: u16,
    pub(super) vlans: Vlans,
}

/// Finds the payload of a frame and the fields that rules match on.
///
/// Payload is what UDP or TCP carries, else what IP carries (ICMP header included), else what
/// Ethernet carries. Ethernet padding behind an IP packet is not payload. See the
/// [module](super) for which lies are tolerated.
///
/// # Errors
/// [`Malformed`] says what is wrong. No input panics.
#[inline]
pub fn parse(framing: Framing, frame: Frame<'_>) -> Result<Parsed, Malformed> {
    match framing {
        Framing::Ethernet => ethernet(frame),
        Framing::Ip => bare_ip(frame),
        Framing::Payload => Ok(bare_payload(frame)),
    }
}

#[inline]
fn ethernet(frame: Frame<'_>) -> Result<Parsed, Malformed> {
    let header = frame.at::<ETHERNET>(0, Malformed::EthernetShort)?;
    let link = Link { ethertype: be16::<12, ETHERNET>(header), vlans: Vlans::default() };
    match link.ethertype {
        // The constant offset lets the compiler fold the bounds checks of this, the common way.
        ETHERTYPE_IPV4 => ip::v4(frame, ETHERNET, link),
        ETHERTYPE_IPV6 => ip::v6(frame, ETHERNET, link),
        _ => tagged(frame, header, link),
    }
}

/// Frames with VLAN tags, and those without IP.
#[inline(never)]
fn tagged(frame: Frame<'_>, header: &[u8; ETHERNET], link: Link) -> Result<Parsed, Malformed> {
    let Link { mut ethertype, mut vlans } = link;
    let mut at = ETHERNET;
    for id in &mut vlans.ids {
        // 802.1Q, 802.1ad, and the older QinQ type.
        if !matches!(ethertype, 0x8100 | 0x88a8 | 0x9100) {
            break;
        }
        let tag = frame.at::<4>(at, Malformed::VlanShort)?;
        *id = be16::<0, 4>(tag) & 0x0fff;
        ethertype = be16::<2, 4>(tag);
        at += 4;
    }
    vlans.count = ((at - ETHERNET) / 4) as u8;
    let link = Link { ethertype, vlans };
    match ethertype {
        ETHERTYPE_IPV4 => ip::v4(frame, at, link),
        ETHERTYPE_IPV6 => ip::v6(frame, at, link),
        _ => Ok(without_ip(frame, header, at, link)),
    }
}

fn without_ip(frame: Frame<'_>, header: &[u8; ETHERNET], at: usize, link: Link) -> Parsed {
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, ..] = *header;
    let mac = |bytes: [u8; 6]| bytes.iter().fold(0, |mac, &byte| mac << 8 | u128::from(byte));
    let left = frame.captured() - at as u32;
    let len = match link.ethertype {
        length if length < LENGTH_LIMIT => left.min(u32::from(length)),
        _ => left,
    };
    Parsed {
        source: mac([s0, s1, s2, s3, s4, s5]),
        destination: mac([d0, d1, d2, d3, d4, d5]),
        payload: Span { offset: at as u32, len },
        ethertype: link.ethertype,
        vlans: link.vlans,
        network: Network::Link,
        truncated: frame.is_truncated(),
        ..Parsed::default()
    }
}

fn bare_ip(frame: Frame<'_>) -> Result<Parsed, Malformed> {
    let [first] = frame.at::<1>(0, Malformed::Ipv4Short)?;
    let vlans = Vlans::default();
    match first >> 4 {
        4 => ip::v4(frame, 0, Link { ethertype: ETHERTYPE_IPV4, vlans }),
        6 => ip::v6(frame, 0, Link { ethertype: ETHERTYPE_IPV6, vlans }),
        _ => Err(Malformed::IpVersion),
    }
}

fn bare_payload(frame: Frame<'_>) -> Parsed {
    Parsed {
        payload: Span { offset: 0, len: frame.captured() },
        truncated: frame.is_truncated(),
        ..Parsed::default()
    }
}

const _: () = assert!(MAX_TAGS == Vlans { ids: [0; 2], count: 0 }.ids.len());
