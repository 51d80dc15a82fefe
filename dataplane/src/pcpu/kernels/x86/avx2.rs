//! AVX2 for transforms and counts, SSE4.2 with PCLMULQDQ for passes that take a CRC.

use std::arch::x86_64::*;

use crate::pcpu::batch::Seg;
use crate::pcpu::kernels::pass::{self, PassState, select};
use crate::pcpu::kernels::simd::Simd;
use crate::pcpu::kernels::{Ahead, Kernels, crc, fnv};

/// The kernels of this level.
pub(in crate::pcpu::kernels) const KERNELS: Kernels = Kernels { pass: select, fnv: fnv::run };

select!(bytes, fold);

/// # Safety
/// As [`pass::PassFn`].
#[target_feature(enable = "avx2,sse4.2,bmi2")]
unsafe fn bytes<const XF: bool, const ST: bool, const CT: bool, const CRC: u8>(
    segs: &[Seg],
    ahead: Ahead<'_>,
    state: &mut PassState,
) {
    // SAFETY: the features are those of this function; the spans are the caller's.
    unsafe { pass::run::<Avx2, XF, ST, CT, CRC>(segs, ahead, state) }
}

/// # Safety
/// As [`pass::PassFn`].
#[target_feature(enable = "avx2,sse4.2,pclmulqdq,bmi2")]
unsafe fn fold<const XF: bool, const ST: bool, const CT: bool, const CRC: u8>(
    segs: &[Seg],
    ahead: Ahead<'_>,
    state: &mut PassState,
) {
    // SAFETY: the features are those of this function; the spans are the caller's.
    unsafe { pass::run::<Lane, XF, ST, CT, CRC>(segs, ahead, state) }
}

/// CRC register after the 16 bytes that `lane` stands for.
///
/// # Safety
/// SSE4.2 must be available.
#[inline(always)]
pub(super) unsafe fn reduce_lane(lane: __m128i) -> u32 {
    // SAFETY: SSE4.2 by the caller.
    unsafe {
        let crc = _mm_crc32_u64(0, _mm_extract_epi64::<0>(lane).cast_unsigned());
        _mm_crc32_u64(crc, _mm_extract_epi64::<1>(lane).cast_unsigned()) as u32
    }
}

/// The 32-byte vector. It has no fold: a pass with a CRC runs on [`Lane`].
#[derive(Clone, Copy)]
struct Avx2;

// SAFETY of every block below: the trait's contract gives the features, and the loads and
// stores touch the bytes that the method's contract gives.
#[allow(clippy::undocumented_unsafe_blocks, reason = "one argument for all, above")]
impl Simd for Avx2 {
    type V = __m256i;
    const BYTES: usize = 32;
    const FOLD: bool = false;

    #[inline(always)]
    unsafe fn splat(byte: u8) -> __m256i {
        unsafe { _mm256_set1_epi8(byte.cast_signed()) }
    }
    #[inline(always)]
    unsafe fn load(ptr: *const u8) -> __m256i {
        unsafe { _mm256_loadu_si256(ptr.cast()) }
    }
    #[inline(always)]
    unsafe fn store(ptr: *mut u8, v: __m256i) {
        unsafe { _mm256_storeu_si256(ptr.cast(), v) }
    }
    #[inline(always)]
    unsafe fn xor(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_xor_si256(a, b) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_add_epi8(a, b) }
    }
    #[inline(always)]
    unsafe fn count_eq(acc: __m256i, v: __m256i, imm: __m256i) -> __m256i {
        unsafe { _mm256_sub_epi8(acc, _mm256_cmpeq_epi8(v, imm)) }
    }
    #[inline(always)]
    unsafe fn widen(total: __m256i, acc: __m256i) -> __m256i {
        unsafe { _mm256_add_epi64(total, _mm256_sad_epu8(acc, _mm256_setzero_si256())) }
    }
    #[inline(always)]
    unsafe fn total(total: __m256i) -> u64 {
        unsafe {
            let half =
                _mm_add_epi64(_mm256_castsi256_si128(total), _mm256_extracti128_si256::<1>(total));
            Lane::total(half)
        }
    }
    #[inline(always)]
    unsafe fn seed(crc: u32) -> __m256i {
        unsafe { _mm256_zextsi128_si256(_mm_cvtsi32_si128(crc.cast_signed())) }
    }
    #[inline(always)]
    unsafe fn multiplier(_: usize) -> __m256i {
        unsafe { _mm256_setzero_si256() }
    }
    #[inline(always)]
    unsafe fn fold(_: __m256i, _: __m256i, next: __m256i) -> __m256i {
        next
    }
    #[inline(always)]
    unsafe fn reduce(_: __m256i) -> u32 {
        0
    }
    #[inline(always)]
    unsafe fn crc_word(crc: u32, word: u64) -> u32 {
        unsafe { Lane::crc_word(crc, word) }
    }
    #[inline(always)]
    unsafe fn crc_byte(crc: u32, byte: u8) -> u32 {
        unsafe { Lane::crc_byte(crc, byte) }
    }
}

