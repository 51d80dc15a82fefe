//! Rules as a plan has them: what to match, and what to do then.
//!
//! Their meaning is that of [`pfs_ebpf::rules`], which the XDP program follows too; here they
//! have their text forms and name a program and a sink.

use pfs_ebpf::rules::{IpPrefix, PortRange, XdpAction, XdpRule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{self, NumberOrText};

pub use pfs_ebpf::rules::XdpAction as Action;

/// What a frame must be for a rule to match. A field that is left out holds for every frame;
/// without any field the rule matches every well-formed frame, bare payload included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleMatch {
    /// EtherType behind any VLAN tags, 1536 to 65535: a number, hexadecimal text such as
    /// `"0x88b5"`, or `"ipv4"`, `"ipv6"`, `"arp"`.
    #[serde(default, with = "text::ethertype", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<NumberOrText>")]
    pub ethertype: Option<u16>,
    /// VLAN id of either of up to two tags, 0 to 4094.
    #[serde(default, with = "text::vlan", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u16>", range(max = 4094))]
    pub vlan: Option<u16>,
    /// Prefix that the source address lies in: `"10.0.0.0/8"`, `"2001:db8::/32"`.
    #[serde(default, with = "text::source", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub source: Option<IpPrefix>,
    /// Prefix that the destination address lies in; of the same family as `source`.
    #[serde(default, with = "text::destination", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub destination: Option<IpPrefix>,
    /// IP protocol, after IPv6 extension headers: `"udp"`, `"tcp"`, `"icmp"`, `"icmpv6"`,
    /// `"sctp"`, or a number from 0 to 255.
    #[serde(default, with = "text::protocol", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<NumberOrText>")]
    pub protocol: Option<u8>,
    /// Destination port or ports of UDP, TCP, SCTP or UDP-Lite, both ends included: `"53"`,
    /// `"1000-2000"`. Never holds for later fragments.
    #[serde(default, with = "text::destination_ports", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<NumberOrText>")]
    pub destination_ports: Option<PortRange>,
}

/// One rule of a plan. The first rule that matches a frame decides about it; a frame that no
/// rule matches is filtered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Name in reports and counters.
    pub name: String,
    /// What the rule matches; all frames when left out.
    #[serde(default, rename = "match")]
    pub matches: RuleMatch,
    /// `redirect` takes the frame; `pass` leaves it to the kernel; `drop` discards it, where the
    /// source is in the kernel's way (XDP), else leaves it too.
    #[serde(default)]
    pub action: Action,
    /// Program that the payload of frames taken runs through, e.g. `crc32c,counteq:0`. Needed by
    /// `redirect` and by nothing else.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub program: String,
    /// Name of the payload sink that keeps the payload after the program; none when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<String>,
    /// Name of the id sink that the token ids of the program's `token` op go to; they are counted
    /// and not kept when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<String>,
    /// Name of the reply sink that answers of the program's `kv` or `vec` op go back through; nobody
    /// is answered when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replies: Option<String>,
}

impl Rule {
    /// A rule that takes every frame.
    #[must_use]
    pub fn all(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            matches: RuleMatch::default(),
            action: XdpAction::Redirect,
            program: String::new(),
            sink: None,
            ids: None,
            replies: None,
        }
    }

    /// What the XDP program is told of this rule.
    #[must_use]
    pub const fn to_xdp(&self) -> XdpRule {
        XdpRule {
            ether_type: self.matches.ethertype,
            vlan: self.matches.vlan,
            src: self.matches.source,
            dst: self.matches.destination,
            protocol: self.matches.protocol,
            dst_ports: self.matches.destination_ports,
            action: self.action,
        }
    }
}
