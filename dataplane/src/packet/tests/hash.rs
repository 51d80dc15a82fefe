//! The flow hash: symmetric, whole for fragments, well spread, the same everywhere.

use super::*;

fn hash(build: &Build) -> u32 {
    flow_hash(&whole(&build.bytes()).unwrap())
}

fn reversed(build: &Build) -> Build {
    let mut back = build.clone();
    back.ports = (build.ports.1, build.ports.0);
    match &mut back.ip {
        Ip::V4 { source, destination, .. } => std::mem::swap(source, destination),
        Ip::V6 { source, destination, .. } => std::mem::swap(source, destination),
    }
    back
}

#[test]
fn both_directions_are_one_flow() {
    let all = [
        v4(Transport::Udp, b"a"),
        v6(Transport::Udp, b"a"),
        v4(Transport::Tcp(3), b"a"),
        v6(Transport::Bare(58), b"a"),
    ];
    let hashes = all.each_ref().map(hash);
    for build in &all {
        assert_eq!(hash(build), hash(&reversed(build)));
    }
    let distinct: std::collections::HashSet<_> = hashes.into();
    assert_eq!(distinct.len(), all.len());
}

#[test]
fn ports_stay_with_their_address() {
    let build = v4(Transport::Udp, b"");
    let mut swapped = build.clone();
    swapped.ports = (build.ports.1, build.ports.0);
    assert_ne!(hash(&build), hash(&swapped));
}

#[test]
fn payload_vlan_and_padding_do_not_count() {
    let build = v4(Transport::Udp, b"a");
    let other = Build { tags: vec![(0x8100, 5)], padding: 9, ..v4(Transport::Udp, b"bc") };
    assert_eq!(hash(&build), hash(&other));
}

#[test]
fn all_fragments_of_a_datagram_hash_alike() {
    for mut build in [v4(Transport::Udp, &[1; 64]), v6(Transport::Udp, &[1; 64])] {
        if let Ip::V6 { extensions, .. } = &mut build.ip {
            extensions.push(Extension { kind: 44, units: 0 });
        }
        let whole = hash(&build);
        let hashes = [(0, true), (8, true), (16, false)].map(|fragment| {
            build.fragment = Some(fragment);
            assert_eq!(hash(&build), hash(&reversed(&build)));
            hash(&build)
        });
        assert!(hashes.iter().all(|hash| *hash == hashes[0]));
        assert_ne!(hashes[0], whole);
    }
    // The first fragment walks on through destination options; a later one cannot.
    let mut build = v6(Transport::Udp, &[1; 64]);
    build.fragment = Some((0, true));
    let Ip::V6 { extensions, .. } = &mut build.ip else { unreachable!() };
    *extensions = vec![Extension { kind: 44, units: 0 }, Extension { kind: 60, units: 0 }];
    let first = hash(&build);
    let later = Build { fragment: Some((9, true)), ..v6(Transport::Bare(60), &[1; 64]) };
    let Ip::V6 { source, destination, .. } = later.ip.clone() else { unreachable!() };
    let extensions = vec![Extension { kind: 44, units: 0 }];
    let later = Build { ip: Ip::V6 { extensions, source, destination }, ..later };
    assert_eq!(first, hash(&later));
}

#[test]
fn frames_without_ip_hash_by_mac_addresses() {
    let frame = |to: u8, from: u8, ethertype: u16| {
        let mut bytes = [[to; 6], [from; 6]].concat();
        bytes.extend(ethertype.to_be_bytes());
        flow_hash(&whole(&bytes).unwrap())
    };
    assert_eq!(frame(1, 2, ETHERTYPE_RAW), frame(2, 1, ETHERTYPE_RAW));
    assert_ne!(frame(1, 2, ETHERTYPE_RAW), frame(1, 3, ETHERTYPE_RAW));
    assert_ne!(frame(1, 2, ETHERTYPE_RAW), frame(1, 2, 0x0806));
}

#[test]
fn values_are_fixed_for_all_hosts() {
    // Computed apart, with Python's integers. A change moves flows to other lanes.
    assert_eq!(hash(&v4(Transport::Udp, b"")), 0x9a6b73e6);
    assert_eq!(hash(&v6(Transport::Tcp(0), b"")), 0x784ab899);
    assert_eq!(flow_hash(&Parsed::default()), 0);
}

/// Chi-square of the lanes that `count` flows fall into.
fn chi_square(lanes: u32, count: u32, flow: impl Fn(u32) -> Parsed) -> f64 {
    let mut seen = vec![0u32; lanes as usize];
    for index in 0..count {
        seen[lane_of(flow_hash(&flow(index)), lanes) as usize] += 1;
    }
    let expected = f64::from(count) / f64::from(lanes);
    seen.iter().map(|&seen| (f64::from(seen) - expected).powi(2) / expected).sum()
}

#[test]
fn sequential_flows_spread_evenly() {
    let base = |network, ethertype| Parsed {
        network,
        ethertype,
        source: 0x0a00_0001,
        destination: 0x0a00_0002,
        ports: Some(Ports { source: 1024, destination: 53 }),
        protocol: 17,
        ..Parsed::default()
    };
    let v4 = base(Network::Ipv4, 0x800);
    let v6 = base(Network::Ipv6, 0x86dd);
    let port = |index: u32| Some(Ports { source: index as u16, destination: 53 });
    type Flow = Box<dyn Fn(u32) -> Parsed>;
    let flows: [(&str, Flow); 7] = [
        ("v4 source", Box::new(move |i| Parsed { source: v4.source + u128::from(i), ..v4 })),
        ("v4 port", Box::new(move |i| Parsed { ports: port(i), ..v4 })),
        (
            "v4 both ends",
            Box::new(move |i| Parsed {
                source: u128::from(i % 200),
                destination: u128::from(i / 200),
                ..v4
            }),
        ),
        ("v6 low", Box::new(move |i| Parsed { source: u128::from(i), ..v6 })),
        ("v6 high", Box::new(move |i| Parsed { source: u128::from(i) << 64, ..v6 })),
        ("v6 port", Box::new(move |i| Parsed { ports: port(i), ..v6 })),
        (
            "mac",
            Box::new(move |i| Parsed {
                source: u128::from(i),
                ports: None,
                ..base(Network::Link, ETHERTYPE_RAW)
            }),
        ),
    ];
    for (name, flow) in flows {
        for lanes in [2, 3, 8, 13, 64] {
            let chi = chi_square(lanes, 40_000, &flow);
            // Mean of the chi-square distribution plus five standard deviations.
            let freedom = f64::from(lanes - 1);
            let limit = freedom + 5.0 * (2.0 * freedom).sqrt();
            assert!(chi < limit, "{name} over {lanes} lanes: {chi:.1} > {limit:.1}");
        }
    }
}

#[test]
fn lanes_are_in_range() {
    for lanes in [0, 1, 2, 7, 64, u32::MAX] {
        for hash in [0, 1, 0x8000_0000, u32::MAX] {
            assert!(lane_of(hash, lanes) < lanes.max(1));
        }
    }
}
