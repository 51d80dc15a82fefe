//! More bits for each component of a 1-bit code, to rank again what a scan found.
//!
//! The sign that a code has is the highest bit of a level; these are the bits below it. All
//! components of a vector share one step, chosen for numbers that are spread as a rotation leaves
//! them: near to normally. So there is nothing to search for, and encoding is one pass. After Gao
//! et al., "Practical and Asymptotically Optimal Quantization of High-Dimensional Vectors in
//! Euclidean Space for Approximate Nearest Neighbor Search" (SIGMOD 2025); steps after Max,
//! "Quantizing for Minimum Distortion" (IRE 1960).

use super::rabitq::{CodesView, QueryTables};
use crate::kernels::{BLOCK, Kernels, Measure};
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
    /// Bytes of the levels of a vector with a code of `words` words: a multiple of 64.
    #[must_use]
    pub const fn row_bytes(self, words: usize) -> usize {
        match self {
            Self::Four => (32 * words).div_ceil(128) * 64,
            Self::Eight => (32 * words).next_multiple_of(64),
        }
    }

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

/// Levels of vectors, in the order of their [`Codes`](super::Codes).
#[derive(Debug)]
pub struct ExtraCodes {
    bits: ExtraBits,
    rows: Rows<u8>,
    scale: Vec<f32>,
    add: Vec<f32>,
    /// Those of the vector that is encoded, a byte each, with zeros behind.
    levels: Vec<u8>,
    kernels: Kernels,
}

impl ExtraCodes {
    /// None yet, for the codes of a quantizer with codes of `words` words.
    #[must_use]
    pub fn new(bits: ExtraBits, words: usize) -> Self {
        Self {
            bits,
            rows: Rows::new(bits.row_bytes(words)),
            scale: Vec::new(),
            add: Vec::new(),
            levels: vec![0; (32 * words).next_multiple_of(128)],
            kernels: Kernels::best(),
        }
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

    /// Bytes of memory that they hold.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.rows.bytes() + 4 * (self.scale.capacity() + self.add.capacity())
    }

    /// Gives memory back that is not needed as long as nothing is added.
    pub fn shrink(&mut self) {
        self.rows.shrink();
        self.scale.shrink_to_fit();
        self.add.shrink_to_fit();
    }

    /// Adds the levels of a vector as [`RaBitQ::encode`](super::RaBitQ::encode) leaves it: rotated,
    /// less its centre, which is rotated too. `measure` is the quantizer's.
    ///
    /// # Panics
    /// When one of them has another dimension, or one above 4096.
    pub fn encode(&mut self, measure: Measure, rotated: &[f32], centre: &[f32]) {
        let squares = self.kernels.compare_f32(Measure::Dot, rotated, rotated);
        let deviation = (squares / rotated.len() as f32).sqrt().max(f32::MIN_POSITIVE);
        let by = 1.0 / (self.bits.step() * deviation);
        let half = self.bits.half();
        let used = &mut self.levels[..rotated.len()];
        let products = self.kernels.levels(rotated, centre, by, half, used);
        let scale = if products.own > 0.0 { squares / products.own } else { 0.0 };
        let (scale, add) = match measure {
            Measure::Dot => (scale, self.kernels.compare_f32(Measure::Dot, rotated, centre)),
            Measure::L2 => (2.0 * scale, -squares),
        };
        self.scale.push(scale);
        self.add.push(scale.mul_add(-products.centre, add));
        let levels = &self.levels;
        if matches!(self.bits, ExtraBits::Eight) {
            self.rows.push(&levels[..self.rows.dim()]);
            return;
        }
        self.rows.push_zeros();
        let packed = self.rows.row_mut(self.rows.len() - 1);
        for (line, packed) in levels.chunks_exact(128).zip(packed.chunks_exact_mut(64)) {
            let (low, high) = line.split_at(64);
            for ((packed, low), high) in packed.iter_mut().zip(low).zip(high) {
                *packed = low & 15 | high << 4;
            }
        }
    }

    /// The levels where they lie.
    #[must_use]
    pub fn view(&self) -> ExtraView<'_> {
        let (rows, stride) = (self.rows.as_slice(), self.rows.stride());
        ExtraView { bits: self.bits, rows, stride, scale: &self.scale, add: &self.add }
    }
}

/// Levels where they lie: in memory, or in a mapped file.
#[derive(Clone, Copy, Debug)]
pub struct ExtraView<'a> {
    /// How many bits.
    pub bits: ExtraBits,
    /// The levels of vector 0, then those of vector 1, ….
    pub rows: &'a [u8],
    /// Bytes of one vector's, as [`ExtraBits::row_bytes`] says.
    pub stride: usize,
    /// For each vector what a product counts for.
    pub scale: &'a [f32],
    /// For each vector what is then added.
    pub add: &'a [f32],
}

