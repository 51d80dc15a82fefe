//! The cells of eight words at once, with AVX-512.

use std::arch::x86_64::*;

use super::{BUCKET_SHIFT, FACTOR, Key, PILOT_FACTOR, ROTATE, WordView};

/// As [`WordView::slots`].
///
/// # Safety
/// The features below must be available.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2")]
pub(super) unsafe fn slots(words: WordView<'_>, keys: &[Key], slots: &mut [u32]) {
    let all = |number: u64| _mm512_set1_epi64(number.cast_signed());
    let seed = [all(words.seed.0[0]), all(words.seed.0[1])];
    let (factor, mask) = (all(FACTOR), all(words.pilots.len() as u64 - 1));
    let cells = all(words.cells.len() as u64);
    // Keys of the first four stand between those of the last.
    let order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    let (keys, _) = keys.as_chunks::<8>();
    let (slots, _) = slots.as_chunks_mut::<8>();
    for (keys, slots) in keys.iter().zip(slots) {
        // SAFETY: eight keys are two registers, eight slots half a one. The number of
        // displacements is a power of two and at least four, and they are read by fours.
        unsafe {
            let a = _mm512_loadu_si512(keys.as_ptr().cast());
            let b = _mm512_loadu_si512(keys.as_ptr().add(4).cast());
            let (low, high) = (_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
            let high = _mm512_rol_epi64::<{ ROTATE as i32 }>(high);
            let sum = _mm512_add_epi64(
                _mm512_mullo_epi64(low, seed[0]),
                _mm512_mullo_epi64(high, seed[1]),
            );
            let folded = _mm512_xor_si512(sum, _mm512_srli_epi64::<32>(sum));
            let hash = _mm512_mullo_epi64(folded, factor);
            let bucket = _mm512_and_si512(_mm512_srli_epi64::<BUCKET_SHIFT>(hash), mask);
            let four = _mm512_cvtepi64_epi32(_mm512_srli_epi64::<2>(bucket));
            let pilots = _mm256_i32gather_epi32::<4>(words.pilots.as_ptr().cast(), four);
            let shift = _mm512_slli_epi64::<3>(_mm512_and_si512(bucket, all(3)));
            let pilot = _mm512_srlv_epi64(_mm512_cvtepu32_epi64(pilots), shift);
            let pilot = _mm512_and_si512(pilot, all(0xff));
            let odd = _mm512_or_si512(_mm512_mullo_epi64(pilot, all(PILOT_FACTOR)), all(1));
            let spread = _mm512_srli_epi64::<32>(_mm512_mullo_epi64(hash, odd));
            let slot = _mm512_srli_epi64::<32>(_mm512_mul_epu32(spread, cells));
            let slot = _mm256_permutevar8x32_epi32(_mm512_cvtepi64_epi32(slot), order);
            _mm256_storeu_si256(slots.as_mut_ptr().cast(), slot);
        }
        for &slot in slots.iter() {
            words.prefetch(slot);
        }
    }
}
