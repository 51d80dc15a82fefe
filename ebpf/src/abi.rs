//! What the program and user space share byte for byte: the mirror of the C structures.

use std::net::IpAddr;

use bytemuck::{Pod, Zeroable};

use crate::rules::{IpPrefix, MAX_RULES, XdpAction, XdpRule};

/// Receive queues that the maps have room for; higher ones pass, and count by rule only.
pub const MAX_QUEUES: u32 = 256;

/// Verdicts, in the order that the program counts them.
pub(crate) const VERDICTS: usize = 6;

const FIELD_ETHER_TYPE: u8 = 1;
const FIELD_VLAN: u8 = 2;
const FIELD_PROTOCOL: u8 = 4;
const FIELD_PORTS: u8 = 8;

/// Packets and bytes, each verdict apart, on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub(crate) struct RawCounts(pub(crate) [[u64; 2]; VERDICTS]);

/// Words of a [`RawCounts`].
pub(crate) const COUNT_WORDS: usize = size_of::<RawCounts>() / size_of::<u64>();
/// Slots of rules' counters for each CPU: the rules of two tables.
pub(crate) const RULE_SLOTS: u32 = 2 * MAX_RULES as u32;

/// A rule as the program compares it: addresses and masks in network order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(crate) struct RawRule {
    addr: [[u8; 16]; 2],
    mask: [[u8; 16]; 2],
    ether_type: u16,
    vlan: u16,
    port_first: u16,
    port_last: u16,
    protocol: u8,
    action: u8,
    fields: u8,
    unused: [u8; 5],
}

/// All rules of one generation.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(crate) struct RawTable {
    rules: u32,
    unused: u32,
    rule: [RawRule; MAX_RULES],
}

const _: () = {
    assert!(size_of::<RawCounts>() == 96);
    assert!(size_of::<RawRule>() == 80);
    assert!(std::mem::offset_of!(RawRule, ether_type) == 64);
    assert!(std::mem::offset_of!(RawRule, fields) == 74);
    assert!(size_of::<RawTable>() == 8 + 80 * MAX_RULES);
};

impl RawRule {
    /// `rule` as the program reads it; it was checked before.
    fn new(rule: &XdpRule) -> Self {
        let mut raw = Self::zeroed();
        let prefixes = [rule.src, rule.dst];
        for (i, prefix) in prefixes.iter().enumerate() {
            if let Some(prefix) = prefix {
                (raw.addr[i], raw.mask[i]) = address(prefix);
            }
        }
        let family = prefixes.iter().flatten().next().map(IpPrefix::ether_type);
        raw.set(FIELD_ETHER_TYPE, rule.ether_type.or(family), |r, v| r.ether_type = v);
        raw.set(FIELD_VLAN, rule.vlan, |r, v| r.vlan = v);
        raw.set(FIELD_PROTOCOL, rule.protocol, |r, v| r.protocol = v);
        raw.set(FIELD_PORTS, rule.dst_ports, |r, v| {
            (r.port_first, r.port_last) = (v.first, v.last);
        });
        raw.action = match rule.action {
            XdpAction::Redirect => 0,
            XdpAction::Pass => 1,
            XdpAction::Drop => 2,
        };
        raw
    }

    fn set<T>(&mut self, field: u8, value: Option<T>, store: impl FnOnce(&mut Self, T)) {
        if let Some(value) = value {
            self.fields |= field;
            store(self, value);
        }
    }
}

impl RawTable {
    /// The table of `rules`: at most [`MAX_RULES`], checked before.
    pub(crate) fn new(rules: &[XdpRule]) -> Box<Self> {
        let mut table = Box::new(Self::zeroed());
        for (raw, rule) in table.rule.iter_mut().zip(rules) {
            *raw = RawRule::new(rule);
            table.rules += 1;
        }
        table
    }
}

/// Address bytes with the bits behind the prefix cleared, and the mask of those before.
fn address(prefix: &IpPrefix) -> ([u8; 16], [u8; 16]) {
    let (mut addr, mut mask) = ([0; 16], [0; 16]);
    match prefix.addr() {
        IpAddr::V4(a) => addr[..4].copy_from_slice(&a.octets()),
        IpAddr::V6(a) => addr = a.octets(),
    }
    for (i, (a, m)) in addr.iter_mut().zip(&mut mask).enumerate() {
        let bits = usize::from(prefix.prefix_len()).saturating_sub(8 * i).min(8);
        *m = !(0xFF_u16 >> bits) as u8;
        *a &= *m;
    }
    (addr, mask)
}
