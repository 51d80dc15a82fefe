//! FNV-1a with AVX-512: eight chains in a vector, several vectors in flight.
//!
//! A round takes up to 64 bytes of every lane: eight lanes' 64 bytes are transposed, so that
//! vector `q` holds bytes `8q..8q+8` of each lane in that lane's 64 bits; each step then takes
//! the lowest byte and shifts. Lanes that end inside the round are masked off at their end.

use std::arch::x86_64::*;

use crate::pcpu::batch::Seg;
use crate::pcpu::kernels::fnv::{Lanes, PRIME, scalar_round};
use crate::pcpu::kernels::{Ahead, FnvState};

/// Most vectors in flight: with eight, a full batch of whole packets runs in one go.
const VECTORS: usize = 8;
/// Most chains side by side.
const LANES: usize = 8 * VECTORS;
/// Up to so many lanes go faster in general registers: one multiplication begins per cycle there
/// and takes fewer of them than in a vector.
const SCALAR: usize = 5;
/// Bytes that a round takes of a lane at most.
const ROUND: u64 = 64;

/// The transposed bytes of a round: eight bytes of every lane at a time.
type Block = [[__m512i; VECTORS]; 8];

/// FNV-1a per message.
///
/// # Safety
/// AVX-512 F, BW and DQ must be available and the spans readable.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi2")]
pub(super) unsafe fn run(segs: &[Seg], ahead: Ahead<'_>, state: &mut FnvState) {
    let mut lanes = Lanes::<LANES>::new(segs, ahead, state);
    let mut block: Block = [[_mm512_setzero_si512(); VECTORS]; 8];
    while lanes.active > 0 {
        // SAFETY: features as here; the spans are readable, and lanes stay within theirs.
        unsafe {
            match lanes.active.div_ceil(8) {
                1 if lanes.active <= SCALAR => {
                    scalar(&mut lanes);
                    continue;
                }
                1 => round::<1>(&mut lanes, &mut block),
                2 => round::<2>(&mut lanes, &mut block),
                3 | 4 => round::<4>(&mut lanes, &mut block),
                5 | 6 => round::<6>(&mut lanes, &mut block),
                _ => round::<8>(&mut lanes, &mut block),
            }
        }
        lanes.advance(ROUND);
    }
}

/// A round of up to [`SCALAR`] lanes in general registers.
///
/// # Safety
/// The lanes' spans must be readable.
unsafe fn scalar(lanes: &mut Lanes<'_, LANES>) {
    // SAFETY: as the caller's; there are as many chains as lanes, or more.
    unsafe {
        match lanes.active {
            1 => lanes.alone(),
            2..=4 => scalar_round::<4, LANES>(lanes),
            _ => scalar_round::<SCALAR, LANES>(lanes),
        }
    }
}

/// One round of the first `V` vectors of lanes, beyond which none is active.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi2")]
unsafe fn round<const V: usize>(lanes: &mut Lanes<'_, LANES>, block: &mut Block) {
    // SAFETY: as the caller's.
    let (shortest, longest) = unsafe { gather::<V>(lanes, block) };
    if shortest == ROUND {
        whole_round::<V>(&mut lanes.hash, block);
    } else {
        part_round::<V>(&mut lanes.hash, &lanes.rem, block, longest);
    }
}

/// Loads and transposes up to 64 bytes of every lane. Gives back the fewest and the most steps
/// that a lane needs.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi2")]
unsafe fn gather<const V: usize>(lanes: &Lanes<'_, LANES>, block: &mut Block) -> (u64, u64) {
    let (mut shortest, mut longest) = (ROUND, 0);
    for vector in 0..V {
        let mut rows = [_mm512_setzero_si512(); 8];
        for (i, row) in rows.iter_mut().enumerate() {
            let lane = vector * 8 + i;
            let n = lanes.rem[lane].min(ROUND);
            (shortest, longest) = (shortest.min(n), longest.max(n));
            // Idle lanes look at lane 0: a masked load costs dear where nothing is mapped.
            let from = lanes.ptr[if n == 0 { 0 } else { lane }];
            let mask = _bzhi_u64(!0, n as u32);
            // SAFETY: the mask covers bytes that the lane's span has left; others are not read.
            *row = unsafe { _mm512_maskz_loadu_epi8(mask, from.cast()) };
        }
        for (out, words) in block.iter_mut().zip(transpose(rows)) {
            out[vector] = words;
        }
    }
    (shortest, longest)
}

