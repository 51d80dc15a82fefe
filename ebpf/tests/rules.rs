//! Rules as values: their JSON form, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use pfs_ebpf::rules::{IpPrefix, MAX_RULES, PortRange, RuleError, XdpAction, XdpRule, check};

fn fault(json: &str) -> String {
    let rule: XdpRule = serde_json::from_str(json).unwrap();
    check(&[XdpRule::default(), rule]).unwrap_err().to_string()
}

#[test]
fn json_form_is_stable() {
    let json = r#"{"ether_type":34525,"vlan":100,"src":"2001:db8::/32","dst":"::1/128","protocol":17,"dst_ports":{"first":53,"last":99},"action":"drop"}"#;
    let rule: XdpRule = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&rule).unwrap(), json);
    assert_eq!(rule.dst_ports, Some(PortRange { first: 53, last: 99 }));
    check(&[rule]).unwrap();
    let empty: XdpRule = serde_json::from_str("{}").unwrap();
    assert_eq!((empty.action, &empty), (XdpAction::Redirect, &XdpRule::default()));
    assert_eq!(serde_json::to_string(&empty).unwrap(), r#"{"action":"redirect"}"#);
    assert!(serde_json::from_str::<XdpRule>(r#"{"port":53}"#).is_err());
}

#[test]
fn prefixes_are_read_strictly() {
    for (text, shown) in [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("192.0.2.1", "192.0.2.1/32"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("::/0", "::/0"),
    ] {
        assert_eq!(text.parse::<IpPrefix>().unwrap().to_string(), shown);
    }
    for text in [
        "",
        "/",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "::/129",
        "10.0.0/8",
        "1.2.3.4/8/8",
        "::/-1",
        "host/8",
    ] {
        let error = text.parse::<IpPrefix>().unwrap_err();
        assert_eq!(error, RuleError::Prefix { text: text.to_owned() });
    }
    assert!(IpPrefix::new("10.0.0.1".parse().unwrap(), 33).is_err());
}

#[test]
fn rules_that_cannot_match_are_refused_by_place() {
    for (json, says) in [
        (r#"{"ether_type":1535}"#, "802.3 length"),
        (r#"{"vlan":4095}"#, "0 to 4094"),
        (r#"{"src":"10.0.0.0/8","dst":"::/0"}"#, "different families"),
        (r#"{"ether_type":34525,"src":"10.0.0.0/8"}"#, "needs 0x0800"),
        (r#"{"ether_type":34997,"protocol":17}"#, "not IP"),
        (r#"{"ether_type":34997,"dst_ports":{"first":1,"last":2}}"#, "not IP"),
        (r#"{"dst_ports":{"first":2,"last":1}}"#, "empty"),
        (r#"{"protocol":1,"dst_ports":{"first":1,"last":2}}"#, "no ports"),
    ] {
        let text = fault(json);
        assert!(text.starts_with("rule 1: ") && text.contains(says), "{text}");
    }
    let many = vec![XdpRule::default(); MAX_RULES + 1];
    assert_eq!(check(&many), Err(RuleError::TooMany { given: 65 }));
    check(&many[1..]).unwrap();
}
