//! Comparisons of vectors, one family per [`Isa`].
//!
//! `generic` holds each loop once, over the `Simd` trait; the folders per architecture hold the
//! trait's instances and the functions compiled for their features. [`oracle`] says what all of
//! them must give.

mod codes;
mod generic;
mod isa;
pub mod oracle;
mod parts;
mod portable;
mod simd;
#[cfg(test)]
mod tests;
mod tile;
mod turn;

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::fmt;
use std::sync::OnceLock;

pub(crate) use codes::table;
pub use codes::{BLOCK, CodeScan, Found, TABLE_BYTES};
pub use generic::Levels;
pub use isa::Isa;
pub use parts::{Parts, SIX_BLOCK, SixScan};
pub use turn::Offset;

/// What two vectors are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Their dot product.
    Dot,
    /// Minus their squared distance.
    L2,
}

type Compare<T> = unsafe fn(*const T, *const f32, usize) -> f32;
type Tile<T, R> = unsafe fn(&[T], &[T], usize, &mut [R]);
type Round = unsafe fn(&mut [f32], &[f32], (usize, usize), bool);
type LevelsOf = unsafe fn(&[f32], &[f32], f32, i32, &mut [u8]) -> Levels;
type Scan<T> = unsafe fn(*const T, *const f32, usize, &mut [f32]);

