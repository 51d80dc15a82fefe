//! Text forms of a rule's fields. Each error names its field.

use std::fmt::Display;
use std::str::FromStr;

use pfs_ebpf::rules::{IpPrefix, PortRange};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A JSON number, or text that stands for one.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number or text")]
pub(super) enum NumberOrText {
    Number(u64),
    Text(String),
}

type Named<T> = &'static [(&'static str, T)];
const ETHERTYPES: Named<u16> = &[("ipv4", 0x0800), ("ipv6", 0x86dd), ("arp", 0x0806)];
const PROTOCOLS: Named<u8> =
    &[("udp", 17), ("tcp", 6), ("icmp", 1), ("icmpv6", 58), ("sctp", 132), ("udplite", 136)];

/// Declares a `serde(with)` module for an optional field, from its parse and print functions.
macro_rules! field {
    ($name:ident: $type:ty, $form:ty, $parse:expr, $print:expr) => {
        pub(super) mod $name {
            use super::*;

            pub(in super::super) fn serialize<S: Serializer>(
                value: &Option<$type>,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                value.as_ref().map($print).serialize(serializer)
            }

            pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Option<$type>, D::Error> {
                Option::<$form>::deserialize(deserializer)
                    .and_then(|given| given.map($parse).transpose().map_err(de::Error::custom))
                    .map_err(|error| {
                        de::Error::custom(format_args!("{}: {error}", stringify!($name)))
                    })
            }
        }
    };
}

field!(ethertype: u16, NumberOrText, parse_ethertype, |value: &u16| {
    name_of(ETHERTYPES, value).map_or_else(|| format!("{value:#06x}"), str::to_owned)
});
field!(vlan: u16, u64, parse_vlan, |value: &u16| *value);
field!(source: IpPrefix, String, |given: String| parse_prefix(&given), IpPrefix::to_string);
field!(destination: IpPrefix, String, |given: String| parse_prefix(&given), IpPrefix::to_string);
field!(protocol: u8, NumberOrText, parse_protocol, |value: &u8| {
    name_of(PROTOCOLS, value).map_or(NumberOrText::Number(u64::from(*value)), |name| {
        NumberOrText::Text(name.to_owned())
    })
});
field!(destination_ports: PortRange, NumberOrText, parse_ports, |value: &PortRange| {
    match *value {
        PortRange { first, last } if first == last => first.to_string(),
        PortRange { first, last } => format!("{first}-{last}"),
    }
});

fn name_of<T: PartialEq>(names: Named<T>, value: &T) -> Option<&'static str> {
    names.iter().find(|(_, named)| named == value).map(|(name, _)| *name)
}

/// A name of the table, a decimal or a hexadecimal number.
fn parse_number<T>(given: NumberOrText, names: Named<T>, what: &str) -> Result<T, String>
where
    T: Copy + TryFrom<u64>,
{
    let known = || names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let bad = |given: &dyn Display| format!("`{given}` is no {what}; give {} or a number", known());
    let text = match given {
        NumberOrText::Number(number) => return T::try_from(number).map_err(|_| bad(&number)),
        NumberOrText::Text(text) => text,
    };
    if let Some((_, value)) = names.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)) {
        return Ok(*value);
    }
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => u64::from_str(&text),
    };
    number.ok().and_then(|number| T::try_from(number).ok()).ok_or_else(|| bad(&text))
}

fn parse_ethertype(given: NumberOrText) -> Result<u16, String> {
    match parse_number(given, ETHERTYPES, "EtherType")? {
        length @ ..0x0600 => {
            Err(format!("{length:#06x} is an IEEE 802.3 length; give 0x0600 or more"))
        }
        ethertype => Ok(ethertype),
    }
}

fn parse_vlan(given: u64) -> Result<u16, String> {
    u16::try_from(given)
        .ok()
        .filter(|id| *id <= 4094)
        .ok_or_else(|| format!("{given} is no VLAN id; give 0 to 4094"))
}

fn parse_prefix(given: &str) -> Result<IpPrefix, String> {
    given.parse().map_err(|error: pfs_ebpf::rules::RuleError| error.to_string())
}

fn parse_protocol(given: NumberOrText) -> Result<u8, String> {
    parse_number(given, PROTOCOLS, "IP protocol")
}

fn parse_ports(given: NumberOrText) -> Result<PortRange, String> {
    let text = match given {
        NumberOrText::Number(number) => number.to_string(),
        NumberOrText::Text(text) => text,
    };
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(PortRange { first, last }),
        _ => Err(format!("`{text}` is no port range; give e.g. 53 or 1000-2000")),
    }
}
