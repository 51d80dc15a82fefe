//! CRC-32C of a span with AVX-512: the carry-less multiplier folds one part of it while the CRC
//! instruction runs over the other, so that both units are busy at once.
//!
//! A span is cut into `head | folded | streams`. The folded part is a whole number of steps of
//! [`WIDE`] vectors, each of the [`STREAMS`] streams as many steps of [`WORDS`] words; the head
//! is what is left, and is folded first: bytes of zero before it do not change a zero register,
//! so that its first vector may be a partial one at no cost, and there is no tail. (The idea of
//! such "fusion" is Peter Cawley's, "Faster CRC32 on the Apple M1" and "corsix/fast-crc32"; the
//! code is our own.)

use std::arch::x86_64::*;

use super::avx512::Avx512;
use crate::pcpu::kernels::Beyond;
use crate::pcpu::kernels::crc::multipliers;
use crate::pcpu::kernels::simd::Simd;

/// Streams side by side: the instruction takes three cycles, so that one begins in each. More
/// would fit beside it, but their registers would not.
const STREAMS: usize = 3;
/// Words that a stream takes per step.
const WORDS: usize = 8;
/// Vectors folded per step, in about the time that the streams take.
const WIDE: usize = 5;
/// Bytes per step: a multiple of a vector's, so that the head of any cut has the same odd bytes.
const STEP: usize = WIDE * 64 + STREAMS * WORDS * 8;
/// Most steps in one go.
const MAX_STEPS: usize = 16;

/// What moves the parts of a span to its last 16 bytes, by number of steps.
struct Places {
    /// The four lanes of the folded part.
    lanes: [u64; 8],
    /// The streams' registers; the last one is in its place.
    streams: [u64; 8],
}

static PLACES: [Places; MAX_STEPS + 1] = {
    let mut all = [const { Places { lanes: [0; 8], streams: [0; 8] } }; MAX_STEPS + 1];
    let mut steps = 1;
    while steps <= MAX_STEPS {
        let stream = steps * WORDS * 8;
        let mut i = 0;
        while i < 4 {
            let far = multipliers(STREAMS * stream + (3 - i) * 16);
            (all[steps].lanes[2 * i], all[steps].lanes[2 * i + 1]) = (far[0], far[1]);
            i += 1;
        }
        i = 0;
        while i < STREAMS - 1 {
            // The product of a register comes to lie in a lane's low half, 8 bytes before the
            // lane's end: hence 8 bytes nearer.
            all[steps].streams[i] = multipliers((STREAMS - 1 - i) * stream - 8)[1];
            i += 1;
        }
        steps += 1;
    }
    all
};

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
        if n < STEP {
            return if n == 0 { crc } else { Avx512::reduce(head(crc, ptr, n)) };
        }
        let mut done = 0;
        while n - done >= (MAX_STEPS + 1) * STEP {
            crc = steps(crc, ptr.add(done), MAX_STEPS * STEP, done, next);
            done += MAX_STEPS * STEP;
        }
        steps(crc, ptr.add(done), n - done, done, next)
    }
}

/// The register after `n` bytes that have 1 to `MAX_STEPS` whole steps; `before` bytes of the
/// span are done.
///
/// # Safety
/// As [`span`]; `n % 64` is 0 or at least 4.
#[inline(always)]
unsafe fn steps(crc: u32, ptr: *const u8, n: usize, before: usize, next: Beyond) -> u32 {
    let (steps, rest) = (n / STEP, n % STEP);
    let stream = steps * WORDS * 8;
    // SAFETY: the head, `steps` times `WIDE` vectors and the streams are the `n` bytes.
    unsafe {
        let folded = ptr.add(rest);
        let behind = folded.add(steps * WIDE * 64);
        let mut regs = [0; STREAMS];
        let mut acc: [__m512i; WIDE] = std::array::from_fn(|i| Avx512::load(folded.add(i * 64)));
        acc[0] = if rest == 0 {
            Avx512::xor(acc[0], Avx512::seed(crc))
        } else {
            Avx512::fold(head(crc, ptr, rest), Avx512::multiplier(64), acc[0])
        };
        streams(&mut regs, behind, stream);
        next.prefetch(before, STEP);
        let k = Avx512::multiplier(WIDE * 64);
        for step in 1..steps {
            let at = folded.add(step * WIDE * 64);
            for (i, acc) in acc.iter_mut().enumerate() {
                *acc = Avx512::fold(*acc, k, Avx512::load(at.add(i * 64)));
            }
            streams(&mut regs, behind.add(step * WORDS * 8), stream);
            next.prefetch(before + step * STEP, STEP);
        }
        finish(gather(acc), regs, &PLACES[steps])
    }
}

/// Takes every register over [`WORDS`] words; the streams are `stream` bytes apart.
///
/// # Safety
/// SSE4.2 must be available and the words readable.
#[inline(always)]
unsafe fn streams(regs: &mut [u64; STREAMS], ptr: *const u8, stream: usize) {
    for word in 0..WORDS {
        for (i, reg) in regs.iter_mut().enumerate() {
            // SAFETY: inside the stream.
            unsafe {
                let at = ptr.add(i * stream + word * 8).cast::<u64>();
                *reg = _mm_crc32_u64(*reg, at.read_unaligned());
            }
        }
    }
}

/// The register after all parts: `folded` stands for the head and the folded part.
///
/// # Safety
/// The level AVX-512 must be available.
#[inline(always)]
unsafe fn finish(folded: __m512i, regs: [u64; STREAMS], places: &Places) -> u32 {
    let mut moving = [0; 8];
    moving[..STREAMS - 1].copy_from_slice(&regs[..STREAMS - 1]);
    let [a, b, c, d, e, f, g, h] = moving.map(u64::cast_signed);
    // SAFETY: register work; each table row has 64 bytes.
    unsafe {
        let moving = _mm512_set_epi64(h, g, f, e, d, c, b, a);
        let streams = _mm512_loadu_si512(places.streams.as_ptr().cast());
        let lanes = _mm512_loadu_si512(places.lanes.as_ptr().cast());
        let sum = Avx512::fold(moving, streams, _mm512_setzero_si512());
        let lane = Avx512::lanes(Avx512::fold(folded, lanes, sum));
        super::avx2::reduce_lane(lane) ^ regs[STREAMS - 1] as u32
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
            4 => vectors::<4>(crc, ptr, n),
            5 => vectors::<5>(crc, ptr, n),
            6 => vectors::<6>(crc, ptr, n),
            7 => vectors::<7>(crc, ptr, n),
            8 => vectors::<8>(crc, ptr, n),
            9 => vectors::<9>(crc, ptr, n),
            _ => vectors::<10>(crc, ptr, n),
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
