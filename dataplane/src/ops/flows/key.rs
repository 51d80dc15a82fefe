//! From a frame's headers to the stream that its payload belongs to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;

use super::TcpHeader;
use crate::packet::{Fragment, Frame, Network, PROTOCOL_TCP, Parsed, Ports, parse};
use crate::pcpu::EngineSpan;
use crate::receivers::Framing;

/// Who sends to whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoints {
    /// Source address as a number: IPv4 in the low 32 bits, a MAC address in the low 48.
    pub source: u128,
    /// Destination address, likewise.
    pub destination: u128,
    /// Source port; 0 without ports.
    pub source_port: u16,
    /// Destination port; 0 without ports.
    pub destination_port: u16,
    /// What the addresses are.
    pub network: Network,
    /// IP protocol number; 0 without IP.
    pub protocol: u8,
}

impl Endpoints {
    fn of(parsed: &Parsed) -> Self {
        let Ports { source, destination } = parsed.ports.unwrap_or_default();
        Self {
            source: parsed.source,
            destination: parsed.destination,
            source_port: source,
            destination_port: destination,
            network: parsed.network,
            protocol: parsed.protocol,
        }
    }

    fn text(&self, address: u128, port: u16) -> String {
        let ip = match self.network {
            Network::Ipv4 => IpAddr::V4(Ipv4Addr::from_bits(address as u32)),
            Network::Ipv6 => IpAddr::V6(Ipv6Addr::from_bits(address)),
            Network::Link => {
                let [.., a, b, c, d, e, f] = address.to_be_bytes();
                return format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
            }
            Network::None => return String::new(),
        };
        if port == 0 { ip.to_string() } else { SocketAddr::new(ip, port).to_string() }
    }

    /// The source as text: `10.0.0.1:53`, `[2001:db8::1]:53`, a MAC address; empty when unknown.
    #[must_use]
    pub fn source_text(&self) -> String {
        self.text(self.source, self.source_port)
    }

    /// The destination, likewise.
    #[must_use]
    pub fn destination_text(&self) -> String {
        self.text(self.destination, self.destination_port)
    }
}

impl fmt::Display for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}", self.source_text(), self.destination_text())
    }
}

/// What tells one stream from all others of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StreamKey {
    /// The ends, in the direction of the packet.
    pub ends: Endpoints,
    /// VLAN ids, outermost first, one above the id; 0 where there is no tag.
    pub vlans: [u16; 2],
    /// EtherType, which tells streams without IP apart.
    pub ethertype: u16,
    /// The source that the packet came from.
    pub source: u16,
    /// The sender's hash, for payload without headers; else 0.
    pub sender: u32,
}

/// A packet's place among the streams.
#[derive(Clone, Copy, Debug)]
pub struct Located {
    /// Its stream.
    pub key: StreamKey,
    /// Its TCP header's numbers; `None` for a stream in order of arrival.
    pub tcp: Option<TcpHeader>,
}

/// A packet that belongs to no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoStream {
    /// Its headers are not before its payload, or do not parse as they did.
    #[error("the headers are not before the payload")]
    NoHeaders,
    /// Fragments of a datagram are not put together; later ones name no ports.
    #[error("an IP fragment")]
    Fragment,
}

/// The headers of a message's first span; bare payload has none and parses to the default.
fn headers(span: &EngineSpan<'_>) -> Result<Parsed, NoStream> {
    if span.meta.framing == Framing::Payload {
        return Ok(Parsed::default());
    }
    let frame = span.frame.ok_or(NoStream::NoHeaders)?;
    // What follows the payload is not here: nothing may depend on the length on the wire.
    let parsed = parse(span.meta.framing, Frame::new(frame, 0, u32::MAX));
    let parsed = parsed.map_err(|_| NoStream::NoHeaders)?;
    let ends_here = parsed.payload.offset as usize + span.bytes.len() == frame.len();
    ends_here.then_some(parsed).ok_or(NoStream::NoHeaders)
}

impl Endpoints {
    /// The ends of the packet whose first span is `span`; unknown ones are 0.
    #[must_use]
    pub fn of_span(span: &EngineSpan<'_>) -> Self {
        headers(span).map_or_else(|_| Self::default(), |parsed| Self::of(&parsed))
    }
}

/// Finds the stream of the message whose first span is `span`.
///
/// # Errors
/// [`NoStream`] says why it has none.
pub fn locate(span: &EngineSpan<'_>) -> Result<Located, NoStream> {
    let parsed = headers(span)?;
    if parsed.fragment != Fragment::Whole {
        return Err(NoStream::Fragment);
    }
    let mut vlans = [0; 2];
    for (place, id) in vlans.iter_mut().zip(parsed.vlans.ids()) {
        *place = id + 1;
    }
    let key = StreamKey {
        ends: Endpoints::of(&parsed),
        vlans,
        ethertype: parsed.ethertype,
        source: span.meta.source,
        sender: if span.meta.framing == Framing::Payload { span.meta.flow } else { 0 },
    };
    let tcp = match (parsed.protocol, span.frame) {
        (PROTOCOL_TCP, Some(frame)) => {
            let from = parsed.payload.offset as usize - usize::from(parsed.transport_len);
            Some(TcpHeader::read(&frame[from..]).ok_or(NoStream::NoHeaders)?)
        }
        _ => None,
    };
    Ok(Located { key, tcp })
}
