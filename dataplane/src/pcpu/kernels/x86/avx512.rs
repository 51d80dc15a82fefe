//! AVX-512: 64-byte vectors, VPCLMULQDQ on four lanes at once.

use std::arch::x86_64::*;

use crate::pcpu::batch::Seg;
use crate::pcpu::kernels::pass::{self, PassState, select};
use crate::pcpu::kernels::simd::Simd;
use crate::pcpu::kernels::{Ahead, Beyond, Kernels, crc};

/// The kernels of this level.
pub(in crate::pcpu::kernels) const KERNELS: Kernels =
    Kernels { pass: select, fnv: super::fnv512::run };

select!(run, run);

/// # Safety
/// As [`pass::PassFn`].
#[target_feature(
    enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,vpclmulqdq,pclmulqdq,sse4.2,bmi2"
)]
unsafe fn run<const XF: bool, const ST: bool, const CT: bool, const CRC: u8>(
    segs: &[Seg],
    ahead: Ahead<'_>,
    state: &mut PassState,
) {
    // SAFETY: the features are those of this function; the spans are the caller's.
    unsafe { pass::run::<Avx512, XF, ST, CT, CRC>(segs, ahead, state) }
}

/// The 64-byte vector.
#[derive(Clone, Copy)]
pub(super) struct Avx512;

impl Avx512 {
    /// Exclusive or of the four lanes.
    ///
    /// # Safety
    /// AVX-512 F and DQ must be available.
    #[inline(always)]
    pub(super) unsafe fn lanes(v: __m512i) -> __m128i {
        // SAFETY: register work.
        unsafe {
            let upper = _mm512_extracti64x4_epi64::<1>(v);
            let half = _mm256_xor_si256(_mm512_castsi512_si256(v), upper);
            _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half))
        }
    }
}

/// The low `n` bits set, for `n` in 0..64.
#[inline(always)]
fn low(n: usize) -> __mmask64 {
    (1u64 << n) - 1
}

// SAFETY of every block below: the trait's contract gives the features, and the loads and
// stores touch the bytes that the method's contract gives, masked where it gives fewer than 64.
#[allow(clippy::undocumented_unsafe_blocks, reason = "one argument for all, above")]
impl Simd for Avx512 {
    type V = __m512i;
    const BYTES: usize = 64;
    const FOLD: bool = true;

    #[inline(always)]
    unsafe fn splat(byte: u8) -> __m512i {
        unsafe { _mm512_set1_epi8(byte.cast_signed()) }
    }
    #[inline(always)]
    unsafe fn load(ptr: *const u8) -> __m512i {
        unsafe { _mm512_loadu_si512(ptr.cast()) }
    }
    #[inline(always)]
    unsafe fn store(ptr: *mut u8, v: __m512i) {
        unsafe { _mm512_storeu_si512(ptr.cast(), v) }
    }
    #[inline(always)]
    unsafe fn load_part(ptr: *const u8, n: usize) -> __m512i {
        unsafe { _mm512_maskz_loadu_epi8(low(n), ptr.cast()) }
    }
    #[inline(always)]
    unsafe fn store_part(ptr: *mut u8, n: usize, v: __m512i) {
        unsafe { _mm512_mask_storeu_epi8(ptr.cast(), low(n), v) }
    }
    #[inline(always)]
    unsafe fn xor(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_xor_si512(a, b) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_add_epi8(a, b) }
    }
    #[inline(always)]
    unsafe fn count_eq(acc: __m512i, v: __m512i, imm: __m512i) -> __m512i {
        unsafe {
            let equal = _mm512_cmpeq_epi8_mask(v, imm);
            _mm512_mask_sub_epi8(acc, equal, acc, _mm512_set1_epi8(-1))
        }
    }
    #[inline(always)]
    unsafe fn widen(total: __m512i, acc: __m512i) -> __m512i {
        unsafe { _mm512_add_epi64(total, _mm512_sad_epu8(acc, _mm512_setzero_si512())) }
    }
    #[inline(always)]
    unsafe fn total(total: __m512i) -> u64 {
        unsafe { _mm512_reduce_add_epi64(total).cast_unsigned() }
    }
    #[inline(always)]
    unsafe fn seed(crc: u32) -> __m512i {
        unsafe { _mm512_zextsi128_si512(_mm_cvtsi32_si128(crc.cast_signed())) }
    }
    #[inline(always)]
    unsafe fn multiplier(distance: usize) -> __m512i {
        let k = crc::multiplier(distance);
        unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(k.as_ptr().cast())) }
    }
    #[inline(always)]
    unsafe fn fold(acc: __m512i, k: __m512i, next: __m512i) -> __m512i {
        unsafe {
            let low = _mm512_clmulepi64_epi128::<0x00>(acc, k);
            let high = _mm512_clmulepi64_epi128::<0x11>(acc, k);
            _mm512_ternarylogic_epi64::<0x96>(low, high, next)
        }
    }
    #[inline(always)]
    unsafe fn reduce(acc: __m512i) -> u32 {
        unsafe {
            let k = _mm512_loadu_si512(crc::GATHER.as_ptr().cast());
            let last = _mm512_maskz_mov_epi64(0b1100_0000, acc);
            let moved = Self::fold(acc, k, last);
            super::avx2::reduce_lane(Self::lanes(moved))
        }
    }
    #[inline(always)]
    unsafe fn crc_word(crc: u32, word: u64) -> u32 {
        unsafe { _mm_crc32_u64(u64::from(crc), word) as u32 }
    }
    #[inline(always)]
    unsafe fn crc_first(crc: u32, ptr: *const u8, n: usize, next: Beyond) -> (u32, usize) {
        unsafe { (super::crc512::span(crc, ptr, n, next), n) }
    }
    #[inline(always)]
    unsafe fn crc_byte(crc: u32, byte: u8) -> u32 {
        unsafe { _mm_crc32_u8(crc, byte) }
    }
}
