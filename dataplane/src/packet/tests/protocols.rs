//! One test per protocol: payload and the fields that rules match on.

use std::net::IpAddr;

use super::*;

#[test]
fn udp_over_ipv4() {
    let bytes = v4(Transport::Udp, b"query").bytes();
    let parsed = whole(&bytes).unwrap();
    assert_eq!(payload(&bytes, parsed), b"query");
    assert_eq!(parsed.ports, Some(Ports { source: 4096, destination: 53 }));
    assert_eq!(parsed.source_ip(), Some(IpAddr::from([10, 0, 0, 1])));
    assert_eq!(parsed.destination_ip(), Some(IpAddr::from([10, 0, 0, 2])));
    assert_eq!((parsed.ethertype, parsed.protocol, parsed.network), (0x800, 17, Network::Ipv4));
    assert_eq!((parsed.fragment, parsed.truncated), (Fragment::Whole, false));
    assert!(parsed.vlans.ids().is_empty());
}

#[test]
fn udp_over_ipv6() {
    let bytes = v6(Transport::Udp, b"query").bytes();
    let parsed = whole(&bytes).unwrap();
    assert_eq!(payload(&bytes, parsed), b"query");
    assert_eq!(parsed.source_ip(), "fd00::1".parse().ok());
    assert_eq!(parsed.destination_ip(), "fd00::2".parse().ok());
    assert_eq!((parsed.ethertype, parsed.network), (0x86dd, Network::Ipv6));
}

#[test]
fn tcp_options_are_not_payload() {
    for options in 0..=10 {
        for build in [v4(Transport::Tcp(options), b"GET"), v6(Transport::Tcp(options), b"GET")] {
            let bytes = build.bytes();
            let parsed = whole(&bytes).unwrap();
            assert_eq!(payload(&bytes, parsed), b"GET");
            assert_eq!(parsed.ports.map(|ports| ports.destination), Some(53));
        }
    }
}

#[test]
fn ethernet_padding_is_not_payload() {
    for mut build in
        [v4(Transport::Udp, b"x"), v4(Transport::Tcp(0), b""), v6(Transport::Udp, b"x")]
    {
        build.padding = 18;
        let bytes = build.bytes();
        assert_eq!(payload(&bytes, whole(&bytes).unwrap()), build.payload);
    }
}

#[test]
fn a_short_udp_length_ends_the_payload() {
    let mut bytes = v4(Transport::Udp, b"0123456789").bytes();
    bytes[39] = 8 + 4;
    assert_eq!(payload(&bytes, whole(&bytes).unwrap()), b"0123");
    bytes[39] = 8;
    assert_eq!(payload(&bytes, whole(&bytes).unwrap()), b"");
}

#[test]
fn icmp_is_payload_with_its_header() {
    for build in [v4(Transport::Bare(1), b"\x08\0pinging"), v6(Transport::Bare(58), b"\x80\0ping")]
    {
        let bytes = build.bytes();
        let parsed = whole(&bytes).unwrap();
        assert_eq!(payload(&bytes, parsed), build.payload);
        assert_eq!((parsed.protocol, parsed.ports), (build.protocol(), None));
    }
}

#[test]
fn sctp_and_udplite_have_ports_where_their_header_is_whole() {
    for (protocol, header) in [(132, 12), (136, 8)] {
        let body: Vec<u8> = (0..20).collect();
        let bytes = v4(Transport::Bare(protocol), &body).bytes();
        let parsed = whole(&bytes).unwrap();
        assert_eq!(payload(&bytes, parsed), body);
        assert_eq!(parsed.ports, Some(Ports { source: 0x0001, destination: 0x0203 }));
        let bytes = v4(Transport::Bare(protocol), &body[..header]).bytes();
        assert!(whole(&bytes).unwrap().ports.is_some());
        let mut short = v4(Transport::Bare(protocol), &body[..header - 1]);
        short.padding = 30;
        assert_eq!(whole(&short.bytes()).unwrap().ports, None);
    }
}

#[test]
fn vlan_tags_are_taken_up_to_two() {
    for tpid in [0x8100, 0x88a8, 0x9100] {
        let mut build = v4(Transport::Udp, b"tagged");
        build.tags = vec![(tpid, 0xe064)];
        let bytes = build.bytes();
        let parsed = whole(&bytes).unwrap();
        assert_eq!((parsed.vlans.ids(), payload(&bytes, parsed)), (&[100][..], &b"tagged"[..]));
        build.tags.push((0x8100, 7));
        let bytes = build.bytes();
        let parsed = whole(&bytes).unwrap();
        assert_eq!((parsed.vlans.ids(), payload(&bytes, parsed)), (&[100, 7][..], &b"tagged"[..]));
        build.tags.push((0x8100, 8));
        let bytes = build.bytes();
        let parsed = whole(&bytes).unwrap();
        assert_eq!((parsed.vlans.ids(), parsed.ethertype), (&[100, 7][..], 0x8100));
        assert_eq!((parsed.payload.offset, parsed.network), (22, Network::Link));
    }
}

