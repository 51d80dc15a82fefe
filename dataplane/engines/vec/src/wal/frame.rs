//! Frames of the log: what lies on disk for one change.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | length of the payload |
//! | 4 | CRC-32C of all that follows and of the length |
//! | 8 | log sequence number |
//! | 4 | kind |
//! | 4 | zeros |
//! | n | payload, and zeros up to a multiple of 8 |
//!
//! All integers are little-endian. A frame begins at a multiple of 8 in its file.

use crc_fast::{CrcAlgorithm, Digest};

/// Bytes of a frame before its payload.
pub(super) const HEAD: usize = 24;
/// Longest payload.
pub const MAX_PAYLOAD: usize = 256 << 20;

/// A frame as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Log sequence number.
    pub lsn: u64,
    /// What kind of change it is.
    pub kind: u32,
    /// The change.
    pub payload: &'a [u8],
}

fn crc(head: &[u8], payload: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&head[..4]);
    digest.update(&head[8..]);
    digest.update(payload);
    digest.finalize() as u32
}

/// Adds a frame to `out`.
pub(super) fn write(lsn: u64, kind: u32, payload: &[u8], out: &mut Vec<u8>) {
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    head[8..16].copy_from_slice(&lsn.to_le_bytes());
    head[16..20].copy_from_slice(&kind.to_le_bytes());
    let crc = crc(&head, payload);
    head[4..8].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(payload);
    out.resize(out.len().next_multiple_of(8), 0);
}

/// The frame at the begin of `bytes`, and how many bytes it takes; `None` when there is no whole
/// one.
pub(super) fn read(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    let head: &[u8; HEAD] = bytes.first_chunk()?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let len = word(0) as usize;
    if len > MAX_PAYLOAD || word(20) != 0 {
        return None;
    }
    let payload = bytes.get(HEAD..HEAD + len)?;
    let whole = (HEAD + len).next_multiple_of(8);
    let rest = bytes.get(HEAD + len..whole)?;
    if word(4) != crc(head, payload) || rest.iter().any(|byte| *byte != 0) {
        return None;
    }
    let lsn = u64::from(word(8)) | u64::from(word(12)) << 32;
    Some((Frame { lsn, kind: word(16), payload }, whole))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_come_back_and_no_changed_one_does(
            lsn: u64,
            kind: u32,
            payload in prop::collection::vec(any::<u8>(), 0..100),
            bit: prop::sample::Index,
        ) {
            let mut bytes = Vec::new();
            write(lsn, kind, &payload, &mut bytes);
            prop_assert_eq!(bytes.len() % 8, 0);
            let want = Some((Frame { lsn, kind, payload: &payload }, bytes.len()));
            prop_assert_eq!(read(&bytes), want);
            for cut in 0..bytes.len() {
                prop_assert_eq!(read(&bytes[..cut]), None);
            }
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(read(&bytes), None);
        }
    }
}
