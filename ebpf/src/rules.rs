//! Rules: which frames go to user space, which pass to the kernel's stack, which are dropped.
//!
//! This page is the contract for every matcher of these rules: the XDP program beside it
//! (`bpf/pfs_xdp.bpf.c`) and the one in user space. Given the same frame and the same rules
//! both say the same.
//!
//! # What a matcher looks at
//!
//! The *head* is the frame's first contiguous bytes as the matcher has them: the captured bytes
//! of a cut capture, the first buffer of a frame over several buffers, else the whole frame.
//! The *frame length* is the length on the wire, without FCS. Header bytes are only ever read
//! from the head; lengths that headers state are held against the frame length.
//! All fields are big-endian. From the frame these *facts* are taken, or it is **malformed**:
//!
//! 1. **Ethernet.** A head under 14 bytes is malformed. The type at byte 12 follows.
//! 2. **VLAN tags.** While the type is 0x8100, 0x88A8 or 0x9100 and fewer than two tags were
//!    taken: take a tag (4 bytes from the type on; id = low 12 bits of its third and fourth
//!    byte) and go on with the type behind it. A tag, or the type behind it, that is not in the
//!    head makes the frame malformed. A third tag is not taken: its TPID is then the EtherType.
//!    *EtherType* is the last type read.
//! 3. **EtherType 0x0800: IPv4.** L = frame length minus the header's start. Malformed when:
//!    20 bytes are not in the head; version is not 4; IHL < 5; IHL × 4 bytes are not in the
//!    head; total_length < IHL × 4; total_length > L. Addresses come from the fixed header.
//!    *Protocol* is the header's field as it stands (no header behind it is walked). The packet
//!    ends total_length bytes after its start; what follows is padding. A fragment offset that
//!    is not 0 means *no ports*.
//! 4. **EtherType 0x86DD: IPv6.** Malformed when: 40 bytes are not in the head; version is not
//!    6; 40 + payload_length > L. The packet ends 40 + payload_length bytes after its start.
//!    Addresses come from the fixed header (a routing header does not change them).
//!    Walk: `next` = Next Header; up to six times, while `next` is 0 (hop-by-hop), 43
//!    (routing), 60 (destination options), 44 (fragment) or 51 (authentication):
//!    - its length is 8 × (second byte + 1), for 44 it is 8, for 51 it is 4 × (second byte + 2);
//!    - malformed when the header's first 8 bytes are not in the head or not in the packet, or
//!      its length goes beyond the packet's end or the head's;
//!    - `next` = its first byte; for 44 with a fragment offset that is not 0 the walk stops here
//!      with *no ports* and `next` as it stands as *protocol*.
//!
//!    When `next` is still one of the five after six headers, *protocol is unknown* and there
//!    are *no ports*. Else *protocol* is `next` (59 "no next header" and 50 ESP included). The
//!    kinds may come in any order and more than once; the count alone bounds the walk.
//!    A payload_length of 0 is taken at its word (a jumbogram is therefore malformed).
//! 5. **Ports.** For protocol 6 (TCP), 17 (UDP), 132 (SCTP) and 136 (UDP-Lite) in a packet that
//!    is not a non-first fragment, when the smallest header of that protocol (20, 8, 12, 8
//!    bytes) lies wholly in the packet *and* in the head: *destination port* = its bytes 2–3.
//!    Else *no ports*, which is not malformed. Nothing else of the transport header is looked
//!    at: a UDP length that lies is not malformed here.
//! 6. **Any other EtherType**, 802.3 lengths (below 0x0600) included: no addresses, no protocol,
//!    no ports; never malformed.
//!
//! # When a rule matches
//!
//! A malformed frame matches no rule, not even an empty one: it passes to the kernel and is
//! counted as malformed. Otherwise each field that is set must hold; an empty rule matches every
//! frame that is not malformed:
//!
//! - `ether_type`: equals the EtherType.
//! - `vlan`: equals the id of the first **or** the second tag taken. An untagged frame has none;
//!   a priority tag has id 0.
//! - `src`, `dst`: the packet is of the prefix's family and its address lies in it. Bits beyond
//!   the prefix length are ignored on both sides. `::ffff:a.b.c.d` is IPv6, never IPv4;
//!   `0.0.0.0/0` matches any IPv4 packet and nothing else.
//! - `protocol`: known, and equal.
//! - `dst_ports`: there are ports, and `first <= destination port <= last`.
//!
//! The first rule that matches decides. When none does the frame passes to the kernel, counted
//! as unmatched. Inner packets of tunnels are not looked into.
//!
//! # Tags that the NIC keeps to itself
//!
//! XDP sees the frame as the driver hands it over. A NIC that strips the tag into its descriptor,
//! and a veth whose peer sends tags out of band, hide it from the program (not from the packet
//! socket, which rebuilds it): `ethtool -K IF rxvlan off`, on veth `txvlan off` on the peer.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most rules at once.
pub const MAX_RULES: usize = 64;

/// What is done with a frame that a rule matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum XdpAction {
    /// To the AF_XDP socket of the queue it came in on; where that queue has none it passes to
    /// the kernel, counted as `no_socket`.
    #[default]
    Redirect,
    /// To the kernel's network stack.
    Pass,
    /// Nowhere.
    Drop,
}

