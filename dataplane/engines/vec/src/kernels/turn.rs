//! The steps of a random rotation, and the signs of what comes out.

use super::simd::Simd;

/// Hadamard transform of `n` numbers, a power of two from 16 on, unscaled.
///
/// # Safety
/// `S` must be available; `n` numbers must be readable and writable.
#[inline(always)]
pub(super) unsafe fn hadamard<S: Simd>(x: *mut f32, n: usize) {
    // SAFETY: `n` is a multiple of LANES; pairs of vectors lie within.
    unsafe {
        for at in (0..n).step_by(S::LANES) {
            let mut v = S::load(x.add(at));
            v = S::butterfly::<1>(v);
            v = S::butterfly::<2>(v);
            if S::LANES > 4 {
                v = S::butterfly::<4>(v);
            }
            if S::LANES > 8 {
                v = S::butterfly::<8>(v);
            }
            S::store(x.add(at), v);
        }
        let mut half = S::LANES;
        while half < n {
            for from in (0..n).step_by(2 * half) {
                for at in (from..from + half).step_by(S::LANES) {
                    fold::<S>(x.add(at), x.add(at + half));
                }
            }
            half *= 2;
        }
    }
}

/// Makes of two vectors their sum and their difference.
///
/// # Safety
/// As [`Simd::load`] and [`Simd::store`].
#[inline(always)]
unsafe fn fold<S: Simd>(low: *mut f32, high: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        let (a, b) = (S::load(low), S::load(high));
        S::store(low, S::add(a, b));
        S::store(high, S::sub(a, b));
    }
}

/// One round: multiplies by `by`, transforms the `power` numbers from `from` on, and, where these
/// are not all `n`, folds the first half of all with the second. `n` is a multiple of 32.
///
/// # Safety
/// As [`hadamard`]; `by` is as long as `x`, and `from + power` within both.
#[inline(always)]
pub(super) unsafe fn round<S: Simd>(x: &mut [f32], by: &[f32], from: usize, power: usize) {
    let (n, x, by) = (x.len(), x.as_mut_ptr(), by.as_ptr());
    // SAFETY: the caller's promise; `n` and half of it are multiples of LANES.
    unsafe {
        for at in (0..n).step_by(S::LANES) {
            S::store(x.add(at), S::mul(S::load(x.add(at)), S::load(by.add(at))));
        }
        hadamard::<S>(x.add(from), power);
        if power < n {
            for at in (0..n / 2).step_by(S::LANES) {
                fold::<S>(x.add(at), x.add(at + n / 2));
            }
        }
    }
}

/// Which of `x` are above 0, 32 a word, and the sum of all without their signs. `x` is a multiple
/// of 32 long.
///
/// # Safety
/// `S` must be available; `words` has a place for each 32 numbers.
#[inline(always)]
pub(super) unsafe fn signs<S: Simd>(x: &[f32], words: &mut [u32]) -> f32 {
    // SAFETY: chunks of 32 are multiples of LANES.
    unsafe {
        let mut sum = S::zero();
        for (chunk, word) in x.chunks_exact(32).zip(words) {
            *word = 0;
            for at in (0..32).step_by(S::LANES) {
                let v = S::load(chunk.as_ptr().add(at));
                *word |= S::positive(v) << at;
                sum = S::add(sum, S::abs(v));
            }
        }
        S::sum(sum)
    }
}
