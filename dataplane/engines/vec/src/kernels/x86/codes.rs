//! Scans of 1-bit codes.

use std::arch::x86_64::*;

use super::super::codes::{BLOCK, CodeScan, Found, TABLE_BYTES, table, unit};
use super::super::prefetch;

/// Blocks that share what is loaded of the tables.
const TOGETHER: usize = 4;

/// The scan with a permutation of 64 bytes and sums of four bytes.
///
/// # Safety
/// The features must be available, and [`CodeScan::check`] hold.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
pub(in super::super) unsafe fn scan_avx512(scan: &CodeScan<'_>, found: &mut Found) {
    let (blocks, mut block) = (scan.blocks(), 0);
    // SAFETY: `block + TOGETHER <= blocks`, later as many blocks as are left.
    unsafe {
        while block + TOGETHER <= blocks {
            blocks_avx512::<TOGETHER>(scan, block, found);
            block += TOGETHER;
        }
        match blocks - block {
            3 => blocks_avx512::<3>(scan, block, found),
            2 => blocks_avx512::<2>(scan, block, found),
            1 => blocks_avx512::<1>(scan, block, found),
            _ => {}
        }
    }
}

/// # Safety
/// As [`scan_avx512`], and blocks `block` to `block + N` must exist.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
unsafe fn blocks_avx512<const N: usize>(scan: &CodeScan<'_>, block: usize, found: &mut Found) {
    let low_half = _mm512_set1_epi8(0x0f);
    // Byte k of a word looks into table k of four.
    let table = _mm512_set1_epi32(0x3020_1000);
    let ones = _mm512_set1_epi8(1);
    let mut low = [_mm512_setzero_si512(); N];
    let mut high = [_mm512_setzero_si512(); N];
    let (lines, next) = (scan.lines.as_ptr(), scan.next.as_ptr());
    for word in 0..scan.words {
        // SAFETY: `check` says that there are as many tables as words, and all lines of each
        // block; blocks exist by the caller's promise.
        unsafe {
            let sums = scan.tables.as_ptr().add(word * TABLE_BYTES);
            let sums_low = _mm512_loadu_si512(sums.cast());
            let sums_high = _mm512_loadu_si512(sums.add(64).cast());
            for k in 0..N {
                let at = ((block + k) * scan.words + word) * BLOCK;
                let line = lines.add(at);
                prefetch(next.wrapping_add(at));
                let codes = _mm512_loadu_si512(line.cast());
                // (codes & low_half) | table, bit by bit: 0xea is `(a & b) | c`.
                let at_low = _mm512_ternarylogic_epi32::<0xea>(codes, low_half, table);
                let shifted = _mm512_srli_epi32::<4>(codes);
                let at_high = _mm512_ternarylogic_epi32::<0xea>(shifted, low_half, table);
                let found_low = _mm512_permutexvar_epi8(at_low, sums_low);
                let found_high = _mm512_permutexvar_epi8(at_high, sums_high);
                low[k] = _mm512_dpbusd_epi32(low[k], found_low, ones);
                high[k] = _mm512_dpbusd_epi32(high[k], found_high, ones);
            }
        }
    }
    for k in 0..N {
        let sums = _mm512_add_epi32(low[k], high[k]);
        // SAFETY: the block exists, so do its sixteen factors; `found` has room for a whole
        // block beyond what was found before.
        unsafe { keep(scan, (block + k) * BLOCK, sums, found) };
    }
}

/// # Safety
/// As [`scan_avx512`]; `first` is the first code of a block.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
unsafe fn keep(scan: &CodeScan<'_>, first: usize, sums: __m512i, found: &mut Found) {
    let (by, plus) = (_mm512_set1_ps(scan.unit.0), _mm512_set1_ps(scan.unit.1));
    let mut score = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), by, plus);
    // SAFETY: sixteen factors of each kind follow `first` if there are any; `found.len <= first`,
    // and there is room for a block more than all codes.
    unsafe {
        if !scan.scale.is_empty() {
            let scale = _mm512_loadu_ps(scan.scale.as_ptr().add(first));
            let add = _mm512_loadu_ps(scan.add.as_ptr().add(first));
            score = _mm512_fmadd_ps(scale, score, add);
        }
        let kept = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(score, _mm512_set1_ps(scan.floor));
        if kept != 0 {
            let ramp = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            let at = _mm512_add_epi32(_mm512_set1_epi32(first as i32), ramp);
            let at = _mm512_maskz_compress_epi32(kept, at);
            _mm512_storeu_si512(found.at.as_mut_ptr().add(found.len).cast(), at);
            let score = _mm512_maskz_compress_ps(kept, score);
            _mm512_storeu_ps(found.score.as_mut_ptr().add(found.len), score);
            found.len += kept.count_ones() as usize;
        }
    }
}

