//! CRC-32C by the CRC instruction in three streams, one behind the other, which are moved to their
//! places and added at the end.

use std::arch::x86_64::*;

use crate::pcpu::kernels::Beyond;
use crate::pcpu::kernels::crc::{self, MAX_STEPS, STREAMS};

/// Words that a stream takes per step on its own.
const PLAIN_WORDS: usize = 16;
/// Bytes per step in all.
const PLAIN: usize = STREAMS * PLAIN_WORDS * 8;
static PLAIN_SHIFTS: [[u64; STREAMS]; MAX_STEPS + 1] = crc::shifts(PLAIN_WORDS * 8);

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
