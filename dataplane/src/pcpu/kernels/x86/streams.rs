//! CRC-32C by the CRC instruction in three streams, alone or beside the carry-less multiplier.
//!
//! Both units are busy at once: per step, eight 64-byte vectors are folded while the CRC
//! instruction takes ten words of each of three streams that lie behind them. At the end all
//! parts are moved to their places and added. (The idea of such "fusion" is Peter Cawley's,
//! "Faster CRC32 on the Apple M1" and "corsix/fast-crc32"; the code is our own.)

use std::arch::x86_64::*;

use super::avx512::Avx512;
use crate::pcpu::kernels::Beyond;
use crate::pcpu::kernels::crc::{self, MAX_STEPS, STREAMS};
use crate::pcpu::kernels::simd::Simd;

/// Words that a stream takes per step beside the multiplier: it folds eight vectors in about 32
/// cycles, in which 30 CRC instructions can begin.
const FUSED_WORDS: usize = 10;
/// Vectors folded per step.
const WIDE: usize = 8;
/// Bytes folded per step.
const FOLDED: usize = WIDE * 64;
/// Bytes per step in all.
const FUSED: usize = FOLDED + STREAMS * FUSED_WORDS * 8;
static FUSED_SHIFTS: [[u64; STREAMS]; MAX_STEPS + 1] = crc::shifts(FUSED_WORDS * 8);

/// Words that a stream takes per step on its own.
const PLAIN_WORDS: usize = 16;
/// Bytes per step in all.
const PLAIN: usize = STREAMS * PLAIN_WORDS * 8;
static PLAIN_SHIFTS: [[u64; STREAMS]; MAX_STEPS + 1] = crc::shifts(PLAIN_WORDS * 8);

/// Takes as many whole steps as `n` bytes have, with both units. Gives back the register and
/// the bytes taken.
///
/// # Safety
/// The level AVX-512 must be available and `n` bytes at `ptr` readable.
#[inline(always)]
pub(super) unsafe fn fused(mut crc: u32, ptr: *const u8, n: usize, next: Beyond) -> (u32, usize) {
    let mut taken = 0;
    while n - taken >= FUSED {
        let steps = ((n - taken) / FUSED).min(MAX_STEPS);
        // SAFETY: `steps * FUSED` bytes are left.
        crc = unsafe { fused_steps(crc, ptr.add(taken), steps, taken, next) };
        taken += steps * FUSED;
    }
    (crc, taken)
}

/// # Safety
/// As [`fused`], with `steps * FUSED` bytes, 1 to `MAX_STEPS` steps; `before` bytes of the span
/// are done.
#[inline(always)]
unsafe fn fused_steps(crc: u32, ptr: *const u8, steps: usize, before: usize, next: Beyond) -> u32 {
    // SAFETY: the folded part is `steps * FOLDED` bytes, the streams lie behind it.
    unsafe {
        let mut streams = Streams::<FUSED_WORDS>::new(ptr.add(steps * FOLDED), steps);
        let mut acc: [__m512i; WIDE] = std::array::from_fn(|i| Avx512::load(ptr.add(i * 64)));
        acc[0] = Avx512::xor(acc[0], Avx512::seed(crc));
        streams.step(0);
        next.prefetch(before, FUSED);
        let k = Avx512::multiplier(FOLDED);
        for step in 1..steps {
            let at = ptr.add(step * FOLDED);
            for (i, acc) in acc.iter_mut().enumerate() {
                *acc = Avx512::fold(*acc, k, Avx512::load(at.add(i * 64)));
            }
            streams.step(step);
            next.prefetch(before + step * FUSED, FUSED);
        }
        let mut last = acc[WIDE - 1];
        for i in 1..WIDE {
            last = Avx512::fold(acc[WIDE - 1 - i], Avx512::multiplier(i * 64), last);
        }
        streams.finish(Avx512::reduce(last), &FUSED_SHIFTS[steps])
    }
}

/// Takes as many whole steps as `n` bytes have, with the CRC instruction alone. Gives back the
/// register and the bytes taken.
///
/// # Safety
/// SSE4.2 and PCLMULQDQ must be available and `n` bytes at `ptr` readable.
#[inline(always)]
pub(super) unsafe fn plain(mut crc: u32, ptr: *const u8, n: usize, next: Beyond) -> (u32, usize) {
    let mut taken = 0;
    while n - taken >= PLAIN {
        let steps = ((n - taken) / PLAIN).min(MAX_STEPS);
        // SAFETY: `steps * PLAIN` bytes are left.
        unsafe {
            let mut streams = Streams::<PLAIN_WORDS>::new(ptr.add(taken), steps);
            for step in 0..steps {
                streams.step(step);
                next.prefetch(taken + step * PLAIN, PLAIN);
            }
            crc = streams.finish(crc, &PLAIN_SHIFTS[steps]);
        }
        taken += steps * PLAIN;
    }
    (crc, taken)
}

/// Three streams, one behind the other, each of `WORDS` words a step.
struct Streams<const WORDS: usize> {
    from: [*const u8; STREAMS],
    crc: [u64; STREAMS],
}

impl<const WORDS: usize> Streams<WORDS> {
    /// Streams at `ptr`, each `steps` steps long.
    #[inline(always)]
    fn new(ptr: *const u8, steps: usize) -> Self {
        let from = std::array::from_fn(|i| ptr.wrapping_add(i * steps * WORDS * 8));
        Self { from, crc: [0; STREAMS] }
    }

    /// # Safety
    /// SSE4.2; the streams must be readable, and `step` below their steps.
    #[inline(always)]
    unsafe fn step(&mut self, step: usize) {
        for word in 0..WORDS {
            for (crc, from) in self.crc.iter_mut().zip(self.from) {
                // SAFETY: inside the stream.
                unsafe {
                    let at = from.add((step * WORDS + word) * 8).cast::<u64>();
                    *crc = _mm_crc32_u64(*crc, at.read_unaligned());
                }
            }
        }
    }

    /// The register after all streams, `before` being the one after what lies before them.
    ///
    /// # Safety
    /// SSE4.2 and PCLMULQDQ.
    #[inline(always)]
    unsafe fn finish(&self, before: u32, shifts: &[u64; STREAMS]) -> u32 {
        // SAFETY: register work only.
        unsafe {
            let product = |value: u64, by: u64| {
                let value = _mm_cvtsi64_si128(value.cast_signed());
                _mm_clmulepi64_si128::<0>(value, _mm_cvtsi64_si128(by.cast_signed()))
            };
            let moved = _mm_xor_si128(
                _mm_xor_si128(
                    product(u64::from(before), shifts[2]),
                    product(self.crc[0], shifts[1]),
                ),
                product(self.crc[1], shifts[0]),
            );
            let reduced = _mm_crc32_u64(0, _mm_cvtsi128_si64(moved).cast_unsigned());
            (reduced ^ self.crc[2]) as u32
        }
    }
}
