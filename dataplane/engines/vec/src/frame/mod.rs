//! The binary datagram of operations on collections.
//!
//! All integers and numbers are little-endian, nothing is aligned. A **message** is the name of a collection
//! and operations on it. A datagram is one **frame**: a header and a message, or a numbered part of a
//! message that is longer than a datagram.
//!
//! | offset | bytes | header |
//! |---|---|---|
//! | 0 | 4 | `PFVC` |
//! | 4 | 1 | version: 1 |
//! | 5 | 1 | flags: 1 reply, 2 every operation is answered (without it only searches are) |
//! | 6 | 2 | stream: which of its flows the sender sends it in |
//! | 8 | 8 | sender: a number that a sender draws at random each time it starts |
//! | 16 | 8 | sequence: 1, 2, 3 … for each sender and stream, part by part; a reply repeats that of the message's first |
//! | 24 | 2 | part, from 0 |
//! | 26 | 2 | step: bytes of each part but the last, which has what is left |
//! | 28 | 4 | length of the whole message, 1 to [`MESSAGE_MAX`] |
//! | 32 | 4 | CRC-32C of bytes 0 to 31, then 36 to the end |
//!
//! The parts of a message have consecutive sequences: a part's less its number says which message it is of. A
//! part's place follows from its number and the step, so that parts cannot overlap.
//!
//! | bytes | message |
//! |---|---|
//! | 1 | length of the collection's name, 1 to [`NAME_MAX`] |
//! | … | the name, then operations up to the end |
//!
//! | kind | what follows |
//! |---|---|
//! | 1 put | element (1), id length (2), dimension (2), zeros (2), text length (4), metadata length (4), time (8; microseconds since 1970, 0 for that of the write), strength (4), confidence (4), id, text, metadata, vector |
//! | 2 delete, 3 touch | zero (1), id length (2), id |
//! | 4 associate | type (1), source length (2), target length (2), zeros (2), weight (4), confidence (4), source, target |
//! | 5 dissociate | type (1), source length (2), target length (2), zeros (2), source, target |
//! | 6 search | element (1), most hits (2; 1 to [`HITS_MAX`]), dimension (2), conditions (2), recall (4; 0 to 1, where 1 compares every vector), least score (4), what the conditions say, vector |
//!
//! A vector's element is 0 for f32, 1 for bf16, 2 for i8: 4, 2 or 1 bytes a component; i8 has one f32 before
//! its bytes, which says what a byte counts.
//!
//! | bit | condition on the records that a search may find, in this order |
//! |---|---|
//! | 1 | has one of these ids: how many (2), then for each its length (2), id |
//! | 2 | has a time in microseconds since 1970 from (8) until (8), both included |
//! | 4 | has all words of a text: length (2), text. With bit 8 one of them, with bit 16 words that begin so |
//!
//! | bytes | outcome, in a reply |
//! |---|---|
//! | 1 | kind of the operation |
//! | 1 | status: [`Status`] |
//! | 2 | which operation of the message, from 0 |
//! | 4 | bytes of what follows |
//! | … | of a search that was done: the share of the exact answer that its hits are expected to be (4; minus 1 where nothing was measured), then hits, best first: for each its score (4), id length (2), id |
//!
//! A reply is never in parts: outcomes that do not fit one frame come in several of the same sequence.
//!
//! A message is checked whole before any of its operations runs: a torn one does nothing.

mod assembly;
mod build;
mod bytes;
mod conditions;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod message;
mod parse;
mod reply;
#[cfg(test)]
mod tests;

pub use assembly::{Assembly, AssemblyCounters, AssemblyLimits};
pub use build::{Cutter, MessageBuilder, encode};
pub use conditions::{Conditions, Ids, WordsOf, encode_ids};
pub use error::FrameError;
pub use message::{Message, Operation, Vector};
pub use parse::Frame;
pub use reply::{Asker, Outcome, ReplyBuilder, ReplyHit, Status, outcomes};

const MAGIC: [u8; 4] = *b"PFVC";
const VERSION: u8 = 1;
/// Bytes of a frame's header.
pub const HEADER: usize = 36;
/// Where the check is in it.
const CHECK: usize = 32;
/// Longest message, in bytes.
pub const MESSAGE_MAX: usize = 1 << 20;
/// Longest name of a collection, in bytes.
pub const NAME_MAX: usize = 64;
/// Most hits that a search may ask for.
pub const HITS_MAX: u16 = 1024;

const REPLY: u8 = 1;
const ANSWER_ALL: u8 = 2;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const TOUCH: u8 = 3;
const ASSOCIATE: u8 = 4;
const DISSOCIATE: u8 = 5;
const SEARCH: u8 = 6;

/// The check over a frame whose header is whole.
fn check_of(frame: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(&frame[..CHECK]);
    digest.update(&frame[HEADER..]);
    digest.finalize() as u32
}