/// Functions that are compiled for one level's features.
struct Compiled {
    compare_f32: [Compare<f32>; 2],
    compare_bf16: [Compare<u16>; 2],
    scan_f32: [Scan<f32>; 2],
    scan_bf16: [Scan<u16>; 2],
    dot_i8: unsafe fn(&[i8], &[i8]) -> i32,
    scan_i8: unsafe fn(*const i8, &[i8], &mut [i32]),
    tile: Tile<f32, f32>,
    tile_i8: Tile<i8, i32>,
    closest: unsafe fn(&[i32], &[f32], &[f32], f32) -> u32,
    round: Round,
    offset: unsafe fn(&[f32], &[f32], &mut [u32]) -> Offset,
    codes: unsafe fn(&CodeScan<'_>, &mut Found),
    dot_u8: unsafe fn(&[u8], &[i8]) -> i32,
    dot_u4: unsafe fn(&[u8], &[i8]) -> i32,
    bytes: unsafe fn(&[f32], &mut [i8]) -> f32,
    tables: unsafe fn(&[f32], &mut [u8]) -> (f32, f32),
    levels: LevelsOf,
    nearest: unsafe fn(&Parts<'_>, &mut [u8]),
    products: unsafe fn(&Parts<'_>, &mut [f32]),
    bounds: unsafe fn(&[f32]) -> (f32, f32),
    raise: unsafe fn(&[f32], f32, f32, f32, &mut [u8]),
    six: unsafe fn(&SixScan<'_>, &mut Found),
}

/// Compiles the generic loops for a [`simd::Simd`] instance, in the module where it stands.
macro_rules! compiled {
    ($simd:ty, $codes:path, $tables:path, $six:path $(, $features:literal)?) => {
        use $crate::kernels::generic::{self, Column, Full, Half, Levels};
        use $crate::kernels::tile;
        use $crate::kernels::turn::Offset;

        $(#[target_feature(enable = $features)])?
        unsafe fn compare<C: Column, const L2: bool>(
            row: *const C::T,
            query: *const f32,
            n: usize,
        ) -> f32 {
            // SAFETY: the caller's promise, and the features of this function.
            unsafe { generic::compare::<$simd, C, L2>(row, query, n) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn scan<C: Column, const L2: bool>(
            rows: *const C::T,
            query: *const f32,
            n: usize,
            out: &mut [f32],
        ) {
            // SAFETY: as above.
            unsafe { generic::scan::<$simd, C, L2>(rows, query, n, out) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn dot_i8(row: &[i8], query: &[i8]) -> i32 {
            let bias = generic::bias::<$simd>(query);
            // SAFETY: as above; the slices are as long as each other.
            unsafe { generic::dot_i8::<$simd>(row.as_ptr(), query.as_ptr(), query.len(), bias) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn scan_i8(rows: *const i8, query: &[i8], out: &mut [i32]) {
            // SAFETY: as above.
            unsafe { generic::scan_i8::<$simd>(rows, query, out) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn tile(rows: &[f32], queries: &[f32], n: usize, out: &mut [f32]) {
            // SAFETY: as above.
            unsafe { tile::tile::<$simd, tile::Floats>(rows, queries, n, out) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn tile_i8(rows: &[i8], queries: &[i8], n: usize, out: &mut [i32]) {
            // SAFETY: as above.
            unsafe { tile::tile::<$simd, tile::Bytes>(rows, queries, n, out) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn closest(dots: &[i32], units: &[f32], halves: &[f32], by: f32) -> u32 {
            generic::closest(dots, units, halves, by)
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn round(x: &mut [f32], by: &[f32], part: (usize, usize), folds: bool) {
            // SAFETY: as above.
            unsafe { $crate::kernels::turn::round::<$simd>(x, by, part, folds) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn offset(x: &[f32], centre: &[f32], words: &mut [u32]) -> Offset {
            // SAFETY: as above.
            unsafe { $crate::kernels::turn::offset::<$simd>(x, centre, words) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn dot_u8(row: &[u8], query: &[i8]) -> i32 {
            // SAFETY: as above.
            unsafe { generic::dot_u8::<$simd>(row, query) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn dot_u4(row: &[u8], query: &[i8]) -> i32 {
            // SAFETY: as above.
            unsafe { generic::dot_u4::<$simd>(row, query) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn levels(
            x: &[f32],
            centre: &[f32],
            by: f32,
            half: i32,
            out: &mut [u8],
        ) -> Levels {
            $crate::kernels::generic::levels(x, centre, by, half, out)
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn nearest(parts: &$crate::kernels::Parts<'_>, out: &mut [u8]) {
            // SAFETY: as above.
            unsafe { $crate::kernels::parts::nearest::<$simd>(parts, out) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn products(parts: &$crate::kernels::Parts<'_>, out: &mut [f32]) {
            // SAFETY: as above.
            unsafe { $crate::kernels::parts::products::<$simd>(parts, out) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn bounds(x: &[f32]) -> (f32, f32) {
            $crate::kernels::parts::bounds(x)
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn raise(x: &[f32], least: f32, by: f32, most: f32, out: &mut [u8]) {
            $crate::kernels::parts::raise(x, least, by, most, out)
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn bytes(x: &[f32], out: &mut [i8]) -> f32 {
            generic::bytes(x, out)
        }

        /// This level's functions; to be called only where it is available.
        pub(in $crate::kernels) const COMPILED: $crate::kernels::Compiled =
            $crate::kernels::Compiled {
                compare_f32: [compare::<Full, false>, compare::<Full, true>],
                compare_bf16: [compare::<Half, false>, compare::<Half, true>],
                scan_f32: [scan::<Full, false>, scan::<Full, true>],
                scan_bf16: [scan::<Half, false>, scan::<Half, true>],
                dot_i8,
                scan_i8,
                tile,
                tile_i8,
                closest,
                round,
                offset,
                codes: $codes,
                dot_u8,
                dot_u4,
                bytes,
                tables: $tables,
                nearest,
                products,
                bounds,
                raise,
                six: $six,
                levels,
            };
    };
}
use compiled;

/// The kernels of one level, which this processor has.
///
/// All slices are padded rows, as [`Rows`](crate::Rows) keeps them: their length is a multiple of
/// 64 bytes, and what lies beyond the dimension is 0.
#[derive(Clone, Copy)]
pub struct Kernels {
    isa: Isa,
    compiled: &'static Compiled,
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kernels").field(&self.isa).finish()
    }
}

impl Kernels {
    /// Those of the fastest level that this processor has.
    #[must_use]
    pub fn best() -> Self {
        static BEST: OnceLock<Kernels> = OnceLock::new();
        *BEST.get_or_init(|| Isa::available().find_map(Self::of).expect("portable is available"))
    }

    /// Those of `isa`, if this processor has it.
    #[must_use]
    pub fn of(isa: Isa) -> Option<Self> {
        let compiled = match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &x86::avx512::COMPILED,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &x86::avx2::COMPILED,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => &aarch64::COMPILED,
            Isa::Portable => &portable::COMPILED,
            #[allow(unreachable_patterns, reason = "the levels of other architectures")]
            _ => return None,
        };
        isa.is_available().then_some(Self { isa, compiled })
    }

    /// Which level it is.
    #[must_use]
    pub const fn isa(&self) -> Isa {
        self.isa
    }

    /// `measure` of two padded rows.
    ///
    /// # Panics
    /// When the slices differ in length, or it is no multiple of 16.
    #[must_use]
    #[inline]
    pub fn compare_f32(&self, measure: Measure, row: &[f32], query: &[f32]) -> f32 {
        check(row.len(), query.len(), 16);
        // SAFETY: the level is available; both slices have as many components, a multiple of 16.
        unsafe {
            self.compiled.compare_f32[measure as usize](row.as_ptr(), query.as_ptr(), query.len())
        }
    }

    /// The same of a row of bfloat16 and a query whose padding beyond the row's does not count.
    ///
    /// # Panics
    /// When `query` is shorter than `row`, or the row's length is no multiple of 16.
    #[must_use]
    #[inline]
    pub fn compare_bf16(&self, measure: Measure, row: &[u16], query: &[f32]) -> f32 {
        let query = &query[..row.len()];
        check(row.len(), query.len(), 16);
        // SAFETY: as above.
        unsafe {
            self.compiled.compare_bf16[measure as usize](row.as_ptr(), query.as_ptr(), query.len())
        }
    }

    /// Exact dot product of two padded rows of bytes.
    ///
    /// # Panics
    /// When the slices differ in length, or it is no multiple of 64.
    #[must_use]
    #[inline]
    pub fn dot_i8(&self, row: &[i8], query: &[i8]) -> i32 {
        check(row.len(), query.len(), 64);
        // SAFETY: the level is available; both slices have as many components, a multiple of 64.
        unsafe { (self.compiled.dot_i8)(row, query) }
    }

    /// `measure` of each of `out.len()` rows with the query.
    ///
    /// # Panics
    /// When `rows` does not hold as many rows as `out` has places, of the query's length.
    pub fn scan_f32(&self, measure: Measure, rows: &[f32], query: &[f32], out: &mut [f32]) {
        check(rows.len(), query.len() * out.len(), 16);
        let scan = self.compiled.scan_f32[measure as usize];
        // SAFETY: the level is available; `rows` holds all rows.
        unsafe { scan(rows.as_ptr(), query.as_ptr(), query.len(), out) }
    }

    /// The same of rows of bfloat16, each of the query's length.
    ///
    /// # Panics
    /// As [`Self::scan_f32`].
    pub fn scan_bf16(&self, measure: Measure, rows: &[u16], query: &[f32], out: &mut [f32]) {
        check(rows.len(), query.len() * out.len(), 16);
        let scan = self.compiled.scan_bf16[measure as usize];
        // SAFETY: the level is available; `rows` holds all rows.
        unsafe { scan(rows.as_ptr(), query.as_ptr(), query.len(), out) }
    }

    /// Exact dot products of each of `out.len()` rows with the query.
    ///
    /// # Panics
    /// As [`Self::scan_f32`].
    pub fn scan_i8(&self, rows: &[i8], query: &[i8], out: &mut [i32]) {
        check(rows.len(), query.len() * out.len(), 64);
        // SAFETY: the level is available; `rows` holds all rows.
        unsafe { (self.compiled.scan_i8)(rows.as_ptr(), query, out) }
    }

    /// Dot products of every query with every row of `n` components: that of query `q` and row `r`
    /// goes to `out[q * R + r]`, where `R` is how many rows there are.
    ///
    /// # Panics
    /// When `n` is no multiple of 16 or above 0, `rows` or `queries` do not hold whole rows, or
    /// `out` does not have a place for each pair.
    pub fn tile_f32(&self, rows: &[f32], queries: &[f32], n: usize, out: &mut [f32]) {
        check_tile((rows.len(), queries.len(), out.len()), n, 16);
        // SAFETY: the level is available; lengths as asserted.
        unsafe { (self.compiled.tile)(rows, queries, n, out) }
    }

    /// Exact dot products of bytes, in the same order.
    ///
    /// # Panics
    /// As [`Self::tile_f32`], where `n` is a multiple of 64.
    pub fn tile_i8(&self, rows: &[i8], queries: &[i8], n: usize, out: &mut [i32]) {
        check_tile((rows.len(), queries.len(), out.len()), n, 64);
        // SAFETY: the level is available; lengths as asserted.
        unsafe { (self.compiled.tile_i8)(rows, queries, n, out) }
    }

    /// The place of the greatest of `dots[k] * units[k] * by - halves[k]`; 0 when none is above minus
    /// infinity. Of equal ones any may be told.
    ///
    /// # Panics
    /// When there are not as many of each.
    #[must_use]
    pub fn closest(&self, dots: &[i32], units: &[f32], halves: &[f32], by: f32) -> u32 {
        assert!(dots.len() == units.len() && dots.len() == halves.len(), "as many of each");
        // SAFETY: the level is available.
        unsafe { (self.compiled.closest)(dots, units, halves, by) }
    }

    /// One round of a rotation of `x`: multiplies by `by`, makes the unscaled Hadamard transform
    /// of the `power` numbers from `from` on and, with `folds`, of the two halves of `x` their sum
    /// and their difference.
    ///
    /// # Panics
    /// When `x` is no multiple of 64 long, `by` has another length, `power` is no power of two of
    /// at least 16, or does not fit.
    pub fn round(&self, x: &mut [f32], by: &[f32], (from, power): (usize, usize), folds: bool) {
        assert!(x.len().is_multiple_of(64) && x.len() == by.len(), "{} numbers", x.len());
        assert!(power.is_power_of_two() && power >= 16 && from + power <= x.len());
        // SAFETY: the level is available; lengths as asserted.
        unsafe { (self.compiled.round)(x, by, (from, power), folds) }
    }

    /// Which components of `x` are above those of `centre`, 32 a word, the first in the lowest bit;
    /// returns what their differences come to.
    ///
    /// # Panics
    /// When `words` does not have one place for each 32 of `x`, or `centre` another length.
    pub fn offset(&self, x: &[f32], centre: &[f32], words: &mut [u32]) -> Offset {
        assert_eq!(x.len(), 32 * words.len(), "32 signs a word");
        assert_eq!(x.len(), centre.len(), "components of the centre");
        // SAFETY: the level is available; lengths as asserted.
        unsafe { (self.compiled.offset)(x, centre, words) }
    }

    /// Exact dot product of unsigned bytes and signed ones.
    ///
    /// # Panics
    /// When the slices differ in length, or it is no multiple of 64.
    #[must_use]
    #[inline]
    pub fn dot_u8(&self, row: &[u8], query: &[i8]) -> i32 {
        check(row.len(), query.len(), 64);
        // SAFETY: the level is available; both slices have as many components, a multiple of 64.
        unsafe { (self.compiled.dot_u8)(row, query) }
    }

    /// Exact dot product of unsigned halves of bytes and signed bytes: of each 64 bytes of `row`
    /// the low halves are components 0 to 63, the high ones 64 to 127.
    ///
    /// # Panics
    /// When `query` is not twice as long as `row`, or that no multiple of 64.
    #[must_use]
    #[inline]
    pub fn dot_u4(&self, row: &[u8], query: &[i8]) -> i32 {
        check(2 * row.len(), query.len(), 128);
        // SAFETY: the level is available; `query` has two components for each byte of `row`.
        unsafe { (self.compiled.dot_u4)(row, query) }
    }

    /// Writes the low eight bits of the whole part, towards minus infinity, of each number times
    /// `by`, held within `-half..half`; returns the products of the numbers and of `centre` with
    /// the middles of the levels so chosen.
    ///
    /// # Panics
    /// When `out` or `centre` is not as long as `x`, or that no multiple of 16.
    pub fn levels(&self, x: &[f32], centre: &[f32], by: f32, half: i32, out: &mut [u8]) -> Levels {
        check(x.len(), out.len(), 16);
        check(x.len(), centre.len(), 16);
        // SAFETY: the level is available.
        unsafe { (self.compiled.levels)(x, centre, by, half, out) }
    }

    /// Writes numbers as bytes of one unit, which it returns: rounded to the nearest, halves to
    /// from 0, the largest as 127 or -127.
    ///
    /// # Panics
    /// When `out` is not as long as `x`, or that no multiple of 16.
    pub fn bytes(&self, x: &[f32], out: &mut [i8]) -> f32 {
        check(x.len(), out.len(), 16);
        // SAFETY: the level is available.
        unsafe { (self.compiled.bytes)(x, out) }
    }

    /// Writes the tables that [`CodeScan`] looks sums up in; returns its [`CodeScan::unit`].
    ///
    /// # Panics
    /// When `query` is no multiple of 32 long, or `tables` not [`TABLE_BYTES`] for each 32.
    pub fn tables(&self, query: &[f32], tables: &mut [u8]) -> (f32, f32) {
        check(query.len(), query.len(), 32);
        assert_eq!(tables.len(), query.len() / 32 * TABLE_BYTES, "tables of all words");
        // SAFETY: the level is available.
        unsafe { (self.compiled.tables)(query, tables) }
    }

    /// Finds the codes whose scores exceed the floor.
    ///
    /// # Panics
    /// When the scan's parts do not fit each other, or `found` has too little room.
    pub fn scan_codes(&self, scan: &CodeScan<'_>, found: &mut Found) {
        scan.check(found);
        found.len = 0;
        // SAFETY: the level is available; lengths as checked.
        unsafe { (self.compiled.codes)(scan, found) }
    }

    /// Writes the number of the entry that is nearest to each vector's part into `out`; the first
    /// one among equals.
    ///
    /// # Panics
    /// When the parts do not fit each other, or there are not as many vectors as `out` has places.
    pub fn nearest(&self, parts: &Parts<'_>, out: &mut [u8]) {
        parts.check(out.len());
        // SAFETY: the level is available; lengths as checked.
        unsafe { (self.compiled.nearest)(parts, out) }
    }

    /// Writes the dot product of the first vector's part with every entry into `out`.
    ///
    /// # Panics
    /// When the parts do not fit each other, or `out` does not have a place for each entry.
    pub fn products(&self, parts: &Parts<'_>, out: &mut [f32]) {
        parts.check(1);
        assert_eq!(out.len(), parts.halves.len(), "a place an entry");
        // SAFETY: the level is available; lengths as checked.
        unsafe { (self.compiled.products)(parts, out) }
    }

    /// The least and the greatest of some numbers.
    ///
    /// # Panics
    /// When they are no multiple of 16.
    #[must_use]
    pub fn bounds(&self, x: &[f32]) -> (f32, f32) {
        check(x.len(), x.len(), 16);
        // SAFETY: the level is available.
        unsafe { (self.compiled.bounds)(x) }
    }

    /// Writes numbers as bytes from 0 to `most`: what each is above `least`, times `by`, rounded.
    ///
    /// # Panics
    /// When `out` is not as long as `x`, or that no multiple of 16.
    pub fn raise(&self, x: &[f32], (least, by): (f32, f32), most: u8, out: &mut [u8]) {
        check(x.len(), out.len(), 16);
        // SAFETY: the level is available.
        unsafe { (self.compiled.raise)(x, least, by, f32::from(most), out) }
    }

    /// Finds the codes of six bits a part whose scores exceed the floor.
    ///
    /// # Panics
    /// When the scan's parts do not fit each other, or `found` has too little room.
    pub fn scan_six(&self, scan: &SixScan<'_>, found: &mut Found) {
        scan.check(found);
        found.len = 0;
        // SAFETY: the level is available; lengths as checked.
        unsafe { (self.compiled.six)(scan, found) }
    }
}

/// Asks for the cache line at `ptr`, where the processor can be asked.
#[inline(always)]
pub(crate) fn prefetch<T>(ptr: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that could fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ptr.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = ptr;
}

/// Lengths of rows, queries and products that a tile can rely on.
fn check_tile((rows, queries, out): (usize, usize, usize), n: usize, multiple: usize) {
    assert!(n > 0 && n.is_multiple_of(multiple), "{n} components are no padded row");
    assert!(rows.is_multiple_of(n) && queries.is_multiple_of(n), "whole rows");
    assert_eq!(out, rows / n * (queries / n), "a place for each pair");
}

#[inline]
fn check(rows: usize, query: usize, multiple: usize) {
    assert!(
        rows == query && rows.is_multiple_of(multiple),
        "{rows} and {query} are not padded rows"
    );
}
