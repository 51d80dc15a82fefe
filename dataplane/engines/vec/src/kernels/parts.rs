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
const TOGETHER: usize = 4;

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
    let entries = parts.halves.len();
    // SAFETY: entries are a multiple of LANES; `check` says that rows and entries are there.
    unsafe {
        let rows: [*const f32; N] = std::array::from_fn(|k| {
            parts.rows.as_ptr().add((first + k) * parts.stride + parts.from)
        });
        let mut best = [S::splat(f32::NEG_INFINITY); N];
        let mut at = [S::zero(); N];
        for entry in (0..entries).step_by(S::LANES) {
            let mut score = [S::load(parts.halves.as_ptr().add(entry)); N];
            for k in 0..parts.used {
                let numbers = S::load(parts.book.as_ptr().add(k * entries + entry));
                for (score, row) in score.iter_mut().zip(rows) {
                    *score = S::fma(*score, numbers, S::splat(*row.add(k)));
                }
            }
            let entry = S::splat(entry as f32);
            for k in 0..N {
                at[k] = S::above(score[k], best[k], entry, at[k]);
                best[k] = S::above(score[k], best[k], score[k], best[k]);
            }
        }
        std::array::from_fn(|k| S::argmax(best[k], at[k]) as u8)
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
