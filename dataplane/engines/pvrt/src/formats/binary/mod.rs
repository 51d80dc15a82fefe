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