#[test]
fn raw_and_unknown_ethertypes_carry_the_rest() {
    for ethertype in [ETHERTYPE_RAW, 0x0806, 0x88cc, 0xffff] {
        let mut bytes = vec![0xff; 12];
        bytes.extend(ethertype.to_be_bytes());
        bytes.extend(b"all of this");
        let parsed = whole(&bytes).unwrap();
        assert_eq!(payload(&bytes, parsed), b"all of this");
        assert_eq!((parsed.ethertype, parsed.network), (ethertype, Network::Link));
        assert_eq!((parsed.source, parsed.source_ip()), (0xffff_ffff_ffff, None));
        assert_eq!(whole(&bytes[..14]).unwrap().payload, Span { offset: 14, len: 0 });
    }
}

#[test]
fn an_802_3_length_limits_the_payload() {
    let mut bytes = vec![0; 12];
    bytes.extend([0, 3]);
    bytes.extend(b"LLCpadding");
    assert_eq!(payload(&bytes, whole(&bytes).unwrap()), b"LLC");
    bytes[13] = 200;
    assert_eq!(payload(&bytes, whole(&bytes).unwrap()), b"LLCpadding");
}

#[test]
fn fragments_have_the_ports_in_the_first_only() {
    for mut build in [v4(Transport::Udp, &[7; 32]), v6(Transport::Udp, &[7; 32])] {
        if let Ip::V6 { extensions, .. } = &mut build.ip {
            extensions.push(Extension { kind: 44, units: 0 });
        }
        for (fragment, kind, ports) in [
            ((0, true), Fragment::First, true),
            ((5, true), Fragment::Later, false),
            ((9, false), Fragment::Later, false),
            ((0, false), Fragment::Whole, true),
        ] {
            build.fragment = Some(fragment);
            let bytes = build.bytes();
            let parsed = whole(&bytes).unwrap();
            assert_eq!(parsed.fragment, kind);
            assert_eq!(parsed.ports.is_some(), ports);
            assert_eq!((payload(&bytes, parsed), parsed.protocol), (&[7; 32][..], 17));
        }
    }
}

#[test]
fn a_second_fragment_header_does_not_make_whole() {
    let mut build = v6(Transport::Udp, &[7; 32]);
    let Ip::V6 { extensions, .. } = &mut build.ip else { unreachable!() };
    *extensions = vec![Extension { kind: 44, units: 0 }; 2];
    build.fragment = Some((0, true));
    let mut bytes = build.bytes();
    // The second one says: all of it.
    bytes[14 + 40 + 8 + 3] = 0;
    assert_eq!(whole(&bytes).unwrap().fragment, Fragment::First);
}

#[test]
fn ipv6_extension_headers_are_walked() {
    let kinds = [0, 43, 60, 51, 44, 60];
    for count in 0..=kinds.len() {
        let mut build = v6(Transport::Udp, b"behind");
        let Ip::V6 { extensions, .. } = &mut build.ip else { unreachable!() };
        extensions.extend(kinds[..count].iter().map(|&kind| Extension { kind, units: 1 }));
        let bytes = build.bytes();
        let parsed = whole(&bytes).unwrap();
        assert_eq!((payload(&bytes, parsed), parsed.protocol), (&b"behind"[..], 17));
    }
}

#[test]
fn no_next_header_and_esp_are_payload() {
    for protocol in [59, 50] {
        let bytes = v6(Transport::Bare(protocol), b"opaque").bytes();
        let parsed = whole(&bytes).unwrap();
        assert_eq!((payload(&bytes, parsed), parsed.protocol), (&b"opaque"[..], protocol));
    }
}

#[test]
fn bare_ip_is_what_ethernet_carries() {
    for build in [v4(Transport::Udp, b"bare"), v6(Transport::Tcp(3), b"bare")] {
        let bytes = build.bytes();
        let framed = whole(&bytes).unwrap();
        let bare = parse(Framing::Ip, Frame::new(&bytes[14..], 0, 0)).unwrap();
        let span = Span { offset: framed.payload.offset - 14, ..framed.payload };
        assert_eq!(bare, Parsed { payload: span, ..framed });
    }
    for (bytes, kind) in [(&[][..], Malformed::Ipv4Short), (&[0x50; 40], Malformed::IpVersion)] {
        assert_eq!(parse(Framing::Ip, Frame::new(bytes, 0, 0)), Err(kind));
    }
}

#[test]
fn bare_payload_is_all_payload() {
    let parsed = parse(Framing::Payload, Frame::new(b"datagram", 100, 200)).unwrap();
    assert_eq!(parsed.payload, Span { offset: 0, len: 100 });
    assert_eq!((parsed.network, parsed.truncated), (Network::None, true));
}
