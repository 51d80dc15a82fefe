//! What a run must find, computed the slow way: packets by `pcap-file`, headers by `etherparse`,
//! digests bit by bit and byte by byte. Shares no code with what it is held against.

use std::fs::File;
use std::path::Path;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};
use pfs_dataplane::run::{RuleResults, RunReport};

/// What the program [`super::PROGRAM`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub messages: u64,
    pub bytes: u64,
    /// CRC-32C, bytes equal to 0, FNV-1a, length.
    pub r: [u64; 4],
    pub histogram: Vec<u64>,
}

impl Expected {
    /// Of these payloads, in any order.
    pub fn of(payloads: &[Vec<u8>]) -> Self {
        let mut sum = Self { messages: 0, bytes: 0, r: [0; 4], histogram: vec![0; 256] };
        for payload in payloads {
            sum.messages += 1;
            sum.bytes += payload.len() as u64;
            sum.r[0] = sum.r[0].wrapping_add(crc32c(payload));
            sum.r[2] = sum.r[2].wrapping_add(fnv(payload));
            for &byte in payload {
                sum.histogram[usize::from(byte)] += 1;
            }
        }
        (sum.r[1], sum.r[3]) = (sum.histogram[0], sum.bytes);
        sum
    }

    /// What a rule of a run found.
    pub fn found(rule: &RuleResults) -> Self {
        let results = &rule.results;
        Self {
            messages: results.messages,
            bytes: results.bytes,
            r: results.r,
            histogram: results.hist.clone().expect("the program has hist8"),
        }
    }

    /// Holds a run's one rule, and its books, against this.
    #[track_caller]
    pub fn hold(&self, report: &RunReport, what: &str) {
        super::assert_sound(report, what);
        assert_eq!(report.books.dropped(), 0, "{what}: {:?}", report.books);
        assert_eq!(report.books.consumed, self.messages, "{what}: {:?}", report.books);
        assert_eq!(Self::found(&report.results[0]), *self, "{what}");
    }
}

/// CRC-32C by its definition (RFC 3720, reflected polynomial 0x82F63B78), a bit at a time.
pub fn crc32c(bytes: &[u8]) -> u64 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    u64::from(!crc)
}

/// FNV-1a of 64 bits by its definition.
pub fn fnv(bytes: &[u8]) -> u64 {
    let mut hash = 14_695_981_039_346_656_037u64;
    for &byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211);
    }
    hash
}

/// The frames of a capture.
pub fn frames(path: &Path) -> Vec<Vec<u8>> {
    let file = File::open(path).expect("opens");
    let mut frames = Vec::new();
    if path.extension().is_some_and(|end| end == "pcap") {
        let mut reader = PcapReader::new(file).expect("a capture");
        while let Some(packet) = reader.next_packet() {
            frames.push(packet.expect("sound").data.into_owned());
        }
        return frames;
    }
    let mut reader = PcapNgReader::new(file).expect("a capture");
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.expect("sound") {
            frames.push(packet.data.into_owned());
        }
    }
    frames
}

/// What identifies a flow, and for fragments a datagram, in both directions.
pub type Key = (Vec<(Vec<u8>, u16)>, u32);

/// A frame's payload and flow.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub payload: Vec<u8>,
    pub key: Key,
    pub fragment: bool,
}

/// Parses a frame that is whole and sound.
pub fn parse(frame: &[u8]) -> Parsed {
    let packet = SlicedPacket::from_ethernet(frame).expect("sound");
    let (source, destination, identification) = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let id = u32::from(header.identification());
            (header.source().to_vec(), header.destination().to_vec(), id)
        }
        Some(NetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let fragment =
                ip.extensions().clone().into_iter().find_map(|extension| match extension {
                    etherparse::Ipv6ExtensionSlice::Fragment(header) => {
                        Some(header.identification())
                    }
                    _ => None,
                });
            let id = fragment.unwrap_or_default();
            (header.source().to_vec(), header.destination().to_vec(), id)
        }
        _ => {
            let payload = packet.ether_payload().expect("Ethernet").payload.to_vec();
            let key = (sorted((frame[..6].to_vec(), 0), (frame[6..12].to_vec(), 0)), 0);
            return Parsed { payload, key, fragment: false };
        }
    };
    let ip = packet.ip_payload().expect("IP");
    let (payload, ports) = match &packet.transport {
        Some(TransportSlice::Udp(udp)) => {
            (udp.payload(), (udp.source_port(), udp.destination_port()))
        }
        Some(TransportSlice::Tcp(tcp)) => {
            (tcp.payload(), (tcp.source_port(), tcp.destination_port()))
        }
        None if ip.fragmented => (&ip.payload[first_header(&packet)..], (0, 0)),
        _ => (ip.payload, (0, 0)),
    };
    let flow = if ip.fragmented { identification } else { u32::from(ip.ip_number.0) << 17 };
    let key = (sorted((source, ports.0), (destination, ports.1)), flow);
    Parsed { payload: payload.to_vec(), key, fragment: ip.fragmented }
}

fn sorted<T: Ord>(one: T, other: T) -> Vec<T> {
    let mut pair = vec![one, other];
    pair.sort();
    pair
}

/// Bytes of the transport header that a fragment holds: those of the first one only.
fn first_header(packet: &SlicedPacket<'_>) -> usize {
    let offset = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => ip.header().fragments_offset().value(),
        Some(NetSlice::Ipv6(ip)) => ip
            .extensions()
            .clone()
            .into_iter()
            .find_map(|extension| match extension {
                etherparse::Ipv6ExtensionSlice::Fragment(header) => {
                    Some(header.fragment_offset().value())
                }
                _ => None,
            })
            .unwrap_or_default(),
        _ => 0,
    };
    let ip = packet.ip_payload().expect("IP");
    match (offset, ip.ip_number.0) {
        (0, 17) => 8,
        (0, 6) => usize::from(ip.payload[12] >> 4) * 4,
        _ => 0,
    }
}

/// The payload of every frame.
pub fn payloads(frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    frames.iter().map(|frame| parse(frame).payload).collect()
}
