//! Random well-formed frames against etherparse, random bytes against the span's bounds.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::fuzzing;

fn extension() -> impl Strategy<Value = Extension> {
    (prop_oneof![Just(43), Just(60), Just(51)], 1u8..5)
        .prop_map(|(kind, units)| Extension { kind, units })
}

fn ip() -> impl Strategy<Value = Ip> {
    let v4 = (0u8..=10, any::<[u8; 4]>(), any::<[u8; 4]>())
        .prop_map(|(options, source, destination)| Ip::V4 { options, source, destination });
    let v6 = (any::<bool>(), vec(extension(), 0..4), any::<[u8; 16]>(), any::<[u8; 16]>())
        .prop_map(|(hop_by_hop, mut extensions, source, destination)| {
            if hop_by_hop {
                extensions.insert(0, Extension { kind: 0, units: 2 });
            }
            Ip::V6 { extensions, source, destination }
        });
    prop_oneof![v4, v6]
}

pub(super) fn build() -> impl Strategy<Value = Build> {
    let tpid = prop_oneof![Just(0x8100u16), Just(0x88a8), Just(0x9100)];
    let transport = prop_oneof![
        Just(Transport::Udp),
        (0u8..=10).prop_map(Transport::Tcp),
        // GRE and OSPF: numbers that the oracle gives no further meaning.
        prop_oneof![Just(47u8), Just(89)].prop_map(Transport::Bare),
    ];
    // The low three bits of a 13-bit offset in units of 8 stay free for the sum's sake.
    let fragment = proptest::option::of((prop_oneof![Just(0u16), 1u16..0x1fff], any::<bool>()));
    let lists = (vec((tpid, any::<u16>()), 0..=2), vec(any::<u8>(), 0..200), 0usize..50);
    (ip(), transport, any::<(u16, u16)>(), fragment, lists).prop_map(
        |(mut ip, transport, ports, fragment, (tags, payload, padding))| {
            if let (Ip::V6 { extensions, .. }, Some(_)) = (&mut ip, fragment) {
                extensions.push(Extension { kind: 44, units: 0 });
            }
            // The oracle takes an IPv6 payload length of 0 for "all there is".
            let padding = if payload.is_empty() { 0 } else { padding };
            Build { tags, ip, transport, ports, fragment, payload, padding }
        },
    )
}

/// Payload and ports as etherparse finds them; it does not look into fragments.
fn by_etherparse<'a>(build: &Build, frame: &'a [u8]) -> (&'a [u8], Option<Ports>) {
    let packet = SlicedPacket::from_ethernet(frame).expect("well-formed");
    let inner = packet.ip_payload().expect("IP").payload;
    match (build.fragment(), packet.transport) {
        (_, Some(TransportSlice::Udp(udp))) => {
            let (source, destination) = (udp.source_port(), udp.destination_port());
            (udp.payload(), Some(Ports { source, destination }))
        }
        (_, Some(TransportSlice::Tcp(tcp))) => {
            let (source, destination) = (tcp.source_port(), tcp.destination_port());
            (tcp.payload(), Some(Ports { source, destination }))
        }
        (Fragment::First, None) if build.transport_len() > 0 => {
            let (source, destination) = build.ports;
            (&inner[build.transport_len()..], Some(Ports { source, destination }))
        }
        _ => (inner, None),
    }
}

proptest! {
    #[test]
    fn well_formed_frames_parse_as_etherparse_does(build in build()) {
        let bytes = build.bytes();
        let parsed = whole(&bytes).unwrap();
        let (expected, ports) = by_etherparse(&build, &bytes);
        prop_assert_eq!(payload(&bytes, parsed), expected);
        prop_assert_eq!(expected, &build.payload[..]);
        prop_assert_eq!(parsed.ports, ports);
        prop_assert_eq!(parsed.fragment, build.fragment());
        let packet = SlicedPacket::from_ethernet(&bytes).expect("well-formed");
        let vlans: Vec<u16> = packet.vlan_ids().iter().map(|id| id.value()).collect();
        prop_assert_eq!(parsed.vlans.ids(), vlans);
        prop_assert_eq!(parsed.protocol, packet.ip_payload().expect("IP").ip_number.0);
        let (source, destination) = match packet.net.expect("IP") {
            NetSlice::Ipv4(ip) => (
                ip.header().source_addr().into(),
                ip.header().destination_addr().into(),
            ),
            NetSlice::Ipv6(ip) => (
                ip.header().source_addr().into(),
                ip.header().destination_addr().into(),
            ),
            NetSlice::Arp(_) => unreachable!(),
        };
        prop_assert_eq!(parsed.source_ip(), Some(source));
        prop_assert_eq!(parsed.destination_ip(), Some(destination));
    }

    #[test]
    fn cut_anywhere_the_span_stays_inside(
        build in build(), head in 0usize..400, captured in 0u32..400, wire in 0u32..400,
    ) {
        let bytes = build.bytes();
        fuzzing::check_parse(Framing::Ethernet, &bytes[..head.min(bytes.len())], captured, wire);
    }

    #[test]
    fn a_flipped_byte_is_survived(build in build(), at in 0usize..120, byte in any::<u8>()) {
        let mut bytes = build.bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        fuzzing::check_parse(Framing::Ethernet, &bytes, 0, 0);
    }

    #[test]
    fn any_bytes_are_survived(data in vec(any::<u8>(), 0..300)) {
        fuzzing::frame_parse(&data);
    }
}
