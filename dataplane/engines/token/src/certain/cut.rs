//! The loops that look for boundaries.

use super::Level;
use super::cover::Cover;

/// Appends the offset after each boundary in `text`.
pub(super) fn ends(level: Level, cover: &Cover, text: &[u8], ends: &mut Vec<u32>) {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a level is only taken where it is available.
        Level::Avx512 => unsafe { avx512::ends(cover, text, ends) },
        Level::Portable => portable(cover, text, 0, ends),
    }
}

/// As [`ends`], for the boundaries from offset `from` + 1 on.
fn portable(cover: &Cover, text: &[u8], from: usize, ends: &mut Vec<u32>) {
    /// Pairs looked at before their boundaries are taken out.
    const STEP: usize = 32;
    let Some(rest) = text.get(from..) else { return };
    let pairs = rest.len().saturating_sub(1);
    for start in (0..pairs).step_by(STEP) {
        let pairs = STEP.min(pairs - start);
        let mut left = cover.left[usize::from(rest[start])];
        let mut found = 0u32;
        for (i, &byte) in rest[start + 1..][..pairs].iter().enumerate() {
            found |= u32::from(left & cover.right[usize::from(byte)] == 0) << i;
            left = cover.left[usize::from(byte)];
        }
        while found != 0 {
            ends.push((from + start) as u32 + found.trailing_zeros() + 1);
            found &= found - 1;
        }
    }
}

/// AVX-512 with VBMI: eight look-ups in tables of 256 bytes.
#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::super::cover::Cover;

    /// A table of 256 bytes in four registers.
    #[derive(Clone, Copy)]
    struct Lookup([__m512i; 4]);

    impl Lookup {
        /// The bytes of `bits` from bit `plane * 8` on.
        #[inline(always)]
        fn new(bits: &[u32; 256], plane: u32) -> Self {
            let bytes: [u8; 256] = bits.map(|bits| (bits >> (plane * 8)) as u8);
            // SAFETY: the loads take 64 bytes each from an array of 256.
            Self(std::array::from_fn(|i| unsafe {
                _mm512_loadu_si512(bytes.as_ptr().add(i * 64).cast())
            }))
        }

        /// The table's entry for each byte of `v`.
        ///
        /// # Safety
        /// AVX-512 BW and VBMI must be available.
        #[inline(always)]
        unsafe fn of(self, v: __m512i) -> __m512i {
            // SAFETY: register work.
            unsafe {
                let low = _mm512_permutex2var_epi8(self.0[0], v, self.0[1]);
                let high = _mm512_permutex2var_epi8(self.0[2], v, self.0[3]);
                _mm512_mask_blend_epi8(_mm512_movepi8_mask(v), low, high)
            }
        }
    }

    /// See [`super::ends`].
    ///
    /// # Safety
    /// The features below must be available.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2,bmi2,popcnt")]
    pub(super) unsafe fn ends(cover: &Cover, text: &[u8], ends: &mut Vec<u32>) {
        let left: [Lookup; 4] = std::array::from_fn(|p| Lookup::new(&cover.left, p as u32));
        let right: [Lookup; 4] = std::array::from_fn(|p| Lookup::new(&cover.right, p as u32));
        let mut at = 0;
        // A step looks at the 64 pairs that begin at `at`, the last of which ends 64 bytes on.
        while at + 64 < text.len() {
            // SAFETY: `at + 65 <= text.len()`, so both loads of 64 bytes lie in `text`; the
            // features are those of this function.
            let found = unsafe {
                let a = _mm512_loadu_si512(text.as_ptr().add(at).cast());
                let b = _mm512_loadu_si512(text.as_ptr().add(at + 1).cast());
                let mut held = 0;
                for (left, right) in left.iter().zip(&right) {
                    held |= _mm512_test_epi8_mask(left.of(a), right.of(b));
                }
                !held
            };
            // SAFETY: the features are those of this function.
            unsafe { append(found, at as u32 + 1, ends) };
            at += 64;
        }
        super::portable(cover, text, at, ends);
    }

    /// Appends `from` + the index of each bit in `found`.
    ///
    /// # Safety
    /// The features below must be available.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2,bmi2,popcnt")]
    unsafe fn append(found: u64, from: u32, ends: &mut Vec<u32>) {
        const INDEX: [u8; 64] = {
            let mut index = [0; 64];
            let mut i = 0;
            while i < 64 {
                index[i] = i as u8;
                i += 1;
            }
            index
        };
        ends.reserve(64);
        let count = found.count_ones() as usize;
        // SAFETY: 64 places are reserved, so the up to four stores of 16 offsets lie in the
        // capacity; the first `count` of them are the compressed indices, so they are initialized.
        unsafe {
            let index = _mm512_loadu_si512(INDEX.as_ptr().cast());
            let packed = _mm512_maskz_compress_epi8(found, index);
            let from = _mm512_set1_epi32(from.cast_signed());
            let out = ends.as_mut_ptr().add(ends.len());
            let put = |part: __m128i, at: usize| {
                let wide = _mm512_add_epi32(_mm512_cvtepu8_epi32(part), from);
                _mm512_storeu_si512(out.add(at).cast(), wide);
            };
            put(_mm512_castsi512_si128(packed), 0);
            if count > 16 {
                put(_mm512_extracti32x4_epi32::<1>(packed), 16);
            }
            if count > 32 {
                put(_mm512_extracti32x4_epi32::<2>(packed), 32);
                put(_mm512_extracti32x4_epi32::<3>(packed), 48);
            }
            ends.set_len(ends.len() + count);
        }
    }
}
