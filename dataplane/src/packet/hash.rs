//! The symmetric flow hash, and the lane that it selects.
//!
//! Both directions of a flow hash alike, so that one worker sees both. All fragments of a
//! datagram hash alike too: only the first one holds ports, so ports count for none of them. A
//! flow that is fragmented in part therefore may use two lanes; each datagram uses one.
//!
//! The mixing is the folded 64 × 64 → 128-bit multiply of wyhash (public domain). It is plain
//! arithmetic: the same on every host and in every run. It has no secret, so a sender can aim
//! at a lane; the receiver drops and counts what a lane cannot take.

use super::{Fragment, Network, Parsed};

// Odd constants with about as many ones as zeros: digits of the golden ratio and of pi.
const K0: u64 = 0x9e37_79b9_7f4a_7c15;
const K1: u64 = 0x243f_6a88_85a3_08d3;
const K2: u64 = 0x1319_8a2e_0370_7345;

/// The hash of the flow that a frame belongs to: equal for both directions, independent of host
/// and run.
///
/// Of addresses, protocol and ports for IP; of addresses and IP version for fragments; of MAC
/// addresses and EtherType for other frames; 0 for payload without headers.
#[inline]
#[must_use]
pub fn flow_hash(parsed: &Parsed) -> u32 {
    let (source_port, destination_port, kind) = match (parsed.fragment, parsed.ports) {
        (Fragment::Whole, Some(ports)) => {
            (u64::from(ports.source), u64::from(ports.destination), parsed.protocol)
        }
        (Fragment::Whole, None) => (0, 0, parsed.protocol),
        // Later IPv6 fragments may not know the protocol.
        _ => (0, 0, 0),
    };
    let kind = u64::from(parsed.ethertype) << 8 | u64::from(kind);
    let (a, b) = match parsed.network {
        Network::Ipv6 => {
            (endpoint(parsed.source, source_port), endpoint(parsed.destination, destination_port))
        }
        Network::Ipv4 | Network::Link => (
            (parsed.source as u64) << 16 | source_port,
            (parsed.destination as u64) << 16 | destination_port,
        ),
        Network::None => return 0,
    };
    // Ordering the endpoints makes the hash symmetric without the collisions that a sum or an
    // exclusive or of sequential addresses has.
    let mixed = mix(a.min(b) ^ K0, a.max(b) ^ K1);
    (mix(mixed ^ kind, K2) >> 32) as u32
}

#[inline(always)]
fn endpoint(address: u128, port: u64) -> u64 {
    mix((address >> 64) as u64 ^ K0 ^ port, address as u64 ^ K1 ^ port << 48)
}

/// Both halves of the 128-bit product, folded by exclusive or.
#[inline(always)]
const fn mix(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// The lane, `0..lanes`, of a flow. `lanes` of 0 counts as 1.
#[inline]
#[must_use]
pub const fn lane_of(hash: u32, lanes: u32) -> u32 {
    ((hash as u64 * lanes as u64) >> 32) as u32
}
