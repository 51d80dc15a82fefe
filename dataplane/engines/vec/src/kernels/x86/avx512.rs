//! 64-byte vectors.

use std::arch::x86_64::*;

use super::super::simd::Simd;

/// AVX-512.
#[derive(Clone, Copy)]
pub(in super::super) struct Avx512;

// SAFETY (all blocks): the trait's contract gives the instruction set and the readable bytes.
impl Simd for Avx512 {
    type F = __m512;
    type I = __m512i;
    type B = __m512i;
    const LANES: usize = 16;
    const BYTES: usize = 64;
    // A row's bytes are made unsigned by 128 more.
    const BIAS: i32 = 128;

    #[inline(always)]
    unsafe fn zero() -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn load(ptr: *const f32) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_loadu_ps(ptr) }
    }
    #[inline(always)]
    unsafe fn load_bf16(ptr: *const u16) -> __m512 {
        // SAFETY: see above.
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(ptr.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }
    #[inline(always)]
    unsafe fn fma(acc: __m512, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_fmadd_ps(a, b, acc) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sum(a: __m512) -> f32 {
        // SAFETY: see above.
        unsafe { _mm512_reduce_add_ps(a) }
    }
    #[inline(always)]
    unsafe fn sums([a, b, c, d]: [__m512; 4]) -> [f32; 4] {
        // SAFETY: see above; four numbers are 16 bytes.
        unsafe {
            // Of each 16 bytes first two sums of two, then four sums of four.
            let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
            let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
            let (low, high) =
                (_mm512_shuffle_ps::<0x44>(ab, cd), _mm512_shuffle_ps::<0xee>(ab, cd));
            let all = _mm512_add_ps(low, high);
            let all = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps::<1>(all));
            let all = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps::<1>(all));
            std::mem::transmute::<__m128, [f32; 4]>(all)
        }
    }
    #[inline(always)]
    unsafe fn sums_i([a, b, c, d]: [__m512i; 4]) -> [i32; 4] {
        // SAFETY: see above; four numbers are 16 bytes.
        unsafe {
            // As for numbers of floating point.
            let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
            let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
            let low = _mm512_unpacklo_epi64(ab, cd);
            let all = _mm512_add_epi32(low, _mm512_unpackhi_epi64(ab, cd));
            let half = _mm512_extracti64x4_epi64::<1>(all);
            let all = _mm256_add_epi32(_mm512_castsi512_si256(all), half);
            let half = _mm256_extracti128_si256::<1>(all);
            let all = _mm_add_epi32(_mm256_castsi256_si128(all), half);
            std::mem::transmute::<__m128i, [i32; 4]>(all)
        }
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn store(ptr: *mut f32, a: __m512) {
        // SAFETY: see above; the bytes are writable.
        unsafe { _mm512_storeu_ps(ptr, a) }
    }
    #[inline(always)]
    unsafe fn butterfly<const H: usize>(a: __m512) -> __m512 {
        // Lanes with bit H of their number set.
        let (other, high) = const {
            let (mut other, mut high, mut k) = ([0i32; 16], 0u16, 0);
            while k < 16 {
                other[k] = (k ^ H) as i32;
                high |= (((k & H) / H) as u16) << k;
                k += 1;
            }
            (other, high)
        };
        // SAFETY: see above.
        unsafe {
            let other = _mm512_permutexvar_ps(_mm512_loadu_si512(other.as_ptr().cast()), a);
            _mm512_mask_sub_ps(_mm512_add_ps(a, other), high, other, a)
        }
    }
    #[inline(always)]
    unsafe fn abs(a: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_abs_ps(a) }
    }
    #[inline(always)]
    unsafe fn positive(a: __m512) -> u32 {
        // SAFETY: see above.
        unsafe { u32::from(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, _mm512_setzero_ps())) }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn above(a: __m512, b: __m512, x: __m512, y: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), x) }
    }
    #[inline(always)]
    unsafe fn argmax(value: __m512, at: __m512) -> u32 {
        // SAFETY: see above.
        unsafe {
            let most = _mm512_set1_ps(_mm512_reduce_max_ps(value));
            let equal = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(value, most);
            let ramp = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            let number = _mm512_add_epi32(_mm512_cvttps_epi32(at), ramp);
            if equal.count_ones() == 1 {
                let first = _mm512_maskz_compress_epi32(equal, number);
                return _mm_cvtsi128_si32(_mm512_castsi512_si128(first)) as u32;
            }
            _mm512_mask_reduce_min_epu32(equal, number)
        }
    }
    #[inline(always)]
    unsafe fn signed(a: __m512, by: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe {
            let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(by, _mm512_setzero_ps());
            _mm512_mask_xor_ps(a, !above, a, _mm512_set1_ps(-0.0))
        }
    }
    #[inline(always)]
    unsafe fn zero_i() -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_setzero_si512() }
    }
    #[inline(always)]
    unsafe fn dot_i8(acc: __m512i, row: *const i8, query: *const i8) -> __m512i {
        // SAFETY: see above.
        unsafe {
            let flip = _mm512_set1_epi8(-128);
            let row = _mm512_xor_si512(_mm512_loadu_si512(row.cast()), flip);
            _mm512_dpbusd_epi32(acc, row, _mm512_loadu_si512(query.cast()))
        }
    }
    #[inline(always)]
    unsafe fn load_i(ptr: *const u8) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_loadu_si512(ptr.cast()) }
    }
    #[inline(always)]
    unsafe fn low_halves(a: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_and_si512(a, _mm512_set1_epi8(15)) }
    }
    #[inline(always)]
    unsafe fn high_halves(a: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_and_si512(_mm512_srli_epi16::<4>(a), _mm512_set1_epi8(15)) }
    }
    #[inline(always)]
    unsafe fn dot_u8(acc: __m512i, row: __m512i, query: *const i8) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_dpbusd_epi32(acc, row, _mm512_loadu_si512(query.cast())) }
    }
    #[inline(always)]
    unsafe fn add_i(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_add_epi32(a, b) }
    }
    #[inline(always)]
    unsafe fn sum_i(a: __m512i) -> i32 {
        // SAFETY: see above.
        unsafe { _mm512_reduce_add_epi32(a) }
    }
    #[inline(always)]
    unsafe fn prefetch(ptr: *const u8) {
        // SAFETY: a prefetch reads nothing that could fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ptr.cast()) }
    }
}

crate::kernels::compiled!(
    Avx512,
    super::codes::scan_avx512,
    super::codes::tables_avx512,
    super::six::six_avx512,
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx512vpopcntdq,avx2,fma"
);
