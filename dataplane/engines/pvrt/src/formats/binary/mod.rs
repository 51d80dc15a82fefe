//! The binary twin of IPROG: programs of any size, written in one pass, read in any order.
//!
//! All integers are little-endian; `uvarint` is LEB128 without needless bytes, `svarint` the same of
//! a zigzag number. CRC is CRC-32C.
//!
//! | part | content |
//! |---|---|
//! | head | `PFSPROG\n` · u16 version 1 · u16 head's bytes · u32 window bytes · u64 blob size · u32 blob seed · u16 blob layout · u8 profile (0 prand, 1 palette, 2 orchard) · u8 0 · u32 dictionary's bytes · u16 n, file name · u16 n, blob name · u32 CRC of the dictionary · u32 CRC of the head before this |
//! | dictionary | zstd dictionary, or nothing |
//! | record, one per window | u32 payload's bytes · u32 CRC of the payload · payload |
//! | index | u64 offset of each record |
//! | trailer, 72 bytes | u64 file size · u64 windows · u64 offset of the index · 32 B SHA-256 of the file · u32 CRC of the index · u32 CRC of the trailer before this · `PFSPEND\n` |
//!
//! A payload is uvarint pieces; for each piece uvarint `len << 2 | kind` with kind 0 raw, 1
//! identity, 2 xor, 3 add, for the latter two the immediate, for all references svarint offset minus
//! the end of the window's last reference (0 at first; modulo 2^64); then, when there are raw pieces,
//! u8 method (0 plain, 1 zstd, 2 zstd with the dictionary) and the raw bytes by it.

mod reader;
#[cfg(test)]
mod tests;
mod window;
mod writer;

pub use reader::BinaryReader;
pub use window::{EncodedWindow, WindowEncoder};
pub use writer::{BinaryWriter, WriteError};

const FORMAT: &str = "binary program";
const MAGIC: &[u8; 8] = b"PFSPROG\n";
const END: &[u8; 8] = b"PFSPEND\n";
const VERSION: u16 = 1;
/// Bytes of the trailer.
const TRAILER: usize = 72;
/// Bytes before a record's payload.
const RECORD: usize = 8;
/// Largest dictionary.
const DICTIONARY_MAX: u32 = 1 << 20;

fn crc(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// Sets all check sums to what they are to be, as far as the layout can be followed: fuzzers do not
/// guess them.
pub(super) fn mend(bytes: &mut [u8]) {
    let word = |bytes: &[u8], at: usize| {
        let word = bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(word.try_into().ok()?) as usize)
    };
    let Some(trailer) = bytes.len().checked_sub(TRAILER) else { return };
    let Some(head) = word(bytes, 8).map(|word| word >> 16) else { return };
    let Some(dictionary) = word(bytes, 32) else { return };
    let Some(first) = head.checked_add(dictionary).filter(|&at| head >= 52 && at <= trailer) else {
        return;
    };
    let put = |bytes: &mut [u8], from: usize, to: usize, at: usize| {
        let sum = crc(&bytes[from..to]);
        bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
    };
    put(bytes, head, first, head - 8);
    put(bytes, 0, head - 4, head - 4);
    let index = word(bytes, trailer + 16).filter(|&at| first <= at && at <= trailer);
    let index = index.unwrap_or(trailer);
    let mut at = first;
    while let Some(len) = word(bytes, at) {
        let payload = at + RECORD;
        let Some(end) = payload.checked_add(len).filter(|&end| end <= index) else { break };
        put(bytes, payload, end, at + 4);
        at = end;
    }
    put(bytes, index, trailer, trailer + 56);
    put(bytes, trailer, trailer + 60, trailer + 60);
}
