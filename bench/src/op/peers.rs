//! What we compare with: the memory's own speed, other crates, and plain loops.

use std::hint::black_box;

use pfs_dataplane::pcpu::{FNV_BASIS, oracle};

use crate::roofline;

/// A way to go over one span: takes the sum so far, gives back the new one.
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) span: fn(u64, &mut [u8]) -> u64,
    /// The answer for one pass over spans that hold these bytes.
    pub(super) answer: Answer,
}

/// What a peer's answer is checked against.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Sum of CRC-32C by span.
    Crc,
    /// Sum of FNV-1a by span.
    Fnv,
    /// Count of zero bytes.
    Zeros,
    /// Xor of all 64-bit words; whole 64-byte blocks only.
    Words,
    /// Every byte exclusive-ored with 255.
    Flipped,
    /// Every byte plus 7.
    Plus7,
    /// Nothing but unchanged bytes.
    Unchanged,
}

/// Every peer that this host can run.
pub(super) fn all() -> Vec<Peer> {
    let mut peers = vec![
        Peer { name: "crate crc32c", span: crate_crc32c, answer: Answer::Crc },
        Peer { name: "crate crc-fast", span: crate_crc_fast, answer: Answer::Crc },
        Peer { name: "plain fnv64", span: plain_fnv, answer: Answer::Fnv },
        Peer { name: "plain counteq", span: plain_count, answer: Answer::Zeros },
        Peer { name: "plain xor", span: plain_xor, answer: Answer::Flipped },
        Peer { name: "plain add", span: plain_add, answer: Answer::Plus7 },
        Peer { name: "memcpy", span: memcpy, answer: Answer::Unchanged },
    ];
    peers.extend([
        Peer {
            name: "roofline read",
            span: |sum, span| sum ^ roofline::read(span, false),
            answer: Answer::Words,
        },
        Peer {
            name: "roofline read ahead",
            span: |sum, span| sum ^ roofline::read(span, true),
            answer: Answer::Words,
        },
        Peer {
            name: "roofline read+write",
            span: |sum, span| rewrite(sum, span, false),
            answer: Answer::Unchanged,
        },
        Peer {
            name: "roofline read+write ahead",
            span: |sum, span| rewrite(sum, span, true),
            answer: Answer::Unchanged,
        },
    ]);
    peers
}

fn rewrite(sum: u64, span: &mut [u8], ahead: bool) -> u64 {
    roofline::rewrite(span, ahead);
    sum
}

fn crate_crc32c(sum: u64, span: &mut [u8]) -> u64 {
    sum.wrapping_add(u64::from(crc32c::crc32c(span)))
}

fn crate_crc_fast(sum: u64, span: &mut [u8]) -> u64 {
    sum.wrapping_add(u64::from(crc_fast::crc32_iscsi(span)))
}

fn plain_fnv(sum: u64, span: &mut [u8]) -> u64 {
    sum.wrapping_add(oracle::fnv64(FNV_BASIS, span))
}

fn plain_count(sum: u64, span: &mut [u8]) -> u64 {
    sum + span.iter().filter(|&&byte| byte == 0).count() as u64
}

fn plain_xor(sum: u64, span: &mut [u8]) -> u64 {
    span.iter_mut().for_each(|byte| *byte ^= 255);
    sum
}

fn plain_add(sum: u64, span: &mut [u8]) -> u64 {
    span.iter_mut().for_each(|byte| *byte = byte.wrapping_add(7));
    sum
}

/// To the same small place each time: the read side is what it measures of large buffers.
fn memcpy(sum: u64, span: &mut [u8]) -> u64 {
    let mut to = [0u8; 4096];
    for part in span.chunks(to.len()) {
        black_box(&mut to[..part.len()]).copy_from_slice(part);
    }
    black_box(&to);
    sum
}
