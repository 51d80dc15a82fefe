//! Matching, against a matcher that follows the rules' text word by word.

use std::net::IpAddr;

use pfs_ebpf::rules::{IpPrefix, PortRange};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::*;

fn rules(matches: impl IntoIterator<Item = RuleMatch>) -> Vec<Rule> {
    let rule = |(index, matches)| Rule { matches, ..Rule::all(format!("r{index}")) };
    matches.into_iter().enumerate().map(rule).collect()
}

fn compile(matches: impl IntoIterator<Item = RuleMatch>) -> RuleSet {
    RuleSet::compile(&rules(matches)).unwrap()
}

fn prefix_holds(prefix: IpPrefix, address: Option<IpAddr>) -> bool {
    let bits = |address: IpAddr| -> Vec<bool> {
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        octets.iter().flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1 == 1)).collect()
    };
    address.is_some_and(|address| {
        let len = usize::from(prefix.prefix_len());
        address.is_ipv4() == prefix.addr().is_ipv4()
            && bits(address)[..len] == bits(prefix.addr())[..len]
    })
}

/// One rule, field by field.
fn naive(rule: &RuleMatch, parsed: &Parsed) -> bool {
    let ip = parsed.source_ip().is_some();
    rule.ethertype.is_none_or(|ethertype| parsed.ethertype == ethertype)
        && rule.vlan.is_none_or(|vlan| parsed.vlans.ids().contains(&vlan))
        && rule.source.is_none_or(|prefix| prefix_holds(prefix, parsed.source_ip()))
        && rule.destination.is_none_or(|prefix| prefix_holds(prefix, parsed.destination_ip()))
        && rule.protocol.is_none_or(|protocol| ip && parsed.protocol == protocol)
        && rule.destination_ports.is_none_or(|range| {
            parsed
                .ports
                .is_some_and(|ports| (range.first..=range.last).contains(&ports.destination))
        })
}

pub(super) fn any_match() -> impl Strategy<Value = RuleMatch> {
    // Few values, so that rules and frames meet.
    let v4 = (0u8..4, 0u8..=32).prop_map(|(low, len)| (IpAddr::from([10, 0, 0, low]), len));
    let v6 = (0u16..4, 0u8..=128)
        .prop_map(|(low, len)| (IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, low]), len));
    let prefix = prop_oneof![v4, v6]
        .prop_map(|(address, len)| IpPrefix::new(address, len).expect("in range"));
    let ports =
        (0u16..4, 0u16..4).prop_map(|(first, more)| PortRange { first, last: first + more });
    let ethertype = prop_oneof![Just(0x800u16), Just(0x86dd), Just(0x88b5), Just(0x8100)];
    let protocol = prop_oneof![Just(0u8), Just(6), Just(17), Just(58)];
    (of(ethertype), of(0u16..3), of(prefix.clone()), of(prefix), of(protocol), of(ports)).prop_map(
        |(ethertype, vlan, source, destination, protocol, destination_ports)| RuleMatch {
            ethertype,
            vlan,
            source,
            destination,
            protocol,
            destination_ports,
        },
    )
}

fn any_parsed() -> impl Strategy<Value = Parsed> {
    let kind = prop_oneof![
        Just((Network::None, 0u16)),
        Just((Network::Link, 0x88b5)),
        Just((Network::Link, 0x8100)),
        Just((Network::Link, 17)),
        Just((Network::Ipv4, 0x800)),
        Just((Network::Ipv6, 0x86dd)),
    ];
    let protocol = prop_oneof![Just(0u8), Just(6), Just(17), Just(58)];
    let ports = of(0u16..8);
    (kind, (0u128..4, 0u128..4), protocol, ports, vec(0u16..3, 0..=2)).prop_map(
        |((network, ethertype), (source, destination), protocol, port, tags)| {
            let base = match network {
                Network::Ipv4 => 0x0a00_0000,
                Network::Ipv6 => 0xfd00 << 112,
                Network::None | Network::Link => 0,
            };
            let ip = base != 0;
            let mut vlans = Vlans { ids: [0; 2], count: tags.len() as u8 };
            vlans.ids[..tags.len()].copy_from_slice(&tags);
            Parsed {
                source: base + source,
                destination: base + destination,
                ethertype,
                ports: port.filter(|_| ip).map(|port| Ports { source: 9, destination: port }),
                vlans,
                network,
                protocol: if ip { protocol } else { 0 },
                ..Parsed::default()
            }
        },
    )
}

