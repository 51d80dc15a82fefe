//! Scans of codes of six bits a part: a table of 64 bytes is one register.

use std::arch::x86_64::*;

use super::super::codes::Found;
use super::super::parts::{SIX_BLOCK, SixScan};
use super::super::prefetch;

/// How far ahead of the line at work memory is asked for.
const AHEAD: usize = 4096;
/// Fours of parts whose sums of 16 bits cannot overflow: 4 × 127 each.
const SAFE: usize = 128;

/// The scan, 64 codes at a time.
///
/// # Safety
/// The features must be available, and [`SixScan::check`] hold.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
pub(in super::super) unsafe fn six_avx512(scan: &SixScan<'_>, found: &mut Found) {
    for block in 0..scan.blocks() {
        let mut wide = [_mm512_setzero_si512(); 4];
        for from in (0..scan.groups).step_by(SAFE) {
            let groups = from..scan.groups.min(from + SAFE);
            // SAFETY: the block and its groups exist.
            let [low, high] = unsafe { sums(scan, block, groups) };
            // Even places' sums are in `low`, odd ones' in `high`; here they get their order.
            let first = _mm512_unpacklo_epi16(low, high);
            let second = _mm512_unpackhi_epi16(low, high);
            let below = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
            let above = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
            let below = _mm512_permutex2var_epi64(first, below, second);
            let above = _mm512_permutex2var_epi64(first, above, second);
            let lanes = [
                _mm512_castsi512_si256(below),
                _mm512_extracti64x4_epi64::<1>(below),
                _mm512_castsi512_si256(above),
                _mm512_extracti64x4_epi64::<1>(above),
            ];
            for (wide, lane) in wide.iter_mut().zip(lanes) {
                *wide = _mm512_add_epi32(*wide, _mm512_cvtepu16_epi32(lane));
            }
        }
        // SAFETY: `found` has room for all blocks and sixteen places more.
        unsafe { keep(scan, block, wide, found) };
    }
}

/// Sums of the bytes that places look up, as words: of even places, and of odd ones.
///
/// # Safety
/// As [`six_avx512`]; the block and at most [`SAFE`] of its groups.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
unsafe fn sums(scan: &SixScan<'_>, block: usize, groups: std::ops::Range<usize>) -> [__m512i; 2] {
    let (two, four, six) = (_mm512_set1_epi8(3), _mm512_set1_epi8(12), _mm512_set1_epi8(48));
    let (mut both, mut odd) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    for group in groups {
        // SAFETY: `check` says that there are three lines and four tables a group.
        unsafe {
            let lines = scan.lines.as_ptr().add((block * scan.groups + group) * 3 * SIX_BLOCK);
            let tables = scan.tables.as_ptr().add(group * 4 * SIX_BLOCK);
            let line = |k: usize| {
                prefetch(lines.wrapping_add(SIX_BLOCK * k + AHEAD));
                _mm512_loadu_si512(lines.add(SIX_BLOCK * k).cast())
            };
            let table = |k: usize| _mm512_loadu_si512(tables.add(SIX_BLOCK * k).cast());
            let (a, b, c) = (line(0), line(1), line(2));
            let last = _mm512_and_si512(_mm512_srli_epi16::<6>(a), two);
            // last | (shifted & mask): 0xf8 is `a | (b & c)`.
            let last = _mm512_ternarylogic_epi32::<0xf8>(last, _mm512_srli_epi16::<4>(b), four);
            let last = _mm512_ternarylogic_epi32::<0xf8>(last, _mm512_srli_epi16::<2>(c), six);
            // The permutation looks at the low six bits of a byte alone.
            let (a, b) =
                (_mm512_permutexvar_epi8(a, table(0)), _mm512_permutexvar_epi8(b, table(1)));
            let c = _mm512_permutexvar_epi8(c, table(2));
            let d = _mm512_permutexvar_epi8(last, table(3));
            for pair in [_mm512_add_epi8(a, b), _mm512_add_epi8(c, d)] {
                both = _mm512_add_epi16(both, pair);
                odd = _mm512_add_epi16(odd, _mm512_srli_epi16::<8>(pair));
            }
        }
    }
    [_mm512_sub_epi16(both, _mm512_slli_epi16::<8>(odd)), odd]
}

/// Keeps the places of a block that exceed the floor.
///
/// # Safety
/// As [`six_avx512`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
unsafe fn keep(scan: &SixScan<'_>, block: usize, sums: [__m512i; 4], found: &mut Found) {
    let (by, plus) = (_mm512_set1_ps(scan.unit.0), _mm512_set1_ps(scan.unit.1));
    let floor = _mm512_set1_ps(scan.floor);
    let ramp = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (sums, from) in sums.into_iter().zip([0, 16, 32, 48]) {
        let score = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), by, plus);
        let kept = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(score, floor);
        if kept != 0 {
            let first = (block * SIX_BLOCK + from) as i32;
            let at = _mm512_add_epi32(_mm512_set1_epi32(first), ramp);
            // SAFETY: `found.len` is at most the places before this one's; sixteen more have room.
            unsafe {
                let to = found.at.as_mut_ptr().add(found.len);
                _mm512_storeu_si512(to.cast(), _mm512_maskz_compress_epi32(kept, at));
                let to = found.score.as_mut_ptr().add(found.len);
                _mm512_storeu_ps(to, _mm512_maskz_compress_ps(kept, score));
            }
            found.len += kept.count_ones() as usize;
        }
    }
}
