//! More bits for each component of a 1-bit code, to rank again what a scan found.
//!
//! The sign that a code has is the highest bit of a level; these are the bits below it. All
//! components of a vector share one step, chosen for numbers that are spread as a rotation leaves
//! them: near to normally. So there is nothing to search for, and encoding is one pass. After Gao
//! et al., "Practical and Asymptotically Optimal Quantization of High-Dimensional Vectors in
//! Euclidean Space for Approximate Nearest Neighbor Search" (SIGMOD 2025); steps after Max,
//! "Quantizing for Minimum Distortion" (IRE 1960).

use super::rabitq::{Codes, QueryTables};
use crate::kernels::{Kernels, Measure};
use crate::rows::Rows;

/// How many bits more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExtraBits {
    /// Four: 32 levels.
    Four,
    /// Eight: 512 levels.
    Eight,
}

impl ExtraBits {
    /// Levels on either side of 0.
    const fn half(self) -> i32 {
        match self {
            Self::Four => 16,
            Self::Eight => 256,
        }
    }

    /// The step that distorts a normal distribution least, in standard deviations.
    const fn step(self) -> f32 {
        match self {
            Self::Four => 0.1881,
            Self::Eight => 0.0166,
        }
    }
}

/// Levels of vectors, in the order of their [`Codes`].
#[derive(Debug)]
pub struct ExtraCodes {
    bits: ExtraBits,
    rows: Rows<u8>,
    scale: Vec<f32>,
    kernels: Kernels,
}

impl ExtraCodes {
    /// None yet, for the codes of a quantizer with codes of `words` words.
    #[must_use]
    pub fn new(bits: ExtraBits, words: usize) -> Self {
        let dim = 32 * words;
        let bytes = match bits {
            ExtraBits::Four => dim.div_ceil(128) * 64,
            ExtraBits::Eight => dim.next_multiple_of(64),
        };
        Self { bits, rows: Rows::new(bytes), scale: Vec::new(), kernels: Kernels::best() }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds the levels of a vector as [`RaBitQ::encode`](super::RaBitQ::encode) leaves it in its
    /// scratch. `measure` is the quantizer's.
    ///
    /// # Panics
    /// When it has another dimension, or one above 4096.
    pub fn encode(&mut self, measure: Measure, rotated: &[f32]) {
        let squares = self.kernels.compare_f32(Measure::Dot, rotated, rotated);
        let deviation = (squares / rotated.len() as f32).sqrt().max(f32::MIN_POSITIVE);
        let mut levels = [0; 4096];
        let levels = &mut levels[..rotated.len().next_multiple_of(128)];
        let by = 1.0 / (self.bits.step() * deviation);
        let (used, half) = (&mut levels[..rotated.len()], self.bits.half());
        let product = self.kernels.levels(rotated, by, half, used);
        let scale = if product > 0.0 { squares / product } else { 0.0 };
        self.scale.push(if measure == Measure::L2 { 2.0 * scale } else { scale });
        if matches!(self.bits, ExtraBits::Eight) {
            self.rows.push(&levels[..self.rows.dim()]);
            return;
        }
        let mut packed = [0; 2048];
        for (line, packed) in levels.chunks_exact(128).zip(packed.chunks_exact_mut(64)) {
            for (at, packed) in packed.iter_mut().enumerate() {
                *packed = line[at] & 15 | line[64 + at] << 4;
            }
        }
        self.rows.push(&packed[..self.rows.dim()]);
    }

    /// A finer estimate of the score of code `at`, for which a scan found `score`; as that, it
    /// lacks [`QueryTables::constant`].
    ///
    /// # Panics
    /// When there is no such code, or the query has another dimension.
    #[must_use]
    #[inline]
    pub fn refine(&self, codes: &Codes, query: &QueryTables, at: usize, score: f32) -> f32 {
        let (scale, add) = codes.factors(at);
        if scale == 0.0 {
            return score;
        }
        let row = self.rows.row(at);
        let signs = (score - add) / scale;
        let bytes = query.bytes.row(0);
        let dot = match self.bits {
            ExtraBits::Four => self.kernels.dot_u4(row, bytes),
            ExtraBits::Eight => self.kernels.dot_u8(row, &bytes[..row.len()]),
        };
        // A level is its bits, less 2 × half where the sign is not set, plus a half for its middle.
        let half = self.bits.half() as f32 / 2.0;
        let product =
            (dot as f32).mul_add(query.byte, half.mul_add(signs, (0.5 - half) * query.sum));
        self.scale[at].mul_add(product, add)
    }

    /// Asks for the memory that [`Self::refine`] of code `at` will read.
    #[inline]
    pub fn prefetch(&self, at: usize) {
        #[cfg(target_arch = "x86_64")]
        if at < self.rows.len() {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            for line in self.rows.row(at).chunks(64) {
                // SAFETY: a prefetch reads nothing that could fault.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Found, oracle};
    use crate::quantize::RaBitQ;

    #[test]
    fn more_bits_are_nearer_to_the_truth() {
        let mut x = 1u64;
        let mut noise = |len: usize| -> Vec<f32> {
            let step = || {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                (x >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            };
            std::iter::repeat_with(step).take(len).collect()
        };
        for (dim, measure) in [(384, Measure::Dot), (100, Measure::L2), (768, Measure::L2)] {
            let quantizer = RaBitQ::new(dim, measure, None, 3);
            let (mut codes, mut scratch) = (quantizer.codes(), Vec::new());
            let mut four = ExtraCodes::new(ExtraBits::Four, quantizer.words());
            let mut eight = ExtraCodes::new(ExtraBits::Eight, quantizer.words());
            let vectors: Vec<Vec<f32>> = (0..200).map(|_| noise(dim)).collect();
            for vector in &vectors {
                quantizer.encode(vector, &mut scratch, &mut codes);
                four.encode(measure, &scratch);
                eight.encode(measure, &scratch);
            }
            let query = noise(dim);
            let tables = quantizer.query(&query);
            let mut found = Found::with_room(codes.blocks());
            let (kernels, all) = (Kernels::best(), 0..codes.blocks());
            codes.scan(&kernels, &tables, all, f32::NEG_INFINITY, &mut found);
            let mut off = [0.0_f64; 3];
            for (at, score) in found.iter() {
                let at = at as usize;
                let want = oracle::compare(measure, &vectors[at], &query);
                let refined = |more: &ExtraCodes| more.refine(&codes, &tables, at, score);
                for (off, got) in off.iter_mut().zip([score, refined(&four), refined(&eight)]) {
                    *off += (f64::from(got + tables.constant()) - want).powi(2);
                }
            }
            let [one, five, nine] = off.map(|off| (off / 200.0).sqrt());
            assert!(five < one / 8.0 && nine < five / 2.0, "dim {dim}: {one} {five} {nine}");
        }
    }
}
