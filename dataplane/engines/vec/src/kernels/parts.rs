//! Nearest entries of product quantizers, and scans of codes of six bits a part.

use super::codes::Found;
use super::simd::Simd;

/// One part of some vectors, and the entries that it may be told by.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Vectors, one after the other.
    pub rows: &'a [f32],
    /// Numbers from one vector's first to the next one's.
    pub stride: usize,
    /// The part's first component.
    pub from: usize,
    /// How many components it has.
    pub used: usize,
    /// For each component one number of every entry.
    pub book: &'a [f32],
    /// For each entry half its squared length, with a minus.
    pub halves: &'a [f32],
}

impl Parts<'_> {
    /// Lengths that a kernel can rely on.
    pub(super) fn check(&self, count: usize) {
        let entries = self.halves.len();
        assert!(entries.is_multiple_of(16) && entries > 0 && entries <= 256, "{entries} entries");
        assert_eq!(self.book.len(), self.used * entries, "numbers of the entries");
        let last = count.saturating_sub(1) * self.stride + self.from + self.used;
        assert!(self.from + self.used <= self.stride && last <= self.rows.len() || count == 0);
    }
}

/// Vectors that share what is loaded of the entries.
const TOGETHER: usize = 2;

/// Writes into `out` the number of the entry that is nearest to each vector's part; the first one
/// among equals.
///
/// # Safety
/// `S` must be available, and [`Parts::check`] hold for as many vectors as `out` has places.
#[inline(always)]
pub(super) unsafe fn nearest<S: Simd>(parts: &Parts<'_>, out: &mut [u8]) {
    let mut at = 0;
    // SAFETY: vectors from `at` on are there for all places of `out`.
    unsafe {
        while at + TOGETHER <= out.len() {
            let found = nearest_of::<S, TOGETHER>(parts, at);
            out[at..at + TOGETHER].copy_from_slice(&found);
            at += TOGETHER;
        }
        while at < out.len() {
            out[at] = nearest_of::<S, 1>(parts, at)[0];
            at += 1;
        }
    }
}

/// # Safety
/// As [`nearest`], for `N` vectors from `first` on.
#[inline(always)]
unsafe fn nearest_of<S: Simd, const N: usize>(parts: &Parts<'_>, first: usize) -> [u8; N] {
    match parts.used {
        // As many as are common: with a number that is known the components stay in registers.
        // SAFETY: the caller's promise.
        4 => unsafe { nearest_known::<S, N, 4>(parts, first) },
        // SAFETY: the caller's promise.
        6 => unsafe { nearest_known::<S, N, 6>(parts, first) },
        // SAFETY: the caller's promise.
        8 => unsafe { nearest_known::<S, N, 8>(parts, first) },
        // SAFETY: the caller's promise.
        _ => unsafe { nearest_any::<S, N>(parts, first) },
    }
}

/// [`nearest_of`] parts of `W` components.
///
/// # Safety
/// As [`nearest_of`]; `W` is [`Parts::used`].
#[inline(always)]
unsafe fn nearest_known<S: Simd, const N: usize, const W: usize>(
    parts: &Parts<'_>,
    first: usize,
) -> [u8; N] {
    let entries = parts.halves.len();
    // SAFETY: entries are a multiple of LANES; `check` says that rows and entries are there.
    unsafe {
        let mut own = [[S::zero(); W]; N];
        for (k, own) in own.iter_mut().enumerate() {
            let row = parts.rows.as_ptr().add((first + k) * parts.stride + parts.from);
            for (k, own) in own.iter_mut().enumerate() {
                *own = S::splat(*row.add(k));
            }
        }
        let (mut best, mut at) = ([S::splat(f32::NEG_INFINITY); N], [S::zero(); N]);
        for entry in (0..entries).step_by(S::LANES) {
            let mut score = [S::load(parts.halves.as_ptr().add(entry)); N];
            for k in 0..W {
                let numbers = S::load(parts.book.as_ptr().add(k * entries + entry));
                for (score, own) in score.iter_mut().zip(&own) {
                    *score = S::fma(*score, numbers, own[k]);
                }
            }
            improve::<S, N>(&score, entry, &mut best, &mut at);
        }
        ends::<S, N>(&best, &at)
    }
}

/// [`nearest_of`] parts of any number of components.
///
/// # Safety
/// As [`nearest_of`].
#[inline(always)]
unsafe fn nearest_any<S: Simd, const N: usize>(parts: &Parts<'_>, first: usize) -> [u8; N] {
    let entries = parts.halves.len();
    // SAFETY: as [`nearest_known`].
    unsafe {
        let rows = parts.rows.as_ptr().add(first * parts.stride + parts.from);
        let (mut best, mut at) = ([S::splat(f32::NEG_INFINITY); N], [S::zero(); N]);
        for entry in (0..entries).step_by(S::LANES) {
            let mut score = [S::load(parts.halves.as_ptr().add(entry)); N];
            for k in 0..parts.used {
                let numbers = S::load(parts.book.as_ptr().add(k * entries + entry));
                for (row, score) in score.iter_mut().enumerate() {
                    let own = S::splat(*rows.add(row * parts.stride + k));
                    *score = S::fma(*score, numbers, own);
                }
            }
            improve::<S, N>(&score, entry, &mut best, &mut at);
        }
        ends::<S, N>(&best, &at)
    }
}

/// Keeps for each lane the best score so far, and the entry that its register began with.
///
/// # Safety
/// `S` must be available.
#[inline(always)]
unsafe fn improve<S: Simd, const N: usize>(
    score: &[S::F; N],
    entry: usize,
    best: &mut [S::F; N],
    at: &mut [S::F; N],
) {
    // SAFETY: the level is available.
    unsafe {
        let entry = S::splat(entry as f32);
        for k in 0..N {
            at[k] = S::above(score[k], best[k], entry, at[k]);
            best[k] = S::above(score[k], best[k], score[k], best[k]);
        }
    }
}

