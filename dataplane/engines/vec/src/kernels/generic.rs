//! The loops over components and rows, once for all instruction sets.
//!
//! Rows are padded with zeros to whole cache lines, so that no loop has a rest.

use super::simd::Simd;

/// How far ahead of the row at work memory is asked for.
const AHEAD: usize = 4096;

/// Where a row's numbers come from.
pub(super) trait Column: Copy {
    /// How a component is stored.
    type T;
    /// Reads `LANES` numbers.
    ///
    /// # Safety
    /// As [`Simd::load`].
    unsafe fn load<S: Simd>(ptr: *const Self::T) -> S::F;
}

/// Numbers of 32 bits.
#[derive(Clone, Copy)]
pub(super) struct Full;

impl Column for Full {
    type T = f32;
    #[inline(always)]
    unsafe fn load<S: Simd>(ptr: *const f32) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { S::load(ptr) }
    }
}

/// Numbers of 16 bits.
#[derive(Clone, Copy)]
pub(super) struct Half;

impl Column for Half {
    type T = u16;
    #[inline(always)]
    unsafe fn load<S: Simd>(ptr: *const u16) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { S::load_bf16(ptr) }
    }
}

/// Dot product, or with `L2` minus the squared distance, of `n` components, a multiple of 16.
///
/// # Safety
/// `S` must be available; `n` components must be readable at both pointers.
#[inline(always)]
pub(super) unsafe fn compare<S: Simd, C: Column, const L2: bool>(
    row: *const C::T,
    query: *const f32,
    n: usize,
) -> f32 {
    // SAFETY: the caller's promise.
    unsafe { compare_with::<S, C, L2, false>(row, query, n) }
}

/// [`compare`], which with `ON` asks for memory [`AHEAD`] of the row as it goes.
///
/// # Safety
/// As [`compare`].
#[inline(always)]
unsafe fn compare_with<S: Simd, C: Column, const L2: bool, const ON: bool>(
    row: *const C::T,
    query: *const f32,
    n: usize,
) -> f32 {
    // SAFETY: blocks of 4 × LANES end at or before `n`, so does the rest of LANES each; the
    // level is available.
    unsafe {
        let mut acc = [S::zero(); 4];
        let step = |acc: S::F, at: usize| {
            let (a, b) = (C::load::<S>(row.add(at)), S::load(query.add(at)));
            if L2 {
                let off = S::sub(a, b);
                S::fma(acc, off, off)
            } else {
                S::fma(acc, a, b)
            }
        };
        let mut at = 0;
        while at + 4 * S::LANES <= n {
            if ON {
                for line in (0..4 * S::LANES * size_of::<C::T>()).step_by(64) {
                    S::prefetch(row.add(at).cast::<u8>().wrapping_add(AHEAD + line));
                }
            }
            for (k, acc) in acc.iter_mut().enumerate() {
                *acc = step(*acc, at + k * S::LANES);
            }
            at += 4 * S::LANES;
        }
        while at < n {
            acc[0] = step(acc[0], at);
            at += S::LANES;
        }
        let sum = S::sum(S::add(S::add(acc[0], acc[1]), S::add(acc[2], acc[3])));
        if L2 { -sum } else { sum }
    }
}

/// [`compare`] of each row with the query.
///
/// # Safety
/// As [`compare`]; `out.len()` rows of `n` components must be readable.
#[inline(always)]
pub(super) unsafe fn scan<S: Simd, C: Column, const L2: bool>(
    rows: *const C::T,
    query: *const f32,
    n: usize,
    out: &mut [f32],
) {
    for (at, out) in out.iter_mut().enumerate() {
        // SAFETY: the caller's promise; the prefetch reads nothing.
        *out = unsafe { compare_with::<S, C, L2, true>(rows.add(at * n), query, n) };
    }
}

/// Exact dot product of bytes; `n` is a multiple of 64.
///
/// # Safety
/// As [`compare`]. `bias` is [`Simd::BIAS`] times the sum of the query's components.
#[inline(always)]
pub(super) unsafe fn dot_i8<S: Simd>(row: *const i8, query: *const i8, n: usize, bias: i32) -> i32 {
    // SAFETY: `n` is a multiple of 64, so of BYTES; the rest is the caller's promise.
    unsafe {
        let mut acc = [S::zero_i(); 2];
        let mut at = 0;
        while at + 2 * S::BYTES <= n {
            acc[0] = S::dot_i8(acc[0], row.add(at), query.add(at));
            acc[1] = S::dot_i8(acc[1], row.add(at + S::BYTES), query.add(at + S::BYTES));
            at += 2 * S::BYTES;
        }
        if at < n {
            acc[0] = S::dot_i8(acc[0], row.add(at), query.add(at));
        }
        S::sum_i(S::add_i(acc[0], acc[1])).wrapping_sub(bias)
    }
}

/// What [`dot_i8`] must be told of a query.
pub(super) fn bias<S: Simd>(query: &[i8]) -> i32 {
    if S::BIAS == 0 {
        0
    } else {
        query.iter().map(|&value| i32::from(value)).sum::<i32>() * S::BIAS
    }
}

