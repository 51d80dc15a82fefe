//! PacketFS's frames: references on the wire, and what its transfers said around them.
//!
//! | module | frame |
//! |---|---|
//! | [`gram`] | a list of spans with or without their bytes, and the generator of such lists |
//! | [`pfsx`] | a list of spans per packet, absolute or by difference |
//! | [`varint`] | spans per stream by difference, in few bytes, with a hash of what they name |
//! | [`tcp`] | typed messages on a stream |
//! | [`preface`], [`pf`] | a transfer's first message, its data and controls |

pub mod gram;
pub mod pf;
pub mod pfsx;
pub mod preface;
pub mod tcp;
#[cfg(test)]
mod tests;
pub mod varint;

use super::cursor::Cursor;
use super::error::FormatError;

/// A stretch of the blob, as descriptors name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Address of its first byte.
    pub offset: u64,
    /// Bytes.
    pub len: u32,
    /// Of no meaning here, kept as it came; not in every frame.
    pub flags: u32,
}

impl Span {
    /// Its size as a descriptor: u64 offset, u32 length, u32 flags, little-endian.
    const BYTES: usize = 16;

    /// Without flags.
    #[must_use]
    pub const fn new(offset: u64, len: u32) -> Self {
        Self { offset, len, flags: 0 }
    }

    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.len.to_le_bytes());
        out.extend_from_slice(&self.flags.to_le_bytes());
    }

    fn take(cursor: &mut Cursor<'_>) -> Result<Self, FormatError> {
        Ok(Self { offset: cursor.u64_le()?, len: cursor.u32_le()?, flags: cursor.u32_le()? })
    }
}

/// What the original hashes with: FNV-1a of 64 bits, begun with the standard basis less its last
/// decimal digit.
#[must_use]
pub fn fnv(bytes: &[u8]) -> u64 {
    fnv_on(FNV_BASIS, bytes)
}

const FNV_BASIS: u64 = 1_469_598_103_934_665_603;

/// Goes on with `hash`.
fn fnv_on(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
