//! Frames made by hand for the tests beside.

mod classify;
mod hash;
mod lies;
mod oracle;
mod protocols;
mod rules;
mod ruleset;
mod xdp;

use super::*;
use crate::receivers::Framing;

/// What IP carries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Transport {
    Udp,
    /// With so many 32-bit words of options, 0 to 10.
    Tcp(u8),
    /// No header that the parser knows: protocol number.
    Bare(u8),
}

/// IPv4 with words of options (0 to 10), or IPv6 with extension headers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ip {
    V4 { options: u8, source: [u8; 4], destination: [u8; 4] },
    V6 { extensions: Vec<Extension>, source: [u8; 16], destination: [u8; 16] },
}

/// An IPv6 extension header: its number, and the units in its length field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Extension {
    pub(super) kind: u8,
    pub(super) units: u8,
}

/// A well-formed Ethernet frame, field by field.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Build {
    pub(super) tags: Vec<(u16, u16)>,
    pub(super) ip: Ip,
    pub(super) transport: Transport,
    pub(super) ports: (u16, u16),
    /// Fragment offset in units of 8 bytes, and More Fragments.
    pub(super) fragment: Option<(u16, bool)>,
    pub(super) payload: Vec<u8>,
    pub(super) padding: usize,
}

pub(super) fn v4(transport: Transport, payload: &[u8]) -> Build {
    Build {
        tags: vec![],
        ip: Ip::V4 { options: 0, source: [10, 0, 0, 1], destination: [10, 0, 0, 2] },
        transport,
        ports: (4096, 53),
        fragment: None,
        payload: payload.to_vec(),
        padding: 0,
    }
}

pub(super) fn v6(transport: Transport, payload: &[u8]) -> Build {
    let (mut source, mut destination) = ([0; 16], [0; 16]);
    (source[0], destination[0]) = (0xfd, 0xfd);
    (source[15], destination[15]) = (1, 2);
    let ip = Ip::V6 { extensions: vec![], source, destination };
    Build { ip, ..v4(transport, payload) }
}

impl Build {
    pub(super) fn fragment(&self) -> Fragment {
        match self.fragment {
            None | Some((0, false)) => Fragment::Whole,
            Some((0, true)) => Fragment::First,
            Some(_) => Fragment::Later,
        }
    }

    /// Bytes of the transport header, as far as this packet has one.
    pub(super) fn transport_len(&self) -> usize {
        match (self.fragment(), self.transport) {
            (Fragment::Later, _) | (_, Transport::Bare(_)) => 0,
            (_, Transport::Udp) => 8,
            (_, Transport::Tcp(options)) => 20 + 4 * usize::from(options),
        }
    }

    pub(super) fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Udp => PROTOCOL_UDP,
            Transport::Tcp(_) => PROTOCOL_TCP,
            Transport::Bare(protocol) => protocol,
        }
    }

    fn transport_bytes(&self) -> Vec<u8> {
        let mut header = vec![0; self.transport_len()];
        if !header.is_empty() {
            header[..2].copy_from_slice(&self.ports.0.to_be_bytes());
            header[2..4].copy_from_slice(&self.ports.1.to_be_bytes());
            if self.transport == Transport::Udp {
                // A fragmented datagram is longer than its first fragment.
                let rest = if self.fragment() == Fragment::First { 1000 } else { 0 };
                let len = (8 + self.payload.len() + rest) as u16;
                header[4..6].copy_from_slice(&len.to_be_bytes());
            } else {
                header[12] = ((header.len() / 4) << 4) as u8;
            }
        }
        header.extend_from_slice(&self.payload);
        header
    }

    fn ip_bytes(&self) -> Vec<u8> {
        let inner = self.transport_bytes();
        let (offset, more) = self.fragment.unwrap_or_default();
        match &self.ip {
            Ip::V4 { options, source, destination } => {
                let mut ip = vec![1; 20 + 4 * usize::from(*options)];
                let total = (ip.len() + inner.len()) as u16;
                let word = offset | u16::from(more) << 13;
                ip[0] = 0x40 | (ip.len() / 4) as u8;
                ip[2..4].copy_from_slice(&total.to_be_bytes());
                ip[6..8].copy_from_slice(&word.to_be_bytes());
                ip[9] = self.protocol();
                ip[12..16].copy_from_slice(source);
                ip[16..20].copy_from_slice(destination);
                [ip, inner].concat()
            }
            Ip::V6 { extensions, source, destination } => {
                let mut chain = vec![];
                let kinds = extensions.iter().map(|extension| extension.kind);
                let next: Vec<_> = kinds.chain([self.protocol()]).collect();
                for (extension, next) in extensions.iter().zip(&next[1..]) {
                    let mut header = vec![0; extension.bytes()];
                    (header[0], header[1]) = (*next, extension.units);
                    if extension.kind == 44 {
                        header[2..4]
                            .copy_from_slice(&(offset << 3 | u16::from(more)).to_be_bytes());
                    }
                    chain.extend(header);
                }
                let len = (chain.len() + inner.len()) as u16;
                let mut ip = vec![0x60, 0, 0, 0];
                ip.extend(len.to_be_bytes());
                ip.extend([next[0], 64]);
                [&ip[..], source, destination, &chain, &inner].concat()
            }
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        for (tpid, tci) in &self.tags {
            frame.extend(tpid.to_be_bytes());
            frame.extend(tci.to_be_bytes());
        }
        let ethertype = if matches!(self.ip, Ip::V4 { .. }) { 0x0800u16 } else { 0x86dd };
        frame.extend(ethertype.to_be_bytes());
        frame.extend(self.ip_bytes());
        frame.resize(frame.len() + self.padding, 0xee);
        frame
    }
}

impl Extension {
    pub(super) fn bytes(self) -> usize {
        match self.kind {
            44 => 8,
            51 => 8 + 4 * usize::from(self.units),
            _ => 8 + 8 * usize::from(self.units),
        }
    }
}

/// Parses a frame that is all there.
pub(super) fn whole(bytes: &[u8]) -> Result<Parsed, Malformed> {
    parse(Framing::Ethernet, Frame::new(bytes, 0, 0))
}

pub(super) fn payload(bytes: &[u8], parsed: Parsed) -> &[u8] {
    &bytes[parsed.payload.offset as usize..parsed.payload.end() as usize]
}
