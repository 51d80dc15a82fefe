//! 32-byte vectors.

use std::arch::x86_64::*;

use super::super::simd::Simd;

/// AVX2 with FMA.
#[derive(Clone, Copy)]
pub(in super::super) struct Avx2;

// SAFETY (all blocks): the trait's contract gives the instruction set and the readable bytes.
impl Simd for Avx2 {
    type F = __m256;
    type I = __m256i;
    type B = __m128i;
    const LANES: usize = 8;
    const BYTES: usize = 16;
    const BIAS: i32 = 0;

    #[inline(always)]
    unsafe fn zero() -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn load(ptr: *const f32) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_loadu_ps(ptr) }
    }
    #[inline(always)]
    unsafe fn load_bf16(ptr: *const u16) -> __m256 {
        // SAFETY: see above.
        unsafe {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(ptr.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
        }
    }
    #[inline(always)]
    unsafe fn fma(acc: __m256, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_fmadd_ps(a, b, acc) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sum(a: __m256) -> f32 {
        // SAFETY: see above.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn store(ptr: *mut f32, a: __m256) {
        // SAFETY: see above; the bytes are writable.
        unsafe { _mm256_storeu_ps(ptr, a) }
    }
    #[inline(always)]
    unsafe fn butterfly<const H: usize>(a: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe {
            let other = match H {
                1 => _mm256_permute_ps::<0b10_11_00_01>(a),
                2 => _mm256_permute_ps::<0b01_00_11_10>(a),
                _ => _mm256_permute2f128_ps::<1>(a, a),
            };
            let (plus, minus) = (_mm256_add_ps(a, other), _mm256_sub_ps(other, a));
            match H {
                1 => _mm256_blend_ps::<0b1010_1010>(plus, minus),
                2 => _mm256_blend_ps::<0b1100_1100>(plus, minus),
                _ => _mm256_blend_ps::<0b1111_0000>(plus, minus),
            }
        }
    }
    #[inline(always)]
    unsafe fn abs(a: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), a) }
    }
    #[inline(always)]
    unsafe fn positive(a: __m256) -> u32 {
        // SAFETY: see above.
        unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(a, _mm256_setzero_ps())) as u32 }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn above(a: __m256, b: __m256, x: __m256, y: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_blendv_ps(y, x, _mm256_cmp_ps::<_CMP_GT_OQ>(a, b)) }
    }
    #[inline(always)]
    unsafe fn signed(a: __m256, by: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe {
            let above = _mm256_cmp_ps::<_CMP_GT_OQ>(by, _mm256_setzero_ps());
            _mm256_xor_ps(a, _mm256_andnot_ps(above, _mm256_set1_ps(-0.0)))
        }
    }
    #[inline(always)]
    unsafe fn zero_i() -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_setzero_si256() }
    }
    #[inline(always)]
    unsafe fn dot_i8(acc: __m256i, row: *const i8, query: *const i8) -> __m256i {
        // SAFETY: see above.
        unsafe {
            let row = _mm256_cvtepi8_epi16(_mm_loadu_si128(row.cast()));
            let query = _mm256_cvtepi8_epi16(_mm_loadu_si128(query.cast()));
            _mm256_add_epi32(acc, _mm256_madd_epi16(row, query))
        }
    }
    #[inline(always)]
    unsafe fn load_i(ptr: *const u8) -> __m128i {
        // SAFETY: see above.
        unsafe { _mm_loadu_si128(ptr.cast()) }
    }
    #[inline(always)]
    unsafe fn low_halves(a: __m128i) -> __m128i {
        // SAFETY: see above.
        unsafe { _mm_and_si128(a, _mm_set1_epi8(15)) }
    }
    #[inline(always)]
    unsafe fn high_halves(a: __m128i) -> __m128i {
        // SAFETY: see above.
        unsafe { _mm_and_si128(_mm_srli_epi16::<4>(a), _mm_set1_epi8(15)) }
    }
    #[inline(always)]
    unsafe fn dot_u8(acc: __m256i, row: __m128i, query: *const i8) -> __m256i {
        // SAFETY: see above.
        unsafe {
            let query = _mm256_cvtepi8_epi16(_mm_loadu_si128(query.cast()));
            _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_cvtepu8_epi16(row), query))
        }
    }
    #[inline(always)]
    unsafe fn add_i(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_add_epi32(a, b) }
    }
    #[inline(always)]
    unsafe fn sum_i(a: __m256i) -> i32 {
        // SAFETY: see above.
        unsafe {
            let four = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256::<1>(a));
            let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b1110>(four));
            _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<1>(two)))
        }
    }
    #[inline(always)]
    unsafe fn prefetch(ptr: *const u8) {
        // SAFETY: a prefetch reads nothing that could fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ptr.cast()) }
    }
}

crate::kernels::compiled!(
    Avx2,
    super::codes::scan_avx2,
    crate::kernels::codes::tables_portable,
    crate::kernels::parts::six_portable,
    "avx2,fma"
);
