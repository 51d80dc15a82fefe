//! Dot products of many queries with many rows, a tile of both at a time.

use super::generic::bias;
use super::simd::Simd;

/// Rows of a tile.
pub(super) const TILE_ROWS: usize = 4;
/// Queries of a tile; with the rows' they fill the registers of AVX-512.
const TILE_QUERIES: usize = 6;
/// Rows that stay in the first cache, beside the queries of a tile, while all queries go over them.
const BLOCK_ROWS: usize = 12;
/// Queries that are gone over together: whole tiles.
const QUERIES: usize = 8 * TILE_QUERIES;

/// Components of one type, and how their products are summed up.
pub(super) trait Kind<S: Simd>: Copy {
    /// A component.
    type In: Copy;
    /// Sums under way.
    type Acc: Copy;
    /// A sum.
    type Out: Copy + Default + std::ops::Add<Output = Self::Out>;
    /// Components of a step; divides what a row is padded to.
    const STEP: usize;
    /// All 0.
    ///
    /// # Safety
    /// `S` must be available.
    unsafe fn zero() -> Self::Acc;
    /// `acc` and the products of [`Self::STEP`] components.
    ///
    /// # Safety
    /// As [`Simd::load`], at both pointers.
    unsafe fn step(acc: Self::Acc, row: *const Self::In, query: *const Self::In) -> Self::Acc;
    /// The sums of four, less `bias` each.
    ///
    /// # Safety
    /// `S` must be available.
    unsafe fn sums(four: [Self::Acc; TILE_ROWS], bias: Self::Out) -> [Self::Out; TILE_ROWS];
    /// What [`Self::step`] adds too much of a query.
    fn bias(query: &[Self::In]) -> Self::Out;
}

/// Numbers of 32 bits.
#[derive(Clone, Copy)]
pub(super) struct Floats;

impl<S: Simd> Kind<S> for Floats {
    type In = f32;
    type Acc = S::F;
    type Out = f32;
    const STEP: usize = S::LANES;
    #[inline(always)]
    unsafe fn zero() -> S::F {
        // SAFETY: the caller's promise.
        unsafe { S::zero() }
    }
    #[inline(always)]
    unsafe fn step(acc: S::F, row: *const f32, query: *const f32) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { S::fma(acc, S::load(row), S::load(query)) }
    }
    #[inline(always)]
    unsafe fn sums(four: [S::F; TILE_ROWS], _: f32) -> [f32; TILE_ROWS] {
        // SAFETY: the caller's promise.
        unsafe { S::sums(four) }
    }
    #[inline(always)]
    fn bias(_: &[f32]) -> f32 {
        0.0
    }
}

/// Signed bytes.
#[derive(Clone, Copy)]
pub(super) struct Bytes;

impl<S: Simd> Kind<S> for Bytes {
    type In = i8;
    type Acc = S::I;
    type Out = i32;
    const STEP: usize = S::BYTES;
    #[inline(always)]
    unsafe fn zero() -> S::I {
        // SAFETY: the caller's promise.
        unsafe { S::zero_i() }
    }
    #[inline(always)]
    unsafe fn step(acc: S::I, row: *const i8, query: *const i8) -> S::I {
        // SAFETY: the caller's promise.
        unsafe { S::dot_i8(acc, row, query) }
    }
    #[inline(always)]
    unsafe fn sums(four: [S::I; TILE_ROWS], bias: i32) -> [i32; TILE_ROWS] {
        // SAFETY: the caller's promise.
        let mut sums = unsafe { S::sums_i(four) };
        for sum in &mut sums {
            *sum = sum.wrapping_sub(bias);
        }
        sums
    }
    #[inline(always)]
    fn bias(query: &[i8]) -> i32 {
        bias::<S>(query)
    }
}