impl ExtraView<'_> {
    /// A finer estimate of the score of code `at`, for which a scan found `score`; as that, it
    /// lacks [`RaBitQ::constant`](super::RaBitQ::constant).
    ///
    /// # Panics
    /// When there is no such code, or the query has another dimension.
    #[must_use]
    #[inline]
    pub fn refine(
        &self,
        kernels: &Kernels,
        codes: &CodesView<'_>,
        query: &QueryTables,
        at: usize,
        score: f32,
    ) -> f32 {
        let (scale, add) = codes.factors(at);
        if scale == 0.0 {
            return score;
        }
        let row = &self.rows[at * self.stride..][..self.stride];
        let signs = (score - add) / scale;
        let bytes = query.bytes.row(0);
        let dot = match self.bits {
            ExtraBits::Four => kernels.dot_u4(row, bytes),
            ExtraBits::Eight => kernels.dot_u8(row, &bytes[..row.len()]),
        };
        // A level is its bits, less 2 × half where the sign is not set, plus a half for its middle.
        let half = self.bits.half() as f32 / 2.0;
        let product =
            (dot as f32).mul_add(query.byte, half.mul_add(signs, (0.5 - half) * query.sum));
        self.scale[at].mul_add(product, self.add[at])
    }

    /// Writes what code `at` and its levels say of the rotated vector, less its centre, into `out`.
    ///
    /// # Panics
    /// When there is no such code, or `out` does not have a component for each of its bits.
    pub(crate) fn decode(
        &self,
        codes: &CodesView<'_>,
        measure: Measure,
        at: usize,
        out: &mut [f32],
    ) {
        let row = &self.rows[at * self.stride..][..self.stride];
        let by = if measure == Measure::L2 { self.scale[at] / 2.0 } else { self.scale[at] };
        let (block, place) = (at / BLOCK, at % BLOCK);
        for (component, value) in out.iter_mut().enumerate() {
            let word = codes.lines[(block * codes.words + component / 32) * BLOCK + place];
            let is_set = word >> (component % 32) & 1 == 1;
            let bits = match self.bits {
                ExtraBits::Four => {
                    let byte = row[component / 128 * 64 + component % 64];
                    if component % 128 < 64 { byte & 15 } else { byte >> 4 }
                }
                ExtraBits::Eight => row[component],
            };
            let below = if is_set { 0 } else { self.bits.half() };
            *value = by * (f32::from(bits) - below as f32 + 0.5);
        }
    }

    /// Asks for the memory that [`Self::refine`] of code `at` will read.
    #[inline]
    pub fn prefetch(&self, at: usize) {
        for line in self.rows[at * self.stride..][..self.stride].chunks(64) {
            crate::kernels::prefetch(line.as_ptr());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Found, oracle};
    use crate::quantize::RaBitQ;
    use crate::testing::noise;

    #[test]
    fn more_bits_are_nearer_to_the_truth() {
        for (dim, measure) in [(384, Measure::Dot), (100, Measure::L2), (768, Measure::L2)] {
            let quantizer = RaBitQ::new(dim, measure, 3);
            let (mut codes, mut turned) = (quantizer.codes(), vec![0.0; quantizer.padded()]);
            let mut centre = vec![0.0; quantizer.padded()];
            quantizer.rotate(&noise(77, dim), &mut centre);
            let mut four = ExtraCodes::new(ExtraBits::Four, quantizer.words());
            let mut eight = ExtraCodes::new(ExtraBits::Eight, quantizer.words());
            let vectors: Vec<Vec<f32>> = (0..200).map(|at| noise(at, dim)).collect();
            for vector in &vectors {
                quantizer.rotate(vector, &mut turned);
                quantizer.encode(&mut turned, &centre, &mut codes);
                four.encode(measure, &turned, &centre);
                eight.encode(measure, &turned, &centre);
            }
            let query = noise(999, dim);
            let tables = quantizer.query(&query);
            let mut found = Found::with_room(codes.blocks());
            let (kernels, all) = (Kernels::best(), 0..codes.blocks());
            codes.view().scan(&kernels, &tables, all, f32::NEG_INFINITY, &mut found);
            let mut off = [0.0_f64; 3];
            for (at, score) in found.iter() {
                let at = at as usize;
                let want = oracle::compare(measure, &vectors[at], &query);
                let refined = |more: &ExtraCodes| {
                    more.view().refine(&kernels, &codes.view(), &tables, at, score)
                };
                for (off, got) in off.iter_mut().zip([score, refined(&four), refined(&eight)]) {
                    *off += (f64::from(got + quantizer.constant(&tables, &centre)) - want).powi(2);
                }
            }
            let [one, five, nine] = off.map(|off| (off / 200.0).sqrt());
            assert!(five < one / 8.0 && nine < five / 1.5, "dim {dim}: {one} {five} {nine}");
        }
    }
}
