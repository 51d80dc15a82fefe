//! FNV-1a with AVX-512: eight chains in a vector, several vectors in flight.
//!
//! A round takes up to 64 bytes of every lane: eight lanes' 64 bytes are transposed, so that
//! vector `q` holds bytes `8q..8q+8` of each lane in that lane's 64 bits; each step then takes
//! the lowest byte and shifts. Lanes that end inside the round are masked off at their end.

use std::arch::x86_64::*;

use crate::pcpu::batch::Seg;
use crate::pcpu::kernels::fnv::{Lanes, PRIME};
use crate::pcpu::kernels::{Ahead, FnvState};

/// Vectors in flight: enough to cover the multiplication's latency.
const VECTORS: usize = 6;
/// Chains side by side.
const LANES: usize = 8 * VECTORS;
/// Bytes that a round takes of a lane at most.
const ROUND: u64 = 64;

/// The transposed bytes of a round.
type Block = [[__m512i; 8]; VECTORS];

/// FNV-1a per message.
///
/// # Safety
/// AVX-512 F, BW and DQ must be available and the spans readable.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi2")]
pub(super) unsafe fn run(segs: &[Seg], ahead: Ahead<'_>, state: &mut FnvState) {
    let mut lanes = Lanes::<LANES>::new(segs, ahead, state);
    let mut block: Block = [[_mm512_setzero_si512(); 8]; VECTORS];
    while lanes.active > 0 {
        // SAFETY: features as here; the spans are readable, and lanes stay within theirs.
        unsafe {
            let longest = gather(&lanes, &mut block);
            if lanes.rem.iter().all(|&rem| rem >= ROUND) {
                whole_round(&mut lanes.hash, &block);
            } else {
                part_round(&mut lanes.hash, &lanes.rem, &block, longest);
            }
        }
        advance(&mut lanes);
    }
}

/// Moves every lane on by the bytes that the round took, and refills those at their end.
#[inline(always)]
fn advance(lanes: &mut Lanes<'_, LANES>) {
    for lane in 0..LANES {
        let rem = lanes.rem[lane];
        if rem > ROUND {
            lanes.rem[lane] = rem - ROUND;
            lanes.ptr[lane] = lanes.ptr[lane].wrapping_add(ROUND as usize);
        } else if rem > 0 {
            lanes.rem[lane] = 0;
            lanes.refill(lane);
        }
    }
}

/// Loads and transposes up to 64 bytes of every lane. Gives back the most steps a lane needs.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi2")]
unsafe fn gather(lanes: &Lanes<'_, LANES>, block: &mut Block) -> u64 {
    let mut longest = 0;
    for (vector, out) in block.iter_mut().enumerate() {
        let mut rows = [_mm512_setzero_si512(); 8];
        for (i, row) in rows.iter_mut().enumerate() {
            let lane = vector * 8 + i;
            let n = lanes.rem[lane].min(ROUND);
            longest = longest.max(n);
            let mask = _bzhi_u64(!0, n as u32);
            // SAFETY: the mask covers bytes that the lane's span has left; others are not read.
            *row = unsafe { _mm512_maskz_loadu_epi8(mask, lanes.ptr[lane].cast()) };
        }
        *out = transpose(rows);
    }
    longest
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

/// 64 steps in every lane.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn whole_round(hash: &mut [u64; LANES], block: &Block) {
    let (prime, byte) = (_mm512_set1_epi64(PRIME.cast_signed()), _mm512_set1_epi64(0xff));
    // SAFETY: `hash` has 8 words for each vector.
    let mut h: [__m512i; VECTORS] =
        std::array::from_fn(|v| unsafe { _mm512_loadu_si512(hash.as_ptr().add(8 * v).cast()) });
    for q in 0..8 {
        let mut word: [__m512i; VECTORS] = std::array::from_fn(|v| block[v][q]);
        for _ in 0..8 {
            for v in 0..VECTORS {
                let mixed = _mm512_ternarylogic_epi64::<XOR_AND>(h[v], word[v], byte);
                h[v] = _mm512_mullo_epi64(mixed, prime);
                word[v] = _mm512_srli_epi64::<8>(word[v]);
            }
        }
    }
    for (v, h) in h.into_iter().enumerate() {
        // SAFETY: as above.
        unsafe { _mm512_storeu_si512(hash.as_mut_ptr().add(8 * v).cast(), h) };
    }
}

/// As many steps as each lane has bytes left, up to `longest`.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn part_round(hash: &mut [u64; LANES], rem: &[u64; LANES], block: &Block, longest: u64) {
    let (prime, byte) = (_mm512_set1_epi64(PRIME.cast_signed()), _mm512_set1_epi64(0xff));
    let one = _mm512_set1_epi64(1);
    // SAFETY: `hash` and `rem` have 8 words for each vector.
    let load = |from: *const u64, v: usize| unsafe { _mm512_loadu_si512(from.add(8 * v).cast()) };
    let mut h: [__m512i; VECTORS] = std::array::from_fn(|v| load(hash.as_ptr(), v));
    let left: [__m512i; VECTORS] = std::array::from_fn(|v| load(rem.as_ptr(), v));
    let mut step = _mm512_setzero_si512();
    for q in 0..longest.div_ceil(8) as usize {
        let mut word: [__m512i; VECTORS] = std::array::from_fn(|v| block[v][q]);
        for _ in 0..8 {
            for v in 0..VECTORS {
                let live = _mm512_cmpgt_epu64_mask(left[v], step);
                let mixed = _mm512_ternarylogic_epi64::<XOR_AND>(h[v], word[v], byte);
                h[v] = _mm512_mask_mullo_epi64(h[v], live, mixed, prime);
                word[v] = _mm512_srli_epi64::<8>(word[v]);
            }
            step = _mm512_add_epi64(step, one);
        }
    }
    for (v, h) in h.into_iter().enumerate() {
        // SAFETY: as above.
        unsafe { _mm512_storeu_si512(hash.as_mut_ptr().add(8 * v).cast(), h) };
    }
}
