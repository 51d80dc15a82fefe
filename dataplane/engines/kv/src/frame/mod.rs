//! The binary datagram of key/value operations.
//!
//! All integers are little-endian, nothing is aligned. A datagram is one frame: a header of 32 bytes, then
//! `count` operations, and nothing behind them.
//!
//! | offset | bytes | header |
//! |---|---|---|
//! | 0 | 4 | `PFKV` |
//! | 4 | 1 | version: 1 |
//! | 5 | 1 | flags: 1 reply, 2 every operation is answered (without it only gets are) |
//! | 6 | 2 | `count`, 1 to 65,535 |
//! | 8 | 8 | sender: a number that a sender draws at random each time it starts |
//! | 16 | 8 | sequence: 1, 2, 3 … for each sender and lane; a reply repeats it |
//! | 24 | 2 | lane: the owner of all keys in the frame, [`lane_of`] |
//! | 26 | 2 | 0 |
//! | 28 | 4 | CRC-32C of bytes 0 to 27, then 32 to the end |
//!
//! | bytes | operation | result, in a reply |
//! |---|---|---|
//! | 1 | kind: 1 put, 2 delete, 3 get, 4 pair set | kind |
//! | 1 | flags: 1 hidden (pair set), 2 expires (put) | status: [`Status`] |
//! | 2 | key length | which operation of the frame, from 0 |
//! | 4 | value length | value length |
//! | … | key, then value | value |
//!
//! A put that expires has 8 bytes before its value (they count in its length): milliseconds since 1970. The
//! value of a pair set is the absolute key, 8 bytes, below 2^48. Deletes and gets have no value. A reply that does
//! not fit one datagram comes in several frames of the same sequence.
//!
//! A frame is checked whole before any of its operations runs: a torn one does nothing.

mod build;
mod error;
pub mod fuzzing;
mod parse;
mod sequence;
#[cfg(test)]
mod tests;

pub use build::{Builder, ReplyBuilder};
pub use error::FrameError;
pub use parse::{Frame, Operation, OperationKind, Outcome, Status};
pub use sequence::{SequenceCounters, Sequences, Verdict};

const MAGIC: [u8; 4] = *b"PFKV";
const VERSION: u8 = 1;
/// Bytes of a frame's header.
pub const HEADER: usize = 32;
/// Bytes of an operation's or result's header.
pub const OPERATION: usize = 8;
const REPLY: u8 = 1;
const ANSWER_ALL: u8 = 2;
const HIDDEN: u8 = 1;
const EXPIRES: u8 = 2;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const GET: u8 = 3;
const PAIR_SET: u8 = 4;

/// The lane that owns `key` among `lanes`: `(crc32c(key) * lanes) >> 32`. Senders follow it, so that a frame
/// arrives where its keys live.
///
/// # Panics
/// When `lanes` is 0.
#[must_use]
pub fn lane_of(key: &[u8], lanes: u16) -> u16 {
    assert!(lanes > 0, "there is no lane");
    let hash = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, key);
    ((hash * u64::from(lanes)) >> 32) as u16
}

/// The check over a frame whose header is whole.
fn check_of(frame: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(&frame[..HEADER - 4]);
    digest.update(&frame[HEADER..]);
    digest.finalize() as u32
}