proptest! {
    #[test]
    fn the_first_rule_that_matches_is_found(
        matches in vec(any_match(), 0..12), frames in vec(any_parsed(), 32),
    ) {
        // Rules that could never match are refused: leave them out.
        let matches: Vec<_> = matches
            .into_iter()
            .filter(|one| RuleSet::compile(&rules([one.clone()])).is_ok())
            .collect();
        let compiled = compile(matches.clone());
        for parsed in frames {
            let expected = matches.iter().position(|rule| naive(rule, &parsed));
            prop_assert_eq!(compiled.find(&parsed).map(usize::from), expected);
        }
    }
}

#[test]
fn no_rule_matches_nothing_and_an_empty_one_all() {
    let frames = [Parsed::default(), whole(&v6(Transport::Udp, b"").bytes()).unwrap()];
    for parsed in &frames {
        assert_eq!(compile([]).find(parsed), None);
        assert_eq!(compile([RuleMatch::default()]).find(parsed), Some(0));
    }
    assert!(compile([]).is_empty());
}

#[test]
fn bare_payload_matches_empty_rules_only() {
    let any_ip = |text: &str| RuleMatch { source: text.parse().ok(), ..RuleMatch::default() };
    let set = compile([
        any_ip("0.0.0.0/0"),
        any_ip("::/0"),
        RuleMatch { vlan: Some(0), ..RuleMatch::default() },
        RuleMatch { protocol: Some(0), ..RuleMatch::default() },
        RuleMatch {
            destination_ports: Some(PortRange { first: 0, last: 65535 }),
            ..RuleMatch::default()
        },
        RuleMatch::default(),
    ]);
    assert_eq!(set.find(&Parsed::default()), Some(5));
}

#[test]
fn later_fragments_have_no_port_to_match() {
    let set = compile([RuleMatch {
        destination_ports: Some(PortRange::one(53)),
        ..RuleMatch::default()
    }]);
    let mut build = v4(Transport::Udp, &[0; 16]);
    for (fragment, found) in [((0, true), Some(0)), ((3, true), None), ((3, false), None)] {
        build.fragment = Some(fragment);
        assert_eq!(set.find(&whole(&build.bytes()).unwrap()), found);
    }
}

#[test]
fn lists_that_cannot_be_are_refused() {
    let error = RuleSet::compile(&rules(vec![RuleMatch::default(); 65])).expect_err("too many");
    assert!(error.to_string().contains("65 rules"), "{error}");
    assert_eq!(compile(vec![RuleMatch::default(); 64]).len(), 64);
    let mixed = RuleMatch {
        source: "10.0.0.0/8".parse().ok(),
        destination: "::/0".parse().ok(),
        ..RuleMatch::default()
    };
    let error = RuleSet::compile(&rules([RuleMatch::default(), mixed])).expect_err("mixed");
    assert!(error.to_string().starts_with("rule 1 (`r1`): "), "{error}");
    let error = RuleSet::compile(&[Rule::all("a"), Rule::all("b"), Rule::all("a")]);
    let same = RuleSetError::SameName { first: 0, second: 2, name: "a".into() };
    assert_eq!(error.expect_err("same name"), same);
}

#[test]
fn actions_follow_their_rule() {
    let mut list = rules(vec![RuleMatch::default(); 3]);
    (list[1].action, list[2].action) = (Action::Pass, Action::Drop);
    let set = RuleSet::compile(&list).unwrap();
    let actions = [0, 1, 2, 3].map(|rule| set.action(rule));
    assert_eq!(actions, [Action::Redirect, Action::Pass, Action::Drop, Action::Pass]);
}