/// The tables of a query, one a register.
///
/// # Safety
/// The features must be available; `tables` has [`TABLE_BYTES`] for each 32 components.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
pub(in super::super) unsafe fn tables_avx512(query: &[f32], tables: &mut [u8]) -> (f32, f32) {
    let (per_unit, unit) = unit(query);
    let (by, half) = (_mm512_set1_ps(per_unit), _mm512_set1_ps(0.5));
    for (group, four) in query.chunks_exact(4).enumerate() {
        let least: f32 = four.iter().map(|value| value.min(0.0)).sum();
        let mut sums = _mm512_set1_ps(-least);
        for (value, with) in four.iter().zip([0xaaaa, 0xcccc, 0xf0f0, 0xff00]) {
            sums = _mm512_mask_add_ps(sums, with, sums, _mm512_set1_ps(*value));
        }
        let whole = _mm512_cvttps_epi32(_mm512_fmadd_ps(sums, by, half));
        let whole = _mm512_max_epi32(whole, _mm512_setzero_si512());
        // SAFETY: a group's table lies within those of its 32 components.
        unsafe {
            let to = tables.as_mut_ptr().add(table(group));
            _mm_storeu_si128(to.cast(), _mm512_cvtusepi32_epi8(whole));
        }
    }
    unit
}

/// Words after which sums of 16 bits could overflow: 8 sums of at most 255 each word.
const SAFE_WORDS: usize = 32;

/// The scan with permutations of 16 bytes.
///
/// # Safety
/// As [`scan_avx512`].
#[target_feature(enable = "avx2,fma")]
pub(in super::super) unsafe fn scan_avx2(scan: &CodeScan<'_>, found: &mut Found) {
    for block in 0..scan.blocks() {
        let mut sums = [0_i32; BLOCK];
        for from in (0..scan.words).step_by(SAFE_WORDS) {
            let words = from..scan.words.min(from + SAFE_WORDS);
            // SAFETY: the words exist, and so does the block.
            let part = unsafe { sums_avx2(scan, block, words) };
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += i32::from(part));
        }
        scan.keep(block, &sums, found);
    }
}

/// # Safety
/// As [`scan_avx512`]; the block and at most [`SAFE_WORDS`] of its words.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn sums_avx2(
    scan: &CodeScan<'_>,
    block: usize,
    words: std::ops::Range<usize>,
) -> [u16; BLOCK] {
    let by_byte = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    let (half, ones) = (_mm_set1_epi8(0x0f), _mm_set1_epi8(1));
    let mut sums = [_mm_setzero_si128(); 2];
    for word in words {
        // SAFETY: the line and the tables exist, as for AVX-512.
        unsafe {
            let line = scan.lines.as_ptr().add((block * scan.words + word) * BLOCK);
            let part =
                |k: usize| _mm_shuffle_epi8(_mm_loadu_si128(line.add(4 * k).cast()), by_byte);
            let (a, b, c, d) = (part(0), part(1), part(2), part(3));
            let (ab, cd) = (_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d));
            let (ab2, cd2) = (_mm_unpackhi_epi32(a, b), _mm_unpackhi_epi32(c, d));
            let bytes = [
                _mm_unpacklo_epi64(ab, cd),
                _mm_unpackhi_epi64(ab, cd),
                _mm_unpacklo_epi64(ab2, cd2),
                _mm_unpackhi_epi64(ab2, cd2),
            ];
            let tables = scan.tables.as_ptr().add(word * TABLE_BYTES);
            for (k, codes) in bytes.into_iter().enumerate() {
                let table = |at: usize| _mm_loadu_si128(tables.add(at).cast());
                let low = _mm_shuffle_epi8(table(16 * k), _mm_and_si128(codes, half));
                let codes = _mm_and_si128(_mm_srli_epi16::<4>(codes), half);
                let high = _mm_shuffle_epi8(table(64 + 16 * k), codes);
                let first = _mm_maddubs_epi16(_mm_unpacklo_epi8(low, high), ones);
                let second = _mm_maddubs_epi16(_mm_unpackhi_epi8(low, high), ones);
                sums[0] = _mm_add_epi16(sums[0], first);
                sums[1] = _mm_add_epi16(sums[1], second);
            }
        }
    }
    // SAFETY: two vectors of eight 16-bit sums are sixteen.
    unsafe { std::mem::transmute::<[__m128i; 2], [u16; BLOCK]>(sums) }
}
