//! Parse, match, steer: from a frame to its payload, rule, flow and lane.
//!
//! [`parse`] reads headers in place and gives the payload's [`Span`] with the fields that rules
//! match on; [`RuleSet::find`] gives the first rule that matches; [`flow_hash`] and [`lane_of`]
//! keep both directions of a flow, and all fragments of a datagram, on one lane. [`Classifier`]
//! does all that for a receiver's batch.
//!
//! # What is read
//!
//! Ethernet with up to two VLAN tags (0x8100, 0x88A8, 0x9100); IPv4 with options; IPv6 with up
//! to six extension headers; fragments of both, one by one (nothing is put together again); UDP
//! and TCP headers, the ports of SCTP and UDP-Lite. Rules match as [`pfs_ebpf::rules`] lays
//! down; what that page calls malformed is malformed here.
//!
//! # Which lies are malformed
//!
//! A frame is malformed when its payload cannot be told from its headers, or when two of its
//! lengths contradict each other so that bytes would be claimed that are not there:
//!
//! | what | verdict |
//! |---|---|
//! | a header that the frame, the IP packet or the capture ends within | malformed |
//! | a header that is not wholly in the frame's first buffer | malformed |
//! | IHL < 5; TCP data offset < 5, or beyond the packet | malformed |
//! | IPv4 total length or IPv6 payload length beyond the frame on the wire | malformed |
//! | IPv4 total length shorter than the header (0 included) | malformed |
//! | IPv6 payload length 0 with hop-by-hop options: a jumbogram | malformed: not supported |
//! | more than six IPv6 extension headers | malformed |
//! | UDP length below 8, or beyond an unfragmented IP packet | malformed |
//! | UDP length below what the IP packet holds | payload ends where UDP says |
//! | bytes behind the IP packet: padding | not payload |
//! | IEEE 802.3 length beyond the frame | payload is what is there |
//! | a third VLAN tag | part of the payload, like any EtherType that is not IP |
//! | wrong checksums | not looked at |
//! | a capture cut within the payload (`caplen < len`) | payload is what is there, flagged |
//!
//! The transport header decides about payload but not about rules: the XDP program sends a frame
//! with a UDP length that lies to user space if a rule wants it, and it is counted here.

mod classify;
mod frame;
mod hash;
mod ip;
mod malformed;
mod parse;
mod parsed;
mod rules;
mod ruleset;
mod text;
mod transport;

#[cfg(test)]
mod tests;

pub(crate) use classify::Alike;
pub use classify::{Classifier, ClassifyCounters, Verdict};
pub use frame::Frame;
pub use hash::{flow_hash, lane_of};
pub use malformed::Malformed;
pub use parse::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_RAW, parse, parse_into};
pub use parsed::{Fragment, Network, Parsed, Ports, Span, Vlans};
pub use rules::{Action, Rule, RuleMatch};
pub use ruleset::{RuleSet, RuleSetError};
pub use transport::{PROTOCOL_TCP, PROTOCOL_UDP};
