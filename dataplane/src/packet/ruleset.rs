//! Rules compiled for the packet path: the first that matches, in a few cycles each.

use pfs_ebpf::rules::{self, IpPrefix, MAX_RULES, PortRange, RuleError, XdpRule};

use super::{Action, Network, Parsed, Rule};

/// Rules that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleSetError {
    /// A rule whose fields exclude each other.
    #[error("rule {index} (`{name}`): {what}")]
    Rule {
        /// Position in the plan, from 0.
        index: usize,
        /// The rule's name.
        name: String,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// Two rules have one name, which reports could not tell apart.
    #[error("rules {first} and {second} are both named `{name}`; rename one")]
    SameName {
        /// Position of the first, from 0.
        first: usize,
        /// Position of the second.
        second: usize,
        /// Their name.
        name: String,
    },
    /// The list as a whole.
    #[error(transparent)]
    List(RuleError),
}

/// The parts of a rule that fit into words: all that most rules have.
#[derive(Clone, Copy, Debug)]
struct Words {
    /// Compared with [`key`] under `mask`.
    key: u64,
    mask: u64,
    /// Lowest destination port, and how many follow it; `u32::MAX` when ports do not matter.
    first_port: u32,
    more_ports: u32,
    /// Whether `Wide` has something to check.
    wide: bool,
}

/// The rest of a rule.
#[derive(Clone, Copy, Debug, Default)]
struct Wide {
    vlan: Option<u16>,
    source: Prefix,
    destination: Prefix,
}

#[derive(Clone, Copy, Debug, Default)]
struct Prefix {
    address: u128,
    mask: u128,
}

/// Up to 64 rules, in order. A rule's index is its place in the list that it was compiled from.
#[derive(Clone, Debug)]
pub struct RuleSet {
    words: Box<[Words]>,
    wide: Box<[Wide]>,
    actions: Box<[Action]>,
    /// Whether the first rule matches everything, as in most plans.
    takes_all: bool,
}

/// Destination port of a packet that has none: above all ports.
const NO_PORT: u32 = 0x1_0000;

/// Bits of a key: EtherType 0..16, protocol 16..24, network 24..32, and whether there is IP.
const KEY_PROTOCOL: u32 = 16;
const KEY_NETWORK: u32 = 24;
const KEY_IP: u64 = 1 << 32;

#[inline(always)]
const fn key(ethertype: u16, protocol: u8, network: Network) -> u64 {
    let ip = matches!(network, Network::Ipv4 | Network::Ipv6);
    ethertype as u64
        | (protocol as u64) << KEY_PROTOCOL
        | (network as u64) << KEY_NETWORK
        | if ip { KEY_IP } else { 0 }
}

impl RuleSet {
    /// Compiles the rules of a plan.
    ///
    /// # Errors
    /// More than 64 rules, two of one name, or a rule that could never match.
    pub fn compile(rules: &[Rule]) -> Result<Self, RuleSetError> {
        let xdp: Vec<_> = rules.iter().map(Rule::to_xdp).collect();
        rules::check(&xdp).map_err(|error| match error {
            RuleError::Rule { index, what } => RuleSetError::Rule {
                index,
                name: rules.get(index).map(|rule| rule.name.clone()).unwrap_or_default(),
                what,
            },
            other => RuleSetError::List(other),
        })?;
        for (second, rule) in rules.iter().enumerate() {
            let earlier = rules.iter().take(second);
            if let Some(first) = earlier.map(|rule| &rule.name).position(|name| *name == rule.name)
            {
                return Err(RuleSetError::SameName { first, second, name: rule.name.clone() });
            }
        }
        Ok(Self::from_xdp(&xdp))
    }

    /// Compiles rules that [`rules::check`] has passed.
    fn from_xdp(rules: &[XdpRule]) -> Self {
        let words: Box<[_]> = rules.iter().map(Words::new).collect();
        Self {
            takes_all: words.first().is_some_and(Words::takes_all),
            wide: rules.iter().map(Wide::new).collect(),
            actions: rules.iter().map(|rule| rule.action).collect(),
            words,
        }
    }

    /// Index of the first rule that matches, `0..len()`.
    #[inline]
    #[must_use]
    pub fn find(&self, parsed: &Parsed) -> Option<u16> {
        if self.takes_all {
            return Some(0);
        }
        let key = key(parsed.ethertype, parsed.protocol, parsed.network);
        let port = parsed.ports.map_or(NO_PORT, |ports| u32::from(ports.destination));
        let rules = self.words.iter().zip(&*self.wide);
        rules
            .enumerate()
            .find(|(_, (words, wide))| words.hold(key, port) && (!words.wide || wide.holds(parsed)))
            .map(|(index, _)| index as u16)
    }

    /// What a rule does; [`Action::Pass`] for an index that is not a rule's.
    #[inline]
    #[must_use]
    pub fn action(&self, rule: u16) -> Action {
        self.actions.get(usize::from(rule)).copied().unwrap_or(Action::Pass)
    }

    /// Number of rules, at most 64.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there is no rule, so that nothing matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

impl Words {
    fn new(rule: &XdpRule) -> Self {
        let family = rule.src.or(rule.dst).map(|prefix| match prefix.ether_type() {
            super::ETHERTYPE_IPV4 => Network::Ipv4,
            _ => Network::Ipv6,
        });
        let mut words = Self {
            key: key(
                rule.ether_type.unwrap_or(0),
                rule.protocol.unwrap_or(0),
                family.unwrap_or(Network::None),
            ),
            mask: 0,
            first_port: 0,
            more_ports: u32::MAX,
            wide: rule.vlan.is_some() || family.is_some(),
        };
        if rule.ether_type.is_some() {
            words.mask |= 0xffff;
        }
        if rule.protocol.is_some() {
            words.key |= KEY_IP;
            words.mask |= 0xff << KEY_PROTOCOL | KEY_IP;
        }
        if family.is_some() {
            words.mask |= 0xff << KEY_NETWORK;
        }
        if let Some(PortRange { first, last }) = rule.dst_ports {
            words.first_port = u32::from(first);
            words.more_ports = u32::from(last) - u32::from(first);
        }
        words
    }

    #[inline(always)]
    const fn hold(&self, key: u64, port: u32) -> bool {
        ((key ^ self.key) & self.mask == 0)
            & (port.wrapping_sub(self.first_port) <= self.more_ports)
    }

    const fn takes_all(&self) -> bool {
        self.mask == 0 && self.more_ports == u32::MAX && !self.wide
    }
}

impl Wide {
    fn new(rule: &XdpRule) -> Self {
        let prefix = |prefix: Option<IpPrefix>| prefix.map(Prefix::new).unwrap_or_default();
        Self { vlan: rule.vlan, source: prefix(rule.src), destination: prefix(rule.dst) }
    }

    #[inline]
    fn holds(&self, parsed: &Parsed) -> bool {
        self.source.holds(parsed.source)
            && self.destination.holds(parsed.destination)
            && self.vlan.is_none_or(|id| parsed.vlans.ids().contains(&id))
    }
}

impl Prefix {
    fn new(prefix: IpPrefix) -> Self {
        let (address, bits) = match prefix.addr() {
            std::net::IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
            std::net::IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let host_bits = bits - u32::from(prefix.prefix_len());
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
        Self { address: address & mask, mask }
    }

    #[inline(always)]
    const fn holds(&self, address: u128) -> bool {
        address & self.mask == self.address
    }
}

const _: () = assert!(MAX_RULES <= u16::MAX as usize);
