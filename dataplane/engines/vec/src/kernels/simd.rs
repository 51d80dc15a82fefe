//! What the generic kernels need of a vector register.

/// Lanes of 32-bit floating point, and exact sums of products of bytes.
///
/// All methods are `inline(always)` and become instructions only inside a function that has the
/// features enabled; calling one where the processor lacks them is undefined, which is why all are
/// unsafe with that one common contract:
///
/// # Safety
/// The implementor's instruction set must be available. Methods with a pointer read exactly the
/// components that their names and constants say, at any alignment.
pub(super) trait Simd: Copy {
    /// `LANES` numbers.
    type F: Copy;
    /// Exact sums of products of bytes.
    type I: Copy;
    /// Numbers in [`Self::F`]; divides 16.
    const LANES: usize;
    /// Components that [`Self::dot_i8`] takes; divides 64.
    const BYTES: usize;
    /// What [`Self::dot_i8`] adds for each component of the query, which must be taken off.
    const BIAS: i32;

    /// All 0.
    unsafe fn zero() -> Self::F;
    /// Reads `LANES` numbers.
    unsafe fn load(ptr: *const f32) -> Self::F;
    /// Reads `LANES` numbers of 16 bits, the upper halves of 32-bit ones.
    unsafe fn load_bf16(ptr: *const u16) -> Self::F;
    /// `acc + a * b`.
    unsafe fn fma(acc: Self::F, a: Self::F, b: Self::F) -> Self::F;
    /// `a + b`.
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    /// `a - b`.
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F;
    /// `a * b`.
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    /// Sum of the lanes.
    unsafe fn sum(a: Self::F) -> f32;
    /// [`Self::sum`] of each of four.
    #[inline(always)]
    unsafe fn sums(four: [Self::F; 4]) -> [f32; 4] {
        // SAFETY: the level is available.
        unsafe { [Self::sum(four[0]), Self::sum(four[1]), Self::sum(four[2]), Self::sum(four[3])] }
    }
    /// Writes `LANES` numbers.
    unsafe fn store(ptr: *mut f32, a: Self::F);
    /// Lane `k` with bit `H` of `k` clear becomes the sum of lanes `k` and `k + H`, the other one
    /// their difference. `H` is a power of two below `LANES`.
    unsafe fn butterfly<const H: usize>(a: Self::F) -> Self::F;
    /// Lane by lane without its sign.
    unsafe fn abs(a: Self::F) -> Self::F;
    /// Bit `k` says that lane `k` is above 0.
    unsafe fn positive(a: Self::F) -> u32;
    /// All lanes `value`.
    unsafe fn splat(value: f32) -> Self::F;
    /// Lane by lane `x` where `a` is above `b`, and `y` elsewhere.
    unsafe fn above(a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F;
    /// Lane `k` stands for number `at + k`: the least number whose `value` is the greatest.
    #[inline(always)]
    unsafe fn argmax(value: Self::F, at: Self::F) -> u32 {
        let (mut values, mut numbers) = ([0.0; 16], [0.0; 16]);
        // SAFETY: both have room for LANES numbers.
        unsafe {
            Self::store(values.as_mut_ptr(), value);
            Self::store(numbers.as_mut_ptr(), at);
        }
        let mut best = (f32::NEG_INFINITY, u32::MAX);
        for k in 0..Self::LANES {
            let number = numbers[k] as u32 + k as u32;
            if values[k] > best.0 || (values[k] == best.0 && number < best.1) {
                best = (values[k], number);
            }
        }
        best.1
    }
    /// Lane by lane `a` where `by` is above 0, and `-a` elsewhere.
    unsafe fn signed(a: Self::F, by: Self::F) -> Self::F;

    /// All 0.
    unsafe fn zero_i() -> Self::I;
    /// `acc` and the products of `BYTES` components of `row` and `query`, plus [`Self::BIAS`]
    /// times each component of `query`.
    unsafe fn dot_i8(acc: Self::I, row: *const i8, query: *const i8) -> Self::I;
    /// `BYTES` bytes.
    type B: Copy;
    /// Reads `BYTES` bytes.
    unsafe fn load_i(ptr: *const u8) -> Self::B;
    /// The low half of each byte.
    unsafe fn low_halves(a: Self::B) -> Self::B;
    /// The high half of each byte.
    unsafe fn high_halves(a: Self::B) -> Self::B;
    /// `acc` and the products of `BYTES` unsigned bytes with signed ones.
    unsafe fn dot_u8(acc: Self::I, row: Self::B, query: *const i8) -> Self::I;
    /// `a + b`.
    unsafe fn add_i(a: Self::I, b: Self::I) -> Self::I;
    /// Sum of the lanes.
    unsafe fn sum_i(a: Self::I) -> i32;
    /// [`Self::sum_i`] of each of four.
    #[inline(always)]
    unsafe fn sums_i(four: [Self::I; 4]) -> [i32; 4] {
        // SAFETY: the level is available.
        unsafe {
            let [a, b, c, d] = four;
            [Self::sum_i(a), Self::sum_i(b), Self::sum_i(c), Self::sum_i(d)]
        }
    }
    /// Asks for the cache line at `ptr`, which need not be readable.
    unsafe fn prefetch(_ptr: *const u8) {}
}