/// One rule: fields that must hold, and what is done when all do. The module's page has the
/// exact meaning of each. A field that is left out holds for every frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct XdpRule {
    /// EtherType behind any VLAN tags, 0x0600 to 0xFFFF: 2048 is IPv4, 34525 is IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ether_type: Option<u16>,
    /// VLAN id of either of up to two tags, 0 to 4094.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Prefix that the source address lies in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<IpPrefix>,
    /// Prefix that the destination address lies in; of the same family as `src`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst: Option<IpPrefix>,
    /// IP protocol number: 6 is TCP, 17 is UDP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u8>,
    /// Destination ports of TCP, UDP, SCTP or UDP-Lite. Never holds for a later fragment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst_ports: Option<PortRange>,
    /// What is done with a frame for which all fields hold.
    #[serde(default)]
    pub action: XdpAction,
}

/// Ports from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PortRange {
    /// Lowest port.
    pub first: u16,
    /// Highest port; not below `first`.
    pub last: u16,
}

impl PortRange {
    /// The range of one port.
    #[must_use]
    pub const fn one(port: u16) -> Self {
        Self { first: port, last: port }
    }
}

/// An address and how many of its leading bits count: `10.0.0.0/8`, `fd00::/8`.
/// In JSON a string; without `/` the whole address counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct IpPrefix {
    addr: IpAddr,
    len: u8,
}

impl IpPrefix {
    /// `addr`'s first `len` bits. Bits behind them are kept for display and never compared.
    ///
    /// # Errors
    /// When `len` exceeds 32 (IPv4) or 128 (IPv6).
    pub fn new(addr: IpAddr, len: u8) -> Result<Self, RuleError> {
        let max = if addr.is_ipv4() { 32 } else { 128 };
        if len > max {
            return Err(RuleError::Prefix { text: format!("{addr}/{len}") });
        }
        Ok(Self { addr, len })
    }

    /// The address as it was given.
    #[must_use]
    pub const fn addr(&self) -> IpAddr {
        self.addr
    }

    /// How many leading bits count: 0 to 32 (IPv4) or 128 (IPv6).
    #[must_use]
    pub const fn prefix_len(&self) -> u8 {
        self.len
    }

    /// EtherType of the address's family.
    #[must_use]
    pub const fn ether_type(&self) -> u16 {
        if self.addr.is_ipv4() { 0x0800 } else { 0x86DD }
    }
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl FromStr for IpPrefix {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let bad = || RuleError::Prefix { text: text.to_owned() };
        let (addr, len) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let addr: IpAddr = addr.parse().map_err(|_| bad())?;
        let whole = if addr.is_ipv4() { 32 } else { 128 };
        let len = len.map_or(Ok(whole), str::parse).map_err(|_| bad())?;
        Self::new(addr, len).map_err(|_| bad())
    }
}

impl TryFrom<String> for IpPrefix {
    type Error = RuleError;

    fn try_from(text: String) -> Result<Self, RuleError> {
        text.parse()
    }
}

impl From<IpPrefix> for String {
    fn from(prefix: IpPrefix) -> Self {
        prefix.to_string()
    }
}

/// A rule, or a list of them, that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// Text that is no prefix.
    #[error("`{text}` is no address prefix; write e.g. 192.0.2.0/24 or 2001:db8::/32")]
    Prefix {
        /// What was given.
        text: String,
    },
    /// More rules than the table holds.
    #[error("{given} rules given, at most {MAX_RULES} fit; merge prefixes or port ranges")]
    TooMany {
        /// How many were given.
        given: usize,
    },
    /// A rule with a value out of range, or with fields that exclude each other.
    #[error("rule {index}: {what}")]
    Rule {
        /// Position in the list, from 0.
        index: usize,
        /// What is wrong, and what would be right.
        what: String,
    },
}

/// Checks a list of rules: values in range, and no rule that could never match.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn check(rules: &[XdpRule]) -> Result<(), RuleError> {
    if rules.len() > MAX_RULES {
        return Err(RuleError::TooMany { given: rules.len() });
    }
    for (index, rule) in rules.iter().enumerate() {
        if let Some(what) = fault(rule) {
            return Err(RuleError::Rule { index, what });
        }
    }
    Ok(())
}

/// What is wrong with `rule`, if anything.
fn fault(rule: &XdpRule) -> Option<String> {
    let family = rule.src.or(rule.dst).map(|p| p.ether_type());
    if let Some(e) = rule.ether_type.filter(|&e| e < 0x0600) {
        return Some(format!("ether_type {e:#06x} is an 802.3 length; give 0x0600 or more"));
    }
    if let Some(v) = rule.vlan.filter(|&v| v > 4094) {
        return Some(format!("vlan {v} is out of range; give 0 to 4094"));
    }
    if let (Some(src), Some(dst)) = (rule.src, rule.dst)
        && src.ether_type() != dst.ether_type()
    {
        return Some(format!("src {src} and dst {dst} are of different families"));
    }
    if let (Some(e), Some(f)) = (rule.ether_type, family)
        && e != f
    {
        return Some(format!("ether_type {e:#06x} excludes the prefix, which needs {f:#06x}"));
    }
    let ip_only = rule.protocol.is_some() || rule.dst_ports.is_some();
    if let Some(e) = rule.ether_type.filter(|e| ip_only && !matches!(e, 0x0800 | 0x86DD)) {
        return Some(format!("ether_type {e:#06x} is not IP, so it has no protocol or ports"));
    }
    let ports = rule.dst_ports?;
    if ports.first > ports.last {
        return Some(format!("dst_ports {} to {} is empty", ports.first, ports.last));
    }
    let p = rule.protocol.filter(|p| !matches!(p, 6 | 17 | 132 | 136))?;
    Some(format!("protocol {p} has no ports; use 6, 17, 132 or 136, or leave dst_ports out"))
}
