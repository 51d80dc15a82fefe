//! Each way of being malformed, and what a cut or split frame becomes.

use super::*;

/// `bytes` with those at `at` replaced.
fn with(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

fn kind(bytes: &[u8]) -> Malformed {
    whole(bytes).expect_err("malformed")
}

#[test]
fn frames_of_0_to_13_bytes() {
    for len in 0..14 {
        assert_eq!(kind(&vec![0xff; len]), Malformed::EthernetShort);
    }
}

#[test]
fn a_frame_that_ends_within_a_tag() {
    let mut build = v4(Transport::Udp, b"");
    build.tags = vec![(0x88a8, 1), (0x8100, 2)];
    let bytes = build.bytes();
    for len in 14..22 {
        assert_eq!(kind(&bytes[..len]), Malformed::VlanShort);
    }
}

#[test]
fn ipv4_lengths() {
    let good = v4(Transport::Udp, b"payload").bytes();
    for len in 14..34 {
        assert_eq!(kind(&good[..len]), Malformed::Ipv4Short);
    }
    for ihl in 0..5 {
        assert_eq!(kind(&with(good.clone(), 14, &[0x40 | ihl])), Malformed::Ipv4HeaderLength);
    }
    for total in [0, 1, 19] {
        assert_eq!(kind(&with(good.clone(), 16, &[0, total])), Malformed::Ipv4TotalShort);
    }
    // IHL 15 over a total length of 35.
    assert_eq!(kind(&with(good.clone(), 14, &[0x4f])), Malformed::Ipv4TotalShort);
    assert_eq!(kind(&with(good.clone(), 16, &[0, 36])), Malformed::Ipv4TotalBeyond);
    assert_eq!(kind(&with(good.clone(), 16, &[0xff, 0xff])), Malformed::Ipv4TotalBeyond);
    assert_eq!(kind(&good[..good.len() - 1]), Malformed::Ipv4TotalBeyond);
    for version in [0, 5, 6, 15] {
        assert_eq!(kind(&with(good.clone(), 14, &[version << 4 | 5])), Malformed::IpVersion);
    }
}

#[test]
fn ipv6_lengths() {
    let good = v6(Transport::Udp, b"payload").bytes();
    for len in 14..54 {
        assert_eq!(kind(&good[..len]), Malformed::Ipv6Short);
    }
    assert_eq!(kind(&with(good.clone(), 14, &[0x45])), Malformed::IpVersion);
    assert_eq!(kind(&with(good.clone(), 18, &[0, 16])), Malformed::Ipv6PayloadBeyond);
    assert_eq!(kind(&good[..good.len() - 1]), Malformed::Ipv6PayloadBeyond);
    // Payload length 0: with hop-by-hop options a jumbogram, with UDP too short.
    let empty = with(good, 18, &[0, 0]);
    assert_eq!(kind(&with(empty.clone(), 20, &[0])), Malformed::Ipv6Jumbogram);
    assert_eq!(kind(&empty), Malformed::UdpShort);
}

#[test]
fn ipv6_chains_that_end_early_or_loop() {
    let chain = |count| {
        let mut build = v6(Transport::Udp, b"end");
        let Ip::V6 { extensions, .. } = &mut build.ip else { unreachable!() };
        *extensions = vec![Extension { kind: 60, units: 0 }; count];
        build.bytes()
    };
    assert!(whole(&chain(6)).is_ok());
    for count in [7, 50, 180] {
        assert_eq!(kind(&chain(count)), Malformed::Ipv6ChainLong);
    }
    for (count, left) in [(1, 0), (1, 7), (2, 8), (2, 15), (6, 47)] {
        let bytes = with(chain(count), 18, &[0, left]);
        assert_eq!(kind(&bytes), Malformed::Ipv6ChainShort, "{count} headers in {left} bytes");
    }
    // A header longer than the packet.
    for units in [3, 255] {
        assert_eq!(kind(&with(chain(1), 14 + 40 + 1, &[units])), Malformed::Ipv6ChainShort);
    }
    let mut build = v6(Transport::Udp, b"end");
    let Ip::V6 { extensions, .. } = &mut build.ip else { unreachable!() };
    *extensions = vec![Extension { kind: 51, units: 4 }];
    assert_eq!(kind(&with(build.bytes(), 55, &[255])), Malformed::Ipv6ChainShort);
}

#[test]
fn udp_lengths() {
    for build in [v4(Transport::Udp, b"payload"), v6(Transport::Udp, b"payload")] {
        let good = build.bytes();
        let udp = good.len() - 15;
        for len in [0, 1, 7, 16, 0xffff_u16] {
            let bytes = with(good.clone(), udp + 4, &len.to_be_bytes());
            assert_eq!(kind(&bytes), Malformed::UdpLength, "{len}");
            // Padding behind the packet does not make room for it.
            assert_eq!(kind(&[&bytes[..], &[0; 40]].concat()), Malformed::UdpLength, "{len}");
        }
    }
    for len in 0..8 {
        let mut build = v4(Transport::Bare(PROTOCOL_UDP), &vec![0; len]);
        build.padding = 20;
        assert_eq!(kind(&build.bytes()), Malformed::UdpShort);
    }
}

#[test]
fn a_first_fragment_may_hold_less_than_its_udp_length_but_not_less_than_a_header() {
    let mut build = v4(Transport::Udp, &[0; 24]);
    build.fragment = Some((0, true));
    let good = build.bytes();
    assert!(whole(&good).is_ok());
    assert_eq!(kind(&with(good, 38, &[0, 7])), Malformed::UdpLength);
}

#[test]
fn tcp_data_offsets() {
    for build in [v4(Transport::Tcp(2), b"pay"), v6(Transport::Tcp(2), b"pay")] {
        let good = build.bytes();
        let tcp = good.len() - 31;
        for words in [0, 1, 4, 8, 15] {
            let bytes = with(good.clone(), tcp + 12, &[words << 4]);
            assert_eq!(kind(&bytes), Malformed::TcpDataOffset, "{words}");
            assert_eq!(kind(&[&bytes[..], &[0; 40]].concat()), Malformed::TcpDataOffset);
        }
    }
    for len in [0, 1, 19] {
        let mut build = v4(Transport::Bare(PROTOCOL_TCP), &vec![0x50; len]);
        build.padding = 20;
        assert_eq!(kind(&build.bytes()), Malformed::TcpShort);
    }
}

#[test]
fn a_cut_capture_delivers_what_is_there() {
    for build in [v4(Transport::Udp, &[1; 100]), v6(Transport::Tcp(10), &[1; 100])] {
        let bytes = build.bytes();
        let headers = bytes.len() - 100;
        for captured in 0..bytes.len() {
            let cut = Frame::new(&bytes[..captured], 0, bytes.len() as u32);
            match parse(Framing::Ethernet, cut) {
                Ok(parsed) => {
                    assert!(captured >= headers && parsed.truncated);
                    assert_eq!(parsed.payload.offset as usize, headers);
                    assert_eq!(parsed.payload.end() as usize, captured);
                }
                Err(kind) => {
                    assert!(captured < headers, "{captured}: {kind}");
                    assert_eq!(kind, Malformed::CutInHeader);
                }
            }
        }
    }
}

#[test]
fn headers_must_lie_in_the_first_buffer() {
    let mut build = v6(Transport::Tcp(10), &[1; 100]);
    build.tags = vec![(0x8100, 1)];
    let bytes = build.bytes();
    let headers = bytes.len() - 100;
    for head in 0..bytes.len() {
        let split = Frame::new(&bytes[..head], bytes.len() as u32, 0);
        match parse(Framing::Ethernet, split) {
            Ok(parsed) => {
                assert!(head >= headers);
                assert_eq!(parsed.payload, Span { offset: headers as u32, len: 100 });
            }
            Err(kind) => assert!(head < headers && kind == Malformed::SplitHeader),
        }
    }
}
