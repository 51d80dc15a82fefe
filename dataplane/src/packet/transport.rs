//! UDP (RFC 768) and TCP (RFC 9293) headers, the ports of SCTP (RFC 9260) and UDP-Lite
//! (RFC 3828), and the payload's span.

use super::frame::be16;
use super::ip::Packet;
use super::{Fragment, Frame, Malformed, Parsed, Ports, Span};

/// IP protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// IP protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_SCTP: u8 = 132;
const PROTOCOL_UDP_LITE: u8 = 136;

/// What IP carries, from `at <= packet.end`.
#[inline(always)]
pub(super) fn parse(
    frame: Frame<'_>,
    at: usize,
    packet: &Packet,
    parsed: &mut Parsed,
) -> Result<(), Malformed> {
    if packet.fragment == Fragment::Later {
        return finish(frame, (at, at), packet.end, None, packet, parsed);
    }
    match packet.protocol {
        PROTOCOL_UDP => udp(frame, at, packet, parsed),
        PROTOCOL_TCP => tcp(frame, at, packet, parsed),
        _ => finish(frame, (at, at), packet.end, other_ports(frame, at, packet), packet, parsed),
    }
}

/// Ports of the protocols whose header stays in the payload.
#[inline]
fn other_ports(frame: Frame<'_>, at: usize, packet: &Packet) -> Option<Ports> {
    let header_len = match packet.protocol {
        PROTOCOL_SCTP => 12,
        PROTOCOL_UDP_LITE => 8,
        _ => return None,
    };
    let end = packet.end.min(frame.head().len());
    let header = frame.head().get(at..end).filter(|left| left.len() >= header_len)?;
    let header = header.first_chunk::<4>()?;
    Some(Ports { source: be16::<0, 4>(header), destination: be16::<2, 4>(header) })
}

#[inline(always)]
fn udp(frame: Frame<'_>, at: usize, packet: &Packet, parsed: &mut Parsed) -> Result<(), Malformed> {
    if at + 8 > packet.end {
        return Err(Malformed::UdpShort);
    }
    let header = frame.at::<8>(at, Malformed::UdpShort)?;
    let len = usize::from(be16::<4, 8>(header));
    // The length is that of the whole datagram: a first fragment holds less.
    if len < 8 || (at + len > packet.end && packet.fragment == Fragment::Whole) {
        return Err(Malformed::UdpLength);
    }
    let ports = Ports { source: be16::<0, 8>(header), destination: be16::<2, 8>(header) };
    finish(frame, (at, at + 8), packet.end.min(at + len), Some(ports), packet, parsed)
}

#[inline(always)]
fn tcp(frame: Frame<'_>, at: usize, packet: &Packet, parsed: &mut Parsed) -> Result<(), Malformed> {
    if at + 20 > packet.end {
        return Err(Malformed::TcpShort);
    }
    let header = frame.at::<20>(at, Malformed::TcpShort)?;
    let payload = at + usize::from(header[12] >> 4) * 4;
    if payload < at + 20 || payload > packet.end {
        return Err(Malformed::TcpDataOffset);
    }
    let ports = Ports { source: be16::<0, 20>(header), destination: be16::<2, 20>(header) };
    finish(frame, (at, payload), packet.end, Some(ports), packet, parsed)
}

/// The payload `from..end`, where `from <= end <= wire`, limited to what is there, behind a header
/// that begins at `at`.
#[inline(always)]
fn finish(
    frame: Frame<'_>,
    (at, from): (usize, usize),
    end: usize,
    ports: Option<Ports>,
    packet: &Packet,
    parsed: &mut Parsed,
) -> Result<(), Malformed> {
    if from > frame.head().len() {
        return Err(frame.missing(from, Malformed::CutInHeader));
    }
    let end = end.min(frame.captured() as usize);
    *parsed = Parsed {
        source: packet.source,
        destination: packet.destination,
        payload: Span { offset: from as u32, len: (end - from) as u32 },
        ethertype: packet.ethertype,
        ports,
        vlans: packet.vlans,
        network: packet.network,
        protocol: packet.protocol,
        fragment: packet.fragment,
        transport_len: (from - at) as u8,
        truncated: frame.is_truncated(),
    };
    Ok(())
}
