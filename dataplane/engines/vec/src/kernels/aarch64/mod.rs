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
    unsafe fn sum_i(a: int32x4_t) -> i32 {
        // SAFETY: see above.
        unsafe { vaddvq_s32(a) }
    }
}

crate::kernels::compiled!(Neon, super::codes::scan_portable, "neon");
