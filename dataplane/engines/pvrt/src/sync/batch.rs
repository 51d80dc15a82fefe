//! Unknown bytes of several files, compressed with their known bytes as prefix.

use std::collections::VecDeque;

use zstd::zstd_safe::{CCtx, CParameter, DCtx, DParameter, compress_bound};

use super::SyncError;
use super::pair::{Pair, Slice};

/// Bytes of new files in one batch, at most; a file that is longer is cut.
pub(super) const BYTES: u64 = 8 << 20;
/// Bytes of a shared base beside a slice's own place that serve as prefix too.
pub(super) const BESIDE: u64 = 4 << 20;
/// The prefix and the batch lie within one window of zstd.
const WINDOW_LOG: u32 = 25;

/// What is still to be brought over, in order; both ends take the same batches from it.
#[derive(Debug, Default)]
pub(super) struct Queue(VecDeque<Slice>);

impl Queue {
    /// Of all of every pair.
    pub(super) fn whole(pairs: &[Pair]) -> Self {
        let all = pairs.iter().enumerate();
        let filled = all.filter(|(_, held)| held.size > 0);
        Self(filled.map(|(pair, held)| Slice { pair, from: 0, to: held.size }).collect())
    }

    /// Of these.
    pub(super) fn of(slices: impl IntoIterator<Item = Slice>) -> Self {
        Self(slices.into_iter().collect())
    }

    /// Takes the next batch: none when nothing is left.
    pub(super) fn next(&mut self) -> Option<Vec<Slice>> {
        let mut batch = Vec::new();
        let mut room = BYTES;
        while let Some(first) = self.0.front_mut() {
            let to = first.to.min(first.from + room.max(1));
            if room == 0 || (to < first.to && !batch.is_empty()) {
                break;
            }
            batch.push(Slice { to, ..*first });
            room -= to - first.from;
            first.from = to;
            if first.from == first.to {
                self.0.pop_front();
            }
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The part of a shared base of `len` bytes that is the prefix of `slice`.
pub(super) fn beside(slice: Slice, len: usize) -> std::ops::Range<usize> {
    let end = (slice.to.saturating_add(BESIDE)).min(len as u64) as usize;
    (slice.from.saturating_sub(BESIDE) as usize).min(end)..end
}

/// Compresses `bytes` after `prefix`.
pub(super) fn pack(level: i32, prefix: &[u8], bytes: &[u8]) -> Result<Vec<u8>, SyncError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |code| SyncError::Compressed(zstd::zstd_safe::get_error_name(code).to_owned());
    let mut context = CCtx::create();
    let log = usize::BITS - (prefix.len() + bytes.len()).leading_zeros();
    for parameter in [
        CParameter::CompressionLevel(level),
        CParameter::WindowLog(log.clamp(10, WINDOW_LOG)),
        CParameter::ContentSizeFlag(false),
        CParameter::ChecksumFlag(false),
        CParameter::DictIdFlag(false),
        // The quick levels look back too little, and skip through what does not compress.
        CParameter::EnableLongDistanceMatching(level < 16 && !prefix.is_empty()),
    ] {
        context.set_parameter(parameter).map_err(failed)?;
    }
    context.ref_prefix(prefix).map_err(failed)?;
    let mut packed = Vec::with_capacity(compress_bound(bytes.len()));
    context.compress2(&mut packed, bytes).map_err(failed)?;
    Ok(packed)
}

/// Undoes [`pack`]; `len` bytes must come out.
pub(super) fn unpack(prefix: &[u8], packed: &[u8], len: usize) -> Result<Vec<u8>, SyncError> {
    if len == 0 && packed.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |code| SyncError::Compressed(zstd::zstd_safe::get_error_name(code).to_owned());
    let mut context = DCtx::create();
    context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(failed)?;
    context.ref_prefix(prefix).map_err(failed)?;
    let mut bytes = Vec::with_capacity(len);
    context.decompress(&mut bytes, packed).map_err(failed)?;
    if bytes.len() != len {
        return Err(SyncError::Compressed(format!("{} bytes instead of {len}", bytes.len())));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_saves() {
        let prefix: Vec<u8> =
            (0..50_000_u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
        // zstd forgets a prefix that overlaps its input.
        let bytes = prefix[1000..90_000].to_vec();
        let packed = pack(3, &prefix, &bytes).expect("packs");
        assert!(packed.len() < 200, "{}", packed.len());
        assert_eq!(unpack(&prefix, &packed, bytes.len()).expect("unpacks"), bytes);
        for (prefix, len) in [(&prefix[..100], bytes.len()), (&prefix, bytes.len() - 1)] {
            assert!(
                unpack(prefix, &packed, len)
                    .is_err_and(|why| matches!(why, SyncError::Compressed(_)))
            );
        }
    }

    #[test]
    fn batches_have_their_size() {
        let slice = |pair, from, to| Slice { pair, from, to };
        let mut queue = Queue::of([slice(0, 0, 10), slice(1, 0, 2 * BYTES + 5), slice(2, 3, 4)]);
        assert_eq!(queue.next(), Some(vec![slice(0, 0, 10)]));
        assert_eq!(queue.next(), Some(vec![slice(1, 0, BYTES)]));
        assert_eq!(queue.next(), Some(vec![slice(1, BYTES, 2 * BYTES)]));
        assert!(!queue.is_empty());
        assert_eq!(queue.next(), Some(vec![slice(1, 2 * BYTES, 2 * BYTES + 5), slice(2, 3, 4)]));
        assert_eq!(queue.next(), None);
        assert_eq!(beside(slice(0, 2 * BESIDE, 3 * BESIDE), 20 << 20), 4 << 20..16 << 20);
        assert_eq!(beside(slice(0, 2 * BESIDE, 3 * BESIDE), 5), 5..5);
    }
}