/// Transposes eight rows of eight 64-bit words.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(r: [__m512i; 8]) -> [__m512i; 8] {
    // Words of neighbouring rows side by side, ...
    let even = |a, b| _mm512_unpacklo_epi64(a, b);
    let odd = |a, b| _mm512_unpackhi_epi64(a, b);
    let e = [even(r[0], r[1]), even(r[2], r[3]), even(r[4], r[5]), even(r[6], r[7])];
    let o = [odd(r[0], r[1]), odd(r[2], r[3]), odd(r[4], r[5]), odd(r[6], r[7])];
    let [e0, e4, e2, e6] = quarters(e);
    let [o0, o4, o2, o6] = quarters(o);
    [e0, o0, e2, o2, e4, o4, e6, o6]
}

/// Four vectors of two rows each as 128-bit lanes: gives lanes 0, 2, 1 and 3 of all four.
#[inline]
#[target_feature(enable = "avx512f")]
fn quarters(v: [__m512i; 4]) -> [__m512i; 4] {
    let low01 = _mm512_shuffle_i64x2::<0b10_00_10_00>(v[0], v[1]);
    let low23 = _mm512_shuffle_i64x2::<0b10_00_10_00>(v[2], v[3]);
    let high01 = _mm512_shuffle_i64x2::<0b11_01_11_01>(v[0], v[1]);
    let high23 = _mm512_shuffle_i64x2::<0b11_01_11_01>(v[2], v[3]);
    [
        _mm512_shuffle_i64x2::<0b10_00_10_00>(low01, low23),
        _mm512_shuffle_i64x2::<0b11_01_11_01>(low01, low23),
        _mm512_shuffle_i64x2::<0b10_00_10_00>(high01, high23),
        _mm512_shuffle_i64x2::<0b11_01_11_01>(high01, high23),
    ]
}

/// `a ^ (b & c)` as a truth table.
const XOR_AND: i32 = 0x78;

/// The words of the first `V` vectors.
#[inline]
#[target_feature(enable = "avx512f")]
fn load<const V: usize>(words: &[u64; LANES]) -> [__m512i; V] {
    // SAFETY: `V` is at most `VECTORS`, each with 8 of the words.
    std::array::from_fn(|v| unsafe { _mm512_loadu_si512(words.as_ptr().add(8 * v).cast()) })
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store<const V: usize>(words: &mut [u64; LANES], vectors: [__m512i; V]) {
    for (v, vector) in vectors.into_iter().enumerate() {
        // SAFETY: as above.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().add(8 * v).cast(), vector) };
    }
}

/// 64 steps in every lane.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn whole_round<const V: usize>(hash: &mut [u64; LANES], block: &Block) {
    let (prime, byte) = (_mm512_set1_epi64(PRIME.cast_signed()), _mm512_set1_epi64(0xff));
    let mut h = load::<V>(hash);
    for words in block {
        let mut word: [__m512i; V] = std::array::from_fn(|v| words[v]);
        for _ in 0..8 {
            for v in 0..V {
                let mixed = _mm512_ternarylogic_epi64::<XOR_AND>(h[v], word[v], byte);
                h[v] = _mm512_mullo_epi64(mixed, prime);
                word[v] = _mm512_srli_epi64::<8>(word[v]);
            }
        }
    }
    store(hash, h);
}

/// As many steps as each lane has bytes left, up to `longest`.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn part_round<const V: usize>(
    hash: &mut [u64; LANES],
    rem: &[u64; LANES],
    block: &Block,
    longest: u64,
) {
    let (prime, byte) = (_mm512_set1_epi64(PRIME.cast_signed()), _mm512_set1_epi64(0xff));
    let one = _mm512_set1_epi64(1);
    let mut h = load::<V>(hash);
    let left = load::<V>(rem);
    let mut step = _mm512_setzero_si512();
    for words in block.iter().take(longest.div_ceil(8) as usize) {
        let mut word: [__m512i; V] = std::array::from_fn(|v| words[v]);
        for _ in 0..8 {
            for v in 0..V {
                let live = _mm512_cmpgt_epu64_mask(left[v], step);
                let mixed = _mm512_ternarylogic_epi64::<XOR_AND>(h[v], word[v], byte);
                h[v] = _mm512_mask_mullo_epi64(h[v], live, mixed, prime);
                word[v] = _mm512_srli_epi64::<8>(word[v]);
            }
            step = _mm512_add_epi64(step, one);
        }
    }
    store(hash, h);
}
