//! AArch64: NEON vectors, PMULL folding, CRC instructions.

// By name: the architecture's module also exports an `ST`.
use std::arch::aarch64::{
    __crc32cb, __crc32cd, uint8x16_t, vaddq_u8, vaddq_u64, vceqq_u8, vdupq_n_u8, vdupq_n_u32,
    veorq_u8, vgetq_lane_u64, vld1q_u8, vld1q_u64, vmull_p64, vpaddlq_u8, vpaddlq_u16, vpaddlq_u32,
    vreinterpretq_u8_p128, vreinterpretq_u8_u32, vreinterpretq_u8_u64, vreinterpretq_u64_u8,
    vsetq_lane_u32, vst1q_u8, vsubq_u8,
};

use super::pass::{self, PassState, select};
use super::simd::Simd;
use super::{Ahead, Kernels, crc, fnv};
use crate::pcpu::batch::Seg;

/// The kernels of this level.
pub(super) const KERNELS: Kernels = Kernels { pass: select, fnv: fnv::run };

select!(run, run);

/// # Safety
/// As [`pass::PassFn`].
#[target_feature(enable = "neon,aes,crc")]
unsafe fn run<const XF: bool, const ST: bool, const CT: bool, const CRC: u8>(
    segs: &[Seg],
    ahead: Ahead<'_>,
    state: &mut PassState,
) {
    // SAFETY: the features are those of this function; the spans are the caller's.
    unsafe { pass::run::<Neon, XF, ST, CT, CRC>(segs, ahead, state) }
}

/// The 16-byte vector.
#[derive(Clone, Copy)]
struct Neon;

/// The two 64-bit halves, low first.
#[inline(always)]
fn halves(v: uint8x16_t) -> [u64; 2] {
    // SAFETY: NEON is part of every AArch64 that this crate is built for.
    unsafe {
        let v = vreinterpretq_u64_u8(v);
        [vgetq_lane_u64::<0>(v), vgetq_lane_u64::<1>(v)]
    }
}

/// Carry-less product.
#[inline]
#[target_feature(enable = "neon,aes")]
fn multiply(a: u64, b: u64) -> uint8x16_t {
    vreinterpretq_u8_p128(vmull_p64(a, b))
}

/// CRC register advanced by 8 bytes.
#[inline]
#[target_feature(enable = "crc")]
fn word(crc: u32, word: u64) -> u32 {
    __crc32cd(crc, word)
}

/// CRC register advanced by 1 byte.
#[inline]
#[target_feature(enable = "crc")]
fn byte(crc: u32, byte: u8) -> u32 {
    __crc32cb(crc, byte)
}

// SAFETY of every block below: the trait's contract gives the features, and the loads and
// stores touch the bytes that the method's contract gives.
#[allow(clippy::undocumented_unsafe_blocks, reason = "one argument for all, above")]
impl Simd for Neon {
    type V = uint8x16_t;
    const BYTES: usize = 16;
    const FOLD: bool = true;

    #[inline(always)]
    unsafe fn splat(byte: u8) -> uint8x16_t {
        unsafe { vdupq_n_u8(byte) }
    }
    #[inline(always)]
    unsafe fn load(ptr: *const u8) -> uint8x16_t {
        unsafe { vld1q_u8(ptr) }
    }
    #[inline(always)]
    unsafe fn store(ptr: *mut u8, v: uint8x16_t) {
        unsafe { vst1q_u8(ptr, v) }
    }
    #[inline(always)]
    unsafe fn xor(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        unsafe { veorq_u8(a, b) }
    }
    #[inline(always)]
    unsafe fn add(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        unsafe { vaddq_u8(a, b) }
    }
    #[inline(always)]
    unsafe fn count_eq(acc: uint8x16_t, v: uint8x16_t, imm: uint8x16_t) -> uint8x16_t {
        unsafe { vsubq_u8(acc, vceqq_u8(v, imm)) }
    }
    #[inline(always)]
    unsafe fn widen(total: uint8x16_t, acc: uint8x16_t) -> uint8x16_t {
        unsafe {
            let pairs = vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(acc)));
            vreinterpretq_u8_u64(vaddq_u64(vreinterpretq_u64_u8(total), pairs))
        }
    }
    #[inline(always)]
    unsafe fn total(total: uint8x16_t) -> u64 {
        let [low, high] = halves(total);
        low.wrapping_add(high)
    }
    #[inline(always)]
    unsafe fn seed(crc: u32) -> uint8x16_t {
        unsafe { vreinterpretq_u8_u32(vsetq_lane_u32::<0>(crc, vdupq_n_u32(0))) }
    }
    #[inline(always)]
    unsafe fn multiplier(distance: usize) -> uint8x16_t {
        unsafe { vreinterpretq_u8_u64(vld1q_u64(crc::multiplier(distance).as_ptr())) }
    }
    #[inline(always)]
    unsafe fn fold(acc: uint8x16_t, k: uint8x16_t, next: uint8x16_t) -> uint8x16_t {
        unsafe {
            let ([a0, a1], [k0, k1]) = (halves(acc), halves(k));
            veorq_u8(veorq_u8(multiply(a0, k0), multiply(a1, k1)), next)
        }
    }
    #[inline(always)]
    unsafe fn reduce(acc: uint8x16_t) -> u32 {
        let [low, high] = halves(acc);
        unsafe { word(word(0, low), high) }
    }
    #[inline(always)]
    unsafe fn crc_word(crc: u32, word: u64) -> u32 {
        unsafe { self::word(crc, word) }
    }
    #[inline(always)]
    unsafe fn crc_byte(crc: u32, byte: u8) -> u32 {
        unsafe { self::byte(crc, byte) }
    }
}