/// The 16-byte vector, folded with PCLMULQDQ.
#[derive(Clone, Copy)]
struct Lane;

// SAFETY of every block below: as above.
#[allow(clippy::undocumented_unsafe_blocks, reason = "one argument for all, above")]
impl Simd for Lane {
    type V = __m128i;
    const BYTES: usize = 16;
    const FOLD: bool = true;

    #[inline(always)]
    unsafe fn splat(byte: u8) -> __m128i {
        unsafe { _mm_set1_epi8(byte.cast_signed()) }
    }
    #[inline(always)]
    unsafe fn load(ptr: *const u8) -> __m128i {
        unsafe { _mm_loadu_si128(ptr.cast()) }
    }
    #[inline(always)]
    unsafe fn store(ptr: *mut u8, v: __m128i) {
        unsafe { _mm_storeu_si128(ptr.cast(), v) }
    }
    #[inline(always)]
    unsafe fn xor(a: __m128i, b: __m128i) -> __m128i {
        unsafe { _mm_xor_si128(a, b) }
    }
    #[inline(always)]
    unsafe fn add(a: __m128i, b: __m128i) -> __m128i {
        unsafe { _mm_add_epi8(a, b) }
    }
    #[inline(always)]
    unsafe fn count_eq(acc: __m128i, v: __m128i, imm: __m128i) -> __m128i {
        unsafe { _mm_sub_epi8(acc, _mm_cmpeq_epi8(v, imm)) }
    }
    #[inline(always)]
    unsafe fn widen(total: __m128i, acc: __m128i) -> __m128i {
        unsafe { _mm_add_epi64(total, _mm_sad_epu8(acc, _mm_setzero_si128())) }
    }
    #[inline(always)]
    unsafe fn total(total: __m128i) -> u64 {
        unsafe {
            let (low, high) = (_mm_extract_epi64::<0>(total), _mm_extract_epi64::<1>(total));
            low.wrapping_add(high).cast_unsigned()
        }
    }
    #[inline(always)]
    unsafe fn seed(crc: u32) -> __m128i {
        unsafe { _mm_cvtsi32_si128(crc.cast_signed()) }
    }
    #[inline(always)]
    unsafe fn multiplier(distance: usize) -> __m128i {
        unsafe { _mm_loadu_si128(crc::multiplier(distance).as_ptr().cast()) }
    }
    #[inline(always)]
    unsafe fn fold(acc: __m128i, k: __m128i, next: __m128i) -> __m128i {
        unsafe {
            let low = _mm_clmulepi64_si128::<0x00>(acc, k);
            let high = _mm_clmulepi64_si128::<0x11>(acc, k);
            _mm_xor_si128(_mm_xor_si128(low, high), next)
        }
    }
    #[inline(always)]
    unsafe fn reduce(acc: __m128i) -> u32 {
        unsafe { reduce_lane(acc) }
    }
    #[inline(always)]
    unsafe fn crc_word(crc: u32, word: u64) -> u32 {
        unsafe { _mm_crc32_u64(u64::from(crc), word) as u32 }
    }
    #[inline(always)]
    unsafe fn crc_byte(crc: u32, byte: u8) -> u32 {
        unsafe { _mm_crc32_u8(crc, byte) }
    }
}
