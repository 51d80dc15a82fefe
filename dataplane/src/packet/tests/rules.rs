//! The text forms of rules.

use pfs_ebpf::rules::PortRange;
use serde_json::{Value, from_value, json, to_value};

use super::*;

fn parse_match(matches: &Value) -> Result<RuleMatch, String> {
    from_value::<Rule>(json!({ "name": "r", "match": matches }))
        .map(|rule| rule.matches)
        .map_err(|error| error.to_string())
}

#[test]
fn a_rule_may_be_a_name_alone() {
    assert_eq!(from_value::<Rule>(json!({ "name": "r" })).unwrap(), Rule::all("r"));
}

#[test]
fn text_forms_are_read() {
    let given = json!({
        "ethertype": "0x0800", "vlan": 100, "source": "10.0.0.0/8", "destination": "192.0.2.7",
        "protocol": "udp", "destination_ports": "1000-2000",
    });
    let matches = parse_match(&given).unwrap();
    assert_eq!(matches.ethertype, Some(0x0800));
    assert_eq!(matches.vlan, Some(100));
    assert_eq!(matches.source.map(|prefix| prefix.prefix_len()), Some(8));
    assert_eq!(matches.destination.map(|prefix| prefix.prefix_len()), Some(32));
    assert_eq!(matches.protocol, Some(17));
    assert_eq!(matches.destination_ports, Some(PortRange { first: 1000, last: 2000 }));
    for (text, ethertype) in
        [(json!("IPv6"), 0x86dd), (json!(35_000), 35_000), (json!("arp"), 0x806)]
    {
        assert_eq!(parse_match(&json!({ "ethertype": text })).unwrap().ethertype, Some(ethertype));
    }
    for (text, ports) in [(json!(53), (53, 53)), (json!("0-65535"), (0, 65535))] {
        let range = parse_match(&json!({ "destination_ports": text })).unwrap().destination_ports;
        assert_eq!(range.map(|range| (range.first, range.last)), Some(ports));
    }
    assert_eq!(parse_match(&json!({ "protocol": 47 })).unwrap().protocol, Some(47));
    assert_eq!(parse_match(&json!({ "protocol": "6" })).unwrap().protocol, Some(6));
}

#[test]
fn rules_come_back_as_they_were() {
    let rules = json!([
        { "name": "dns", "match": { "protocol": "udp", "destination_ports": "53" },
          "action": "redirect", "program": "crc32c" },
        { "name": "raw", "match": { "ethertype": "0x88b5", "vlan": 0 }, "action": "drop" },
        { "name": "gre", "match": { "ethertype": "ipv6", "source": "2001:db8::/32",
          "destination": "::1/128", "protocol": 47 }, "action": "pass", "sink": "file" },
        { "name": "ports", "match": { "destination_ports": "1000-2000" }, "action": "redirect" },
        { "name": "all", "match": {}, "action": "redirect" },
    ]);
    let parsed: Vec<Rule> = from_value(rules.clone()).unwrap();
    assert_eq!(to_value(&parsed).unwrap(), rules);
}

#[test]
fn what_does_not_parse_names_its_field() {
    let bad = [
        ("ethertype", vec![json!("ipx"), json!(5), json!("0x5ff"), json!(65536), json!([])]),
        ("vlan", vec![json!(4095), json!(-1), json!("x")]),
        ("source", vec![json!("10.0.0.0/33"), json!("10.0.0"), json!(10), json!("::/129")]),
        ("destination", vec![json!("host"), json!("1.2.3.4/"), json!("1.2.3.4/-1")]),
        ("protocol", vec![json!(256), json!("upd"), json!("-1"), json!(1.5)]),
        ("destination_ports", vec![json!("5-4"), json!("65536"), json!("1-2-3"), json!("")]),
    ];
    for (field, values) in bad {
        for value in values {
            let error = parse_match(&json!({ (field): value })).expect_err("bad value");
            assert!(error.starts_with(&format!("{field}: ")), "{field}: {value}: {error}");
        }
    }
    let error = parse_match(&json!({ "port": 53 })).expect_err("unknown field");
    assert!(error.contains("unknown field `port`"), "{error}");
}
