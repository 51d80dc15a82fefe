//! CRC-32C of a span with AVX-512: the carry-less multiplier folds [`WIDE`] vectors side by side.
//!
//! A span is cut into `head | folded`. The folded part is a whole number of steps of [`WIDE`]
//! vectors; the head is what is left, and is folded first: bytes of zero before it do not change
//! a zero register, so that its first vector may be a partial one at no cost, and there is no tail.

use std::arch::x86_64::*;

use super::avx512::Avx512;
use crate::pcpu::kernels::Beyond;
use crate::pcpu::kernels::simd::Simd;

/// Vectors side by side. Of three to eight, four took the least time on Zen 4, for spans of 512 to
/// 4,096 bytes; so did they beside three streams of the CRC instruction, in whatever share.
const WIDE: usize = 4;
/// Bytes per step.
const STEP: usize = WIDE * 64;

/// The register after the `n` bytes at `ptr`.
///
/// # Safety
/// The level AVX-512 must be available and `n` bytes at `ptr` readable.
#[inline(always)]
pub(super) unsafe fn span(mut crc: u32, mut ptr: *const u8, mut n: usize, next: Beyond) -> u32 {
    // SAFETY: `ptr..ptr + n` stays the rest of the span.
    unsafe {
        // The register's four bytes must lie in the head's first vector.
        while matches!(n % 64, 1..4) {
            crc = _mm_crc32_u8(crc, *ptr);
            ptr = ptr.add(1);
            n -= 1;
        }
        match n {
            0 => crc,
            1..STEP => Avx512::reduce(head(crc, ptr, n)),
            _ => Avx512::reduce(steps(crc, ptr, n, next)),
        }
    }
}

/// A vector that stands for the `n` bytes at `ptr`, a step's or more, and the register before them.
///
/// # Safety
/// As [`span`]; `n % 64` is 0 or at least 4.
#[inline(always)]
unsafe fn steps(crc: u32, ptr: *const u8, n: usize, next: Beyond) -> __m512i {
    let (steps, rest) = (n / STEP, n % STEP);
    // SAFETY: the head and the steps are the `n` bytes.
    unsafe {
        let folded = ptr.add(rest);
        let mut acc: [__m512i; WIDE] = std::array::from_fn(|i| Avx512::load(folded.add(i * 64)));
        acc[0] = if rest == 0 {
            Avx512::xor(acc[0], Avx512::seed(crc))
        } else {
            Avx512::fold(head(crc, ptr, rest), Avx512::multiplier(64), acc[0])
        };
        next.prefetch(0, STEP);
        let k = Avx512::multiplier(STEP);
        for step in 1..steps {
            let at = folded.add(step * STEP);
            for (i, acc) in acc.iter_mut().enumerate() {
                *acc = Avx512::fold(*acc, k, Avx512::load(at.add(i * 64)));
            }
            next.prefetch(step * STEP, STEP);
        }
        gather(acc)
    }
}

/// One vector, in the place of the last, that stands for all.
///
/// # Safety
/// The level AVX-512 must be available.
#[inline(always)]
unsafe fn gather<const N: usize>(vectors: [__m512i; N]) -> __m512i {
    let mut sum = vectors[N - 1];
    for i in 1..N {
        // SAFETY: register work.
        sum = unsafe { Avx512::fold(vectors[N - 1 - i], Avx512::multiplier(i * 64), sum) };
    }
    sum
}

/// A vector that stands for the `n` bytes at `ptr`, fewer than a step's, and the register before
/// them.
///
/// # Safety
/// As [`span`]; `n` is not 0, `n % 64` is 0 or at least 4.
#[inline(always)]
unsafe fn head(crc: u32, ptr: *const u8, n: usize) -> __m512i {
    // SAFETY: as many vectors as `n` bytes begin.
    unsafe {
        match n.div_ceil(64) {
            1 => vectors::<1>(crc, ptr, n),
            2 => vectors::<2>(crc, ptr, n),
            3 => vectors::<3>(crc, ptr, n),
            _ => vectors::<4>(crc, ptr, n),
        }
    }
}

/// As [`head`], of `N` vectors: the first `N * 64 - n` bytes of the first are no part of the
/// span and taken as 0.
///
/// # Safety
/// As [`head`]; `n.div_ceil(64)` is `N`.
#[inline(always)]
unsafe fn vectors<const N: usize>(crc: u32, ptr: *const u8, n: usize) -> __m512i {
    let skip = N * 64 - n;
    let from = ptr.wrapping_sub(skip);
    // SAFETY: the mask ends with the bytes of the first vector, those after it are whole.
    unsafe {
        // Loaded from the span's begin and moved up: a load from `from` would wait for a cache
        // line that nobody has fetched, though the mask leaves it out.
        let first = if skip == 0 {
            Avx512::load(ptr)
        } else {
            let low = _mm512_maskz_loadu_epi8(!0 >> skip, ptr.cast());
            let up = _mm512_sub_epi8(iota(), _mm512_set1_epi8(skip as i8));
            _mm512_maskz_permutexvar_epi8(!0 << skip, up, low)
        };
        // The register's bytes to where the span's first four are, whatever lane that is.
        let word = crc.rotate_left(8 * (skip % 4) as u32).cast_signed();
        let seed = _mm512_maskz_mov_epi8(0xf << skip, _mm512_set1_epi32(word));
        gather(std::array::from_fn::<_, N, _>(|i| match i {
            0 => Avx512::xor(first, seed),
            _ => Avx512::load(from.wrapping_add(i * 64)),
        }))
    }
}

/// The bytes 0 to 63.
///
/// # Safety
/// The level AVX-512 must be available.
#[inline(always)]
unsafe fn iota() -> __m512i {
    const BYTES: [u8; 64] = {
        let mut bytes = [0; 64];
        let mut i = 0;
        while i < 64 {
            bytes[i] = i as u8;
            i += 1;
        }
        bytes
    };
    // SAFETY: 64 bytes; AVX-512 F by the caller.
    unsafe { _mm512_loadu_si512(BYTES.as_ptr().cast()) }
}
