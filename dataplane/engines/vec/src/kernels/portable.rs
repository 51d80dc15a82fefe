//! Lanes as arrays: the compiler makes of them what the target has.

use super::simd::Simd;

/// Eight numbers at a time.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Simd for Portable {
    type F = [f32; 8];
    type I = [i32; 8];
    type B = [u8; 8];
    const LANES: usize = 8;
    const BYTES: usize = 8;
    const BIAS: i32 = 0;

    #[inline(always)]
    unsafe fn zero() -> [f32; 8] {
        [0.0; 8]
    }
    #[inline(always)]
    unsafe fn load(ptr: *const f32) -> [f32; 8] {
        // SAFETY: the caller's promise.
        unsafe { ptr.cast::<[f32; 8]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_bf16(ptr: *const u16) -> [f32; 8] {
        // SAFETY: the caller's promise.
        unsafe { ptr.cast::<[u16; 8]>().read_unaligned().map(crate::element::f32_of_bf16) }
    }
    #[inline(always)]
    unsafe fn fma(acc: [f32; 8], a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|k| acc[k] + a[k] * b[k])
    }
    #[inline(always)]
    unsafe fn add(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|k| a[k] + b[k])
    }
    #[inline(always)]
    unsafe fn sub(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|k| a[k] - b[k])
    }
    #[inline(always)]
    unsafe fn sum(a: [f32; 8]) -> f32 {
        ((a[0] + a[4]) + (a[1] + a[5])) + ((a[2] + a[6]) + (a[3] + a[7]))
    }
    #[inline(always)]
    unsafe fn mul(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|k| a[k] * b[k])
    }
    #[inline(always)]
    unsafe fn store(ptr: *mut f32, a: [f32; 8]) {
        // SAFETY: the caller's promise.
        unsafe { ptr.cast::<[f32; 8]>().write_unaligned(a) }
    }
    #[inline(always)]
    unsafe fn butterfly<const H: usize>(a: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|k| if k & H == 0 { a[k] + a[k ^ H] } else { a[k ^ H] - a[k] })
    }
    #[inline(always)]
    unsafe fn abs(a: [f32; 8]) -> [f32; 8] {
        a.map(f32::abs)
    }
    #[inline(always)]
    unsafe fn positive(a: [f32; 8]) -> u32 {
        a.iter().enumerate().map(|(k, &value)| u32::from(value > 0.0) << k).sum()
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> [f32; 8] {
        [value; 8]
    }
    #[inline(always)]
    unsafe fn above(a: [f32; 8], b: [f32; 8], x: [f32; 8], y: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|k| if a[k] > b[k] { x[k] } else { y[k] })
    }
    #[inline(always)]
    unsafe fn signed(a: [f32; 8], by: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|k| if by[k] > 0.0 { a[k] } else { -a[k] })
    }
    #[inline(always)]
    unsafe fn zero_i() -> [i32; 8] {
        [0; 8]
    }
    #[inline(always)]
    unsafe fn dot_i8(acc: [i32; 8], row: *const i8, query: *const i8) -> [i32; 8] {
        // SAFETY: the caller's promise.
        let (a, b) = unsafe {
            (row.cast::<[i8; 8]>().read_unaligned(), query.cast::<[i8; 8]>().read_unaligned())
        };
        std::array::from_fn(|k| acc[k] + i32::from(a[k]) * i32::from(b[k]))
    }
    #[inline(always)]
    unsafe fn load_i(ptr: *const u8) -> [u8; 8] {
        // SAFETY: the caller's promise.
        unsafe { ptr.cast::<[u8; 8]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn low_halves(a: [u8; 8]) -> [u8; 8] {
        a.map(|byte| byte & 15)
    }
    #[inline(always)]
    unsafe fn high_halves(a: [u8; 8]) -> [u8; 8] {
        a.map(|byte| byte >> 4)
    }
    #[inline(always)]
    unsafe fn dot_u8(acc: [i32; 8], row: [u8; 8], query: *const i8) -> [i32; 8] {
        // SAFETY: the caller's promise.
        let query = unsafe { query.cast::<[i8; 8]>().read_unaligned() };
        std::array::from_fn(|k| acc[k] + i32::from(row[k]) * i32::from(query[k]))
    }
    #[inline(always)]
    unsafe fn add_i(a: [i32; 8], b: [i32; 8]) -> [i32; 8] {
        std::array::from_fn(|k| a[k] + b[k])
    }
    #[inline(always)]
    unsafe fn sum_i(a: [i32; 8]) -> i32 {
        a.iter().sum()
    }
}

crate::kernels::compiled!(
    Portable,
    super::codes::scan_portable,
    super::codes::tables_portable,
    crate::kernels::parts::six_portable
);
