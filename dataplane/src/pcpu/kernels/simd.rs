//! What the generic pass needs of a vector.

/// A vector of bytes and the few operations that passes are made of.
///
/// All methods are `inline(always)` and become instructions only inside a function that has
/// the features enabled; calling one where the processor lacks them is undefined, which is why
/// all are unsafe with that one common contract:
///
/// # Safety
/// The implementor's instruction set must be available. Methods with a pointer read or write
/// exactly the bytes that their names say, at any alignment.
pub(super) trait Simd: Copy {
    /// The vector.
    type V: Copy;
    /// Its width in bytes; a power of two, 8 to 64.
    const BYTES: usize;
    /// Whether `fold` and `reduce` exist. Without them, CRC goes word by word.
    const FOLD: bool;

    /// All bytes `byte`.
    unsafe fn splat(byte: u8) -> Self::V;
    /// Reads `BYTES` bytes.
    unsafe fn load(ptr: *const u8) -> Self::V;
    /// Writes `BYTES` bytes.
    unsafe fn store(ptr: *mut u8, v: Self::V);
    /// Reads `n < BYTES` bytes; the rest of the vector is 0.
    #[inline(always)]
    unsafe fn load_part(ptr: *const u8, n: usize) -> Self::V {
        let mut bytes = [0u8; 64];
        // SAFETY: n < BYTES <= 64 bytes, readable by the contract.
        unsafe {
            copy_short(ptr, bytes.as_mut_ptr(), n);
            Self::load(bytes.as_ptr())
        }
    }
    /// Writes the first `n < BYTES` bytes.
    #[inline(always)]
    unsafe fn store_part(ptr: *mut u8, n: usize, v: Self::V) {
        let mut bytes = [0u8; 64];
        // SAFETY: n < BYTES <= 64 bytes, writable by the contract.
        unsafe {
            Self::store(bytes.as_mut_ptr(), v);
            copy_short(bytes.as_ptr(), ptr, n);
        }
    }
    /// Bitwise exclusive or.
    unsafe fn xor(a: Self::V, b: Self::V) -> Self::V;
    /// Bytewise sum modulo 256.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;

    /// `acc` with 1 added to each byte whose byte of `v` equals that of `imm`. A byte of `acc`
    /// holds 255 such steps.
    unsafe fn count_eq(acc: Self::V, v: Self::V, imm: Self::V) -> Self::V;
    /// Adds the bytes of `acc` to the 64-bit lanes of `total`.
    unsafe fn widen(total: Self::V, acc: Self::V) -> Self::V;
    /// Sum of the 64-bit lanes of `total`.
    unsafe fn total(total: Self::V) -> u64;

    /// A vector that begins with the four bytes of `crc`, little-endian, the rest 0.
    unsafe fn seed(crc: u32) -> Self::V;
    /// Multipliers that move each 128-bit lane `distance` bytes ahead.
    unsafe fn multiplier(distance: usize) -> Self::V;
    /// `next ^ acc * k`, the carry-less product lane by lane.
    unsafe fn fold(acc: Self::V, k: Self::V, next: Self::V) -> Self::V;
    /// The CRC register after the `BYTES` bytes that `acc` stands for.
    unsafe fn reduce(acc: Self::V) -> u32;
    /// CRC register advanced by 8 bytes.
    unsafe fn crc_word(crc: u32, word: u64) -> u32;
    /// CRC register advanced by 1 byte.
    unsafe fn crc_byte(crc: u32, byte: u8) -> u32;
}

/// Copies `n < 64` bytes without a call to memcpy.
///
/// # Safety
/// `n` bytes must be readable at `from`, writable at `to`, and not overlap.
#[inline(always)]
unsafe fn copy_short(from: *const u8, to: *mut u8, n: usize) {
    let mut at = 0;
    // SAFETY: each step copies below `n`, as `at` and the bits of `n` add up to it.
    unsafe {
        while at + 8 <= n {
            to.add(at).cast::<u64>().write_unaligned(from.add(at).cast::<u64>().read_unaligned());
            at += 8;
        }
        if n & 4 != 0 {
            to.add(at).cast::<u32>().write_unaligned(from.add(at).cast::<u32>().read_unaligned());
            at += 4;
        }
        if n & 2 != 0 {
            to.add(at).cast::<u16>().write_unaligned(from.add(at).cast::<u16>().read_unaligned());
            at += 2;
        }
        if n & 1 != 0 {
            *to.add(at) = *from.add(at);
        }
    }
}