/// Dot products of every query with every row: `out[q * rows + r]`.
///
/// # Safety
/// `S` must be available; `rows` and `queries` are whole rows of `n` components, a multiple of what
/// a row is padded to; `out` has a place for each pair.
#[inline(always)]
pub(super) unsafe fn tile<S: Simd, K: Kind<S>>(
    rows: &[K::In],
    queries: &[K::In],
    n: usize,
    out: &mut [K::Out],
) {
    let count = rows.len() / n;
    if count == 0 {
        return;
    }
    let mut biases = [K::Out::default(); QUERIES];
    for (queries, out) in queries.chunks(QUERIES * n).zip(out.chunks_mut(QUERIES * count)) {
        let asked = queries.len() / n;
        for (bias, query) in biases.iter_mut().zip(queries.chunks_exact(n)) {
            *bias = K::bias(query);
        }
        // Each tile asks for a share of the rows that come next.
        let tiles = asked.div_ceil(TILE_QUERIES) * (BLOCK_ROWS / TILE_ROWS);
        let share = (BLOCK_ROWS * n * size_of::<K::In>()).div_ceil(64 * tiles);
        for block in (0..count).step_by(BLOCK_ROWS) {
            let end = (block + BLOCK_ROWS).min(count);
            let mut ahead = rows.as_ptr().wrapping_add((block + BLOCK_ROWS) * n).cast::<u8>();
            for q in (0..asked).step_by(TILE_QUERIES) {
                let mut r = block;
                // SAFETY: whole tiles lie within both; what is left of rows or queries goes in
                // tiles of one.
                unsafe {
                    if q + TILE_QUERIES <= asked {
                        while r + TILE_ROWS <= end {
                            for _ in 0..share {
                                S::prefetch(ahead);
                                ahead = ahead.wrapping_add(64);
                            }
                            let (rows, queries) = (&rows[r * n..], &queries[q * n..]);
                            let out = &mut out[q * count + r..];
                            whole::<S, K, TILE_QUERIES>(rows, queries, n, &biases[q..], count, out);
                            r += TILE_ROWS;
                        }
                    }
                    rest::<S, K>(
                        rows,
                        queries,
                        n,
                        (r..end, q..asked.min(q + TILE_QUERIES)),
                        &biases,
                        out,
                    );
                }
            }
        }
    }
}

/// A tile of [`TILE_ROWS`] rows and `Q` queries, whose sums for a query lie `stride` apart.
///
/// # Safety
/// `S` must be available; rows and queries are there, and places of `out` too.
#[inline(always)]
unsafe fn whole<S: Simd, K: Kind<S>, const Q: usize>(
    rows: &[K::In],
    queries: &[K::In],
    n: usize,
    biases: &[K::Out],
    stride: usize,
    out: &mut [K::Out],
) {
    let (row, query) = (rows.as_ptr(), queries.as_ptr());
    // SAFETY: the caller's promise: `n` is a multiple of STEP.
    unsafe {
        let mut acc = [[K::zero(); TILE_ROWS]; Q];
        for at in (0..n).step_by(K::STEP) {
            for (q, acc) in acc.iter_mut().enumerate() {
                for (r, acc) in acc.iter_mut().enumerate() {
                    // Loaded once a tile: nothing is written in between.
                    *acc = K::step(*acc, row.add(r * n + at), query.add(q * n + at));
                }
            }
        }
        for (q, acc) in acc.into_iter().enumerate() {
            out[q * stride..][..TILE_ROWS].copy_from_slice(&K::sums(acc, biases[q]));
        }
    }
}

/// What no whole tiles are made of.
///
/// # Safety
/// As [`tile`], for these rows and queries.
#[inline(always)]
unsafe fn rest<S: Simd, K: Kind<S>>(
    rows: &[K::In],
    queries: &[K::In],
    n: usize,
    (some, asked): (std::ops::Range<usize>, std::ops::Range<usize>),
    biases: &[K::Out],
    out: &mut [K::Out],
) {
    let count = rows.len() / n;
    for r in some {
        for q in asked.clone() {
            // SAFETY: the caller's promise: `n` is a multiple of STEP.
            unsafe {
                let mut acc = [K::zero(); TILE_ROWS];
                let (mut at, mut lane) = (0, 0);
                while at < n {
                    let (row, query) =
                        (rows.as_ptr().add(r * n + at), queries.as_ptr().add(q * n + at));
                    acc[lane % TILE_ROWS] = K::step(acc[lane % TILE_ROWS], row, query);
                    (at, lane) = (at + K::STEP, lane + 1);
                }
                // The bias is taken off each of the four sums.
                let [first, ..] = K::sums(acc, biases[q]);
                let [_, second, third, fourth] = K::sums(acc, K::Out::default());
                out[q * count + r] = (first + second) + (third + fourth);
            }
        }
    }
}
