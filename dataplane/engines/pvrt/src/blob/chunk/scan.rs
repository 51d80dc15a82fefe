//! The hash over a stretch: as many places at once as the processor has lanes for.

use std::ops::Range;

use super::lanes::{self, Vector};

/// The factor; even, see the module above.
pub(super) const FACTOR: u32 = 0x5ADA_7F3A;
/// Bytes before a place that its hash hangs on, the last one left out.
pub(super) const HISTORY: usize = 31;
/// Bytes that each lane is given at most. An odd number of cache lines: with a power of two all
/// lanes would compete for the same few places of the cache.
const SEGMENT: usize = 65 * 64;
/// Lanes are not worth their start for less.
const SEGMENT_MIN: usize = 192;
/// How much is looked at in one go: what 32 lanes take.
pub(super) const BLOCK: usize = 32 * SEGMENT;
/// Bytes of each lane that are hashed before it is asked whether one of them allows a cut.
const GROUP: usize = 16;

/// The hash one byte further.
#[inline(always)]
pub(super) const fn step(hash: u32, byte: u8) -> u32 {
    hash.wrapping_add(byte as u32).wrapping_mul(FACTOR)
}

/// Appends to `found`, in order, each place of `range` behind whose byte a cut may be: the place of
/// the byte after it, and the hash, which exceeds `threshold`.
pub(super) fn scan(
    bytes: &[u8],
    range: Range<usize>,
    threshold: i32,
    found: &mut Vec<(usize, i32)>,
) {
    let first = found.len();
    let (mut from, to) = (range.start, range.end.min(bytes.len()));
    while from < to {
        let segment = segment(to - from, lanes::count());
        if segment == 0 {
            plain(bytes, from..to, threshold, found);
            break;
        }
        lanes::scan(bytes, from, segment, threshold, found);
        from += segment * lanes::count();
    }
    found[first..].sort_unstable();
}

/// Bytes for each of `lanes` of `len` in all: an odd number of cache lines; 0 when `len` is little.
fn segment(len: usize, lanes: usize) -> usize {
    let most = (len / lanes).min(SEGMENT);
    if most < SEGMENT_MIN { 0 } else { (most - 64) / 128 * 128 + 64 }
}

/// The hash at `at`, before its byte.
fn before(bytes: &[u8], at: usize) -> u32 {
    bytes[at.saturating_sub(HISTORY)..at].iter().fold(0, |hash, byte| step(hash, *byte))
}

/// One byte after the other: what everything else is measured by.
pub(super) fn plain(
    bytes: &[u8],
    range: Range<usize>,
    threshold: i32,
    found: &mut Vec<(usize, i32)>,
) {
    let mut hash = before(bytes, range.start);
    for at in range {
        hash = step(hash, bytes[at]);
        if hash.cast_signed() > threshold {
            found.push((at + 1, hash.cast_signed()));
        }
    }
}

/// Looks at `V::LANES * CHAINS` segments from `from` on. Places are found out of order.
///
/// # Safety
/// The processor must have what `V` needs.
#[inline(always)]
pub(super) unsafe fn wide<V: Vector, const CHAINS: usize>(
    bytes: &[u8],
    from: usize,
    segment: usize,
    threshold: i32,
    found: &mut Vec<(usize, i32)>,
) {
    let bytes_of_chain = V::LANES * segment;
    let all = &bytes[from..from + bytes_of_chain * CHAINS];
    assert!(segment.is_multiple_of(GROUP), "a segment is whole groups");
    let mut starts = [0; 32];
    // SAFETY: the processor has what `V` needs, by contract.
    let mut hashes: [V; CHAINS] = std::array::from_fn(|chain| unsafe {
        for (lane, start) in starts.iter_mut().enumerate().take(V::LANES) {
            *start = before(bytes, from + chain * bytes_of_chain + lane * segment);
        }
        V::load(&starts)
    });
    for offset in (0..segment).step_by(GROUP) {
        let begin = hashes;
        // SAFETY: as above; lane by lane `GROUP` bytes from `offset` on lie within the segment, as
        // that is a whole number of groups, and all segments within `all`.
        let best = unsafe {
            let rows: [[V; 4]; CHAINS] = std::array::from_fn(|chain| {
                V::rows(all.as_ptr().add(chain * bytes_of_chain + offset), segment)
            });
            group(&mut hashes, &rows)
        };
        for chain in 0..CHAINS {
            // SAFETY: the processor has what `V` needs, by contract.
            let mut above = unsafe { best[chain].above(threshold) };
            if above != 0 {
                // SAFETY: as above.
                unsafe { begin[chain].store(&mut starts) };
            }
            while above != 0 {
                let lane = above.trailing_zeros() as usize;
                above &= above - 1;
                let at = from + chain * bytes_of_chain + lane * segment + offset;
                again(bytes, at, starts[lane], threshold, found);
            }
        }
    }
}

/// [`GROUP`] bytes further in each lane; the greatest hash of each.
///
/// # Safety
/// The processor must have what `V` needs.
#[inline(always)]
unsafe fn group<V: Vector, const CHAINS: usize>(
    hashes: &mut [V; CHAINS],
    rows: &[[V; 4]; CHAINS],
) -> [V; CHAINS] {
    // SAFETY: by contract.
    unsafe {
        let mut best = [V::least(); CHAINS];
        for word in 0..4 {
            advance::<V, 0, CHAINS>(hashes, rows, word, &mut best);
            advance::<V, 1, CHAINS>(hashes, rows, word, &mut best);
            advance::<V, 2, CHAINS>(hashes, rows, word, &mut best);
            advance::<V, 3, CHAINS>(hashes, rows, word, &mut best);
        }
        best
    }
}

/// One byte further in each lane. Chains take turns: none waits for its own last product.
///
/// # Safety
/// The processor must have what `V` needs.
#[inline(always)]
unsafe fn advance<V: Vector, const BYTE: i32, const CHAINS: usize>(
    hashes: &mut [V; CHAINS],
    rows: &[[V; 4]; CHAINS],
    word: usize,
    best: &mut [V; CHAINS],
) {
    for ((hash, row), best) in hashes.iter_mut().zip(rows).zip(best) {
        // SAFETY: by contract.
        unsafe {
            *hash = hash.step::<BYTE>(row[word]);
            *best = best.max(*hash);
        }
    }
}

/// Finds the places of a group in which there is one.
#[cold]
fn again(bytes: &[u8], at: usize, hash: u32, threshold: i32, found: &mut Vec<(usize, i32)>) {
    let mut hash = hash;
    for (next, byte) in (at + 1..).zip(&bytes[at..at + GROUP]) {
        hash = step(hash, *byte);
        if hash.cast_signed() > threshold {
            found.push((next, hash.cast_signed()));
        }
    }
}
