//! NEON: 16-byte vectors.

use std::arch::aarch64::*;

use super::simd::Simd;

/// NEON, which every AArch64 processor has.
#[derive(Clone, Copy)]
pub(super) struct Neon;

// SAFETY (all blocks): the trait's contract gives the instruction set and the readable bytes.
impl Simd for Neon {
    type F = float32x4_t;
    type I = int32x4_t;
    type B = uint8x16_t;
    const LANES: usize = 4;
    const BYTES: usize = 16;
    const BIAS: i32 = 0;

    #[inline(always)]
    unsafe fn zero() -> float32x4_t {
        // SAFETY: see above.
        unsafe { vdupq_n_f32(0.0) }
    }
    #[inline(always)]
    unsafe fn load(ptr: *const f32) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vld1q_f32(ptr) }
    }
    #[inline(always)]
    unsafe fn load_bf16(ptr: *const u16) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(ptr))) }
    }
    #[inline(always)]
    unsafe fn fma(acc: float32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vfmaq_f32(acc, a, b) }
    }
    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn sum(a: float32x4_t) -> f32 {
        // SAFETY: see above.
        unsafe { vaddvq_f32(a) }
    }
    #[inline(always)]
    unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn store(ptr: *mut f32, a: float32x4_t) {
        // SAFETY: see above; the bytes are writable.
        unsafe { vst1q_f32(ptr, a) }
    }
    #[inline(always)]
    unsafe fn butterfly<const H: usize>(a: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe {
            let zero = vdupq_n_f32(0.0);
            let (other, sign) = if H == 1 {
                (vrev64q_f32(a), vzip1q_f32(zero, vdupq_n_f32(-0.0)))
            } else {
                let sign = vcombine_f32(vdup_n_f32(0.0), vdup_n_f32(-0.0));
                (vextq_f32::<2>(a, a), sign)
            };
            let bits = veorq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(sign));
            vaddq_f32(other, vreinterpretq_f32_u32(bits))
        }
    }
    #[inline(always)]
    unsafe fn abs(a: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vabsq_f32(a) }
    }
    #[inline(always)]
    unsafe fn positive(a: float32x4_t) -> u32 {
        // SAFETY: see above.
        unsafe {
            let bits = [1u32, 2, 4, 8];
            vaddvq_u32(vandq_u32(vcgtzq_f32(a), vld1q_u32(bits.as_ptr())))
        }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vdupq_n_f32(value) }
    }
    #[inline(always)]
    unsafe fn above(a: float32x4_t, b: float32x4_t, x: float32x4_t, y: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vbslq_f32(vcgtq_f32(a, b), x, y) }
    }
    #[inline(always)]
    unsafe fn signed(a: float32x4_t, by: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vbslq_f32(vcgtzq_f32(by), a, vnegq_f32(a)) }
    }
    #[inline(always)]
    unsafe fn zero_i() -> int32x4_t {
        // SAFETY: see above.
        unsafe { vdupq_n_s32(0) }
    }
    #[inline(always)]
    unsafe fn dot_i8(acc: int32x4_t, row: *const i8, query: *const i8) -> int32x4_t {
        // SAFETY: see above.
        unsafe {
            let (a, b) = (vld1q_s8(row), vld1q_s8(query));
            let low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
            vpadalq_s16(vpadalq_s16(acc, low), vmull_high_s8(a, b))
        }
    }
    #[inline(always)]
    unsafe fn load_i(ptr: *const u8) -> uint8x16_t {
        // SAFETY: see above.
        unsafe { vld1q_u8(ptr) }
    }
    #[inline(always)]
    unsafe fn low_halves(a: uint8x16_t) -> uint8x16_t {
        // SAFETY: see above.
        unsafe { vandq_u8(a, vdupq_n_u8(15)) }
    }
    #[inline(always)]
    unsafe fn high_halves(a: uint8x16_t) -> uint8x16_t {
        // SAFETY: see above.
        unsafe { vshrq_n_u8::<4>(a) }
    }
    #[inline(always)]
    unsafe fn dot_u8(acc: int32x4_t, row: uint8x16_t, query: *const i8) -> int32x4_t {
        // SAFETY: see above.
        unsafe {
            let query = vld1q_s8(query);
            let (low, high) = (vmovl_s8(vget_low_s8(query)), vmovl_high_s8(query));
            let row_low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(row)));
            let row_high = vreinterpretq_s16_u16(vmovl_high_u8(row));
            let acc = vmlal_s16(acc, vget_low_s16(row_low), vget_low_s16(low));
            let acc = vmlal_high_s16(acc, row_low, low);
            let acc = vmlal_s16(acc, vget_low_s16(row_high), vget_low_s16(high));
            vmlal_high_s16(acc, row_high, high)
        }
    }
    #[inline(always)]
    unsafe fn add_i(a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: see above.
        unsafe { vaddq_s32(a, b) }
    }
    #[inline(always)]
    unsafe fn sum_i(a: int32x4_t) -> i32 {
        // SAFETY: see above.
        unsafe { vaddvq_s32(a) }
    }
}

crate::kernels::compiled!(
    Neon,
    super::codes::scan_portable,
    super::codes::tables_portable,
    crate::kernels::parts::six_portable,
    "neon"
);