/// [`dot_i8`] of each row with the query.
///
/// # Safety
/// As [`dot_i8`]; `out.len()` rows of `query.len()` components must be readable.
#[inline(always)]
pub(super) unsafe fn scan_i8<S: Simd>(rows: *const i8, query: &[i8], out: &mut [i32]) {
    let (n, bias) = (query.len(), bias::<S>(query));
    for (at, out) in out.iter_mut().enumerate() {
        // SAFETY: the caller's promise; the prefetch reads nothing.
        *out = unsafe {
            let row = rows.add(at * n);
            for line in (0..n).step_by(64) {
                S::prefetch(row.cast::<u8>().wrapping_add(AHEAD + line));
            }
            dot_i8::<S>(row, query.as_ptr(), n, bias)
        };
    }
}

/// Exact dot product of unsigned and signed bytes.
///
/// # Safety
/// `S` must be available; both are as long, a multiple of 64.
#[inline(always)]
pub(super) unsafe fn dot_u8<S: Simd>(row: &[u8], query: &[i8]) -> i32 {
    // SAFETY: 64 is a multiple of BYTES; the rest is the caller's promise.
    unsafe {
        let (n, row, query) = (query.len(), row.as_ptr(), query.as_ptr());
        let mut acc = [S::zero_i(); 2];
        let mut at = 0;
        while at + 2 * S::BYTES <= n {
            acc[0] = S::dot_u8(acc[0], S::load_i(row.add(at)), query.add(at));
            let next = at + S::BYTES;
            acc[1] = S::dot_u8(acc[1], S::load_i(row.add(next)), query.add(next));
            at += 2 * S::BYTES;
        }
        if at < n {
            acc[0] = S::dot_u8(acc[0], S::load_i(row.add(at)), query.add(at));
        }
        S::sum_i(S::add_i(acc[0], acc[1]))
    }
}

/// Exact dot product of halves of bytes and signed bytes.
///
/// # Safety
/// `S` must be available; `row` is a multiple of 64 long, `query` twice as long.
#[inline(always)]
pub(super) unsafe fn dot_u4<S: Simd>(row: &[u8], query: &[i8]) -> i32 {
    // SAFETY: as above.
    unsafe {
        let (mut low, mut high) = (S::zero_i(), S::zero_i());
        for line in (0..row.len()).step_by(64) {
            for at in (0..64).step_by(S::BYTES) {
                let both = S::load_i(row.as_ptr().add(line + at));
                let query = query.as_ptr().add(2 * line + at);
                low = S::dot_u8(low, S::low_halves(both), query);
                high = S::dot_u8(high, S::high_halves(both), query.add(64));
            }
        }
        S::sum_i(S::add_i(low, high))
    }
}

/// Products with the middles of levels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Levels {
    /// That of the numbers whose levels they are.
    pub own: f32,
    /// That of the centre.
    pub centre: f32,
}

/// Levels of numbers, and the products with the middles of these levels. The compiler makes
/// vectors of it; sums are kept in sixteen lanes so that it may.
#[inline(always)]
pub(super) fn levels(x: &[f32], centre: &[f32], by: f32, half: i32, out: &mut [u8]) -> Levels {
    let (mut own, mut centred) = ([0.0_f32; 16], [0.0_f32; 16]);
    let (least, most) = (-half as f32, (half - 1) as f32);
    let rows = x.chunks_exact(16).zip(centre.chunks_exact(16));
    for ((x, centre), out) in rows.zip(out.chunks_exact_mut(16)) {
        for k in 0..16 {
            let level = (x[k] * by).floor().clamp(least, most);
            out[k] = level as i32 as u8;
            own[k] += x[k] * (level + 0.5);
            centred[k] += centre[k] * (level + 0.5);
        }
    }
    Levels { own: own.iter().sum(), centre: centred.iter().sum() }
}

/// Numbers as bytes of one unit, which it returns.
#[inline(always)]
pub(super) fn bytes(x: &[f32], out: &mut [i8]) -> f32 {
    let mut most = [f32::MIN_POSITIVE; 16];
    for x in x.chunks_exact(16) {
        for (most, x) in most.iter_mut().zip(x) {
            *most = if x.abs() > *most { x.abs() } else { *most };
        }
    }
    let most = most.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let by = 127.0 / most;
    for (x, out) in x.chunks_exact(16).zip(out.chunks_exact_mut(16)) {
        for (x, out) in x.iter().zip(out) {
            // Of a sum with 1.5 times 2^23 the last bits are the whole number.
            *out = (x * by + 12_582_912.0).to_bits() as i8;
        }
    }
    most / 127.0
}

/// The place of the greatest of `dots[k] * units[k] * by - halves[k]`; the compiler makes vectors of
/// it. As long as each other.
#[inline(always)]
pub(super) fn closest(dots: &[i32], units: &[f32], halves: &[f32], by: f32) -> u32 {
    let (mut most, mut at) = ([f32::NEG_INFINITY; 16], [0_u32; 16]);
    let whole = dots.len() / 16 * 16;
    let rows = dots[..whole].chunks_exact(16).zip(units.chunks_exact(16));
    for ((step, (dots, units)), halves) in (0_u32..).zip(rows).zip(halves.chunks_exact(16)) {
        for k in 0..16 {
            let score = (dots[k] as f32 * by).mul_add(units[k], -halves[k]);
            let better = score > most[k];
            most[k] = if better { score } else { most[k] };
            at[k] = if better { step } else { at[k] };
        }
    }
    let mut best = (f32::NEG_INFINITY, 0);
    for k in 0..16 {
        if most[k] > best.0 {
            best = (most[k], 16 * at[k] + k as u32);
        }
    }
    for k in whole..dots.len() {
        let score = (dots[k] as f32 * by).mul_add(units[k], -halves[k]);
        if score > best.0 {
            best = (score, k as u32);
        }
    }
    best.1
}
