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

/// One round: multiplies by `by`, transforms the `power` numbers from `from` on, and with `folds`
/// makes of the two halves of all their sum and their difference. Of a multiple of 32 numbers.
///
/// # Safety
/// As [`hadamard`]; `by` is as long as `x`, and `from + power` within both.
#[inline(always)]
pub(super) unsafe fn round<S: Simd>(
    x: &mut [f32],
    by: &[f32],
    (from, power): (usize, usize),
    folds: bool,
) {
    let (n, x, by) = (x.len(), x.as_mut_ptr(), by.as_ptr());
    // SAFETY: the caller's promise; `n` and half of it are multiples of LANES.
    unsafe {
        for at in (0..n).step_by(S::LANES) {
            S::store(x.add(at), S::mul(S::load(x.add(at)), S::load(by.add(at))));
        }
        hadamard::<S>(x.add(from), power);
        if folds {
            for at in (0..n / 2).step_by(S::LANES) {
                fold::<S>(x.add(at), x.add(at + n / 2));
            }
        }
    }
}

/// What an offset from a centre comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Offset {
    /// Its squared length.
    pub squares: f32,
    /// Sum of its components without their signs.
    pub spread: f32,
    /// Its dot product with the centre.
    pub along: f32,
    /// Dot product of the centre with 1 where a component is above 0 and -1 elsewhere.
    pub signed: f32,
}

/// Which components of `x` are above the centre's, 32 a word, and what their differences come to.
///
/// # Safety
/// `S` must be available; `x` and `centre` are 32 numbers for each of `words`.
#[inline(always)]
pub(super) unsafe fn offset<S: Simd>(x: &[f32], centre: &[f32], words: &mut [u32]) -> Offset {
    // SAFETY: 32 numbers a word are multiples of LANES, as many in `x` as in `centre`.
    unsafe {
        let (mut squares, mut spread) = (S::zero(), S::zero());
        let (mut along, mut signed) = (S::zero(), S::zero());
        for (k, word) in words.iter_mut().enumerate() {
            *word = 0;
            for at in (0..32).step_by(S::LANES) {
                let c = S::load(centre.as_ptr().add(32 * k + at));
                let off = S::sub(S::load(x.as_ptr().add(32 * k + at)), c);
                *word |= S::positive(off) << at;
                squares = S::fma(squares, off, off);
                spread = S::add(spread, S::abs(off));
                along = S::fma(along, off, c);
                signed = S::add(signed, S::signed(c, off));
            }
        }
        Offset {
            squares: S::sum(squares),
            spread: S::sum(spread),
            along: S::sum(along),
            signed: S::sum(signed),
        }
    }
}