/// The best entry of all lanes, for each vector.
///
/// # Safety
/// `S` must be available.
#[inline(always)]
unsafe fn ends<S: Simd, const N: usize>(best: &[S::F; N], at: &[S::F; N]) -> [u8; N] {
    let mut out = [0; N];
    for k in 0..N {
        // SAFETY: the level is available.
        out[k] = unsafe { S::argmax(best[k], at[k]) } as u8;
    }
    out
}

/// Writes into `out` the dot product of the first vector's part with every entry.
///
/// # Safety
/// `S` must be available, and [`Parts::check`] hold for one vector; `out` has a place an entry.
#[inline(always)]
pub(super) unsafe fn products<S: Simd>(parts: &Parts<'_>, out: &mut [f32]) {
    let entries = parts.halves.len();
    // SAFETY: entries are a multiple of LANES; `check` says that row and entries are there.
    unsafe {
        let row = parts.rows.as_ptr().add(parts.from);
        for entry in (0..entries).step_by(S::LANES) {
            let mut product = S::zero();
            for k in 0..parts.used {
                let numbers = S::load(parts.book.as_ptr().add(k * entries + entry));
                product = S::fma(product, numbers, S::splat(*row.add(k)));
            }
            S::store(out.as_mut_ptr().add(entry), product);
        }
    }
}

/// The least and the greatest of some numbers, a multiple of 16.
#[inline(always)]
pub(super) fn bounds(x: &[f32]) -> (f32, f32) {
    let (mut least, mut most) = ([f32::INFINITY; 16], [f32::NEG_INFINITY; 16]);
    for x in x.chunks_exact(16) {
        for k in 0..16 {
            least[k] = if x[k] < least[k] { x[k] } else { least[k] };
            most[k] = if x[k] > most[k] { x[k] } else { most[k] };
        }
    }
    for half in [8, 4, 2, 1] {
        for k in 0..half {
            least[k] = if least[k + half] < least[k] { least[k + half] } else { least[k] };
            most[k] = if most[k + half] > most[k] { most[k + half] } else { most[k] };
        }
    }
    (least[0], most[0])
}

/// Numbers, a multiple of 16, as bytes from 0 to `most`: what each is above `least`, times `by`,
/// rounded.
#[inline(always)]
pub(super) fn raise(x: &[f32], least: f32, by: f32, most: f32, out: &mut [u8]) {
    for (x, out) in x.chunks_exact(16).zip(out.chunks_exact_mut(16)) {
        for (x, out) in x.iter().zip(out) {
            let value = (x - least) * by + 0.5;
            // A product that is no number, of a spread that is next to none, is the least.
            *out = if value < most { value } else { most } as i32 as u8;
        }
    }
}

/// Codes of a block of [`SixScan`].
pub const SIX_BLOCK: usize = 64;
/// Bytes of a block for each four parts.
const GROUP: usize = 192;

/// A scan of codes of six bits a part.
#[derive(Clone, Copy, Debug)]
pub struct SixScan<'a> {
    /// Fours of parts.
    pub groups: usize,
    /// Blocks of 64 codes: three lines of 64 bytes for every four parts. Line `k` has part `k` in
    /// its low six bits, and in its upper two bits `2k` and `2k + 1` of the fourth part.
    pub lines: &'a [u8],
    /// For each part 64 bytes of at most 127.
    pub tables: &'a [u8],
    /// A looked-up sum times the first plus the second is the score.
    pub unit: (f32, f32),
    /// Scores must exceed this.
    pub floor: f32,
}

impl SixScan<'_> {
    /// Blocks that the lines make.
    pub(super) fn blocks(&self) -> usize {
        self.lines.len() / (GROUP * self.groups)
    }

    /// Lengths that a kernel can rely on.
    pub(super) fn check(&self, found: &Found) {
        assert!(self.groups > 0 && self.groups <= 1024, "{} groups of parts", self.groups);
        assert!(self.lines.len().is_multiple_of(GROUP * self.groups), "whole blocks");
        assert_eq!(self.tables.len(), 4 * SIX_BLOCK * self.groups, "tables of all parts");
        let room = self.blocks() * SIX_BLOCK + 16;
        assert!(found.at.len() >= room && found.score.len() >= room, "room for all codes");
    }
}

/// The scan, code by code.
///
/// # Safety
/// None beyond [`SixScan::check`]; unsafe as all levels' functions are.
pub(super) unsafe fn six_portable(scan: &SixScan<'_>, found: &mut Found) {
    for (block, lines) in scan.lines.chunks_exact(GROUP * scan.groups).enumerate() {
        let mut sums = [0_u32; SIX_BLOCK];
        for (lines, tables) in lines.chunks_exact(GROUP).zip(scan.tables.chunks_exact(256)) {
            for (place, sum) in sums.iter_mut().enumerate() {
                let [a, b, c] = [0, 1, 2].map(|k| lines[SIX_BLOCK * k + place]);
                let last = a >> 6 | b >> 6 << 2 | c >> 6 << 4;
                for (k, code) in [a & 63, b & 63, c & 63, last].into_iter().enumerate() {
                    *sum += u32::from(tables[SIX_BLOCK * k + usize::from(code)]);
                }
            }
        }
        for (place, &sum) in sums.iter().enumerate() {
            let score = (sum as f32).mul_add(scan.unit.0, scan.unit.1);
            found.offer((block * SIX_BLOCK + place) as u32, score, scan.floor);
        }
    }
}
