//! One bit a component and two numbers a vector, without training.
//!
//! After Gao and Long, "RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error Bound"
//! (SIGMOD 2024). A vector, less a centre, is rotated; its code is the signs of what comes out. The
//! signs, taken as a unit vector, stand for the vector's direction; their product with a query,
//! divided by their product with the vector itself, is an unbiased estimate of the product of
//! vector and query, with an error of the order of 1 / √dimension.

use crate::kernels::{BLOCK, CodeScan, Found, Kernels, Measure, TABLE_BYTES};
use crate::rotation::Rotation;

/// Encodes vectors of one dimension, and prepares queries for their codes.
#[derive(Debug)]
pub struct RaBitQ {
    rotation: Rotation,
    measure: Measure,
    /// What is taken off each vector, rotated.
    centre: Vec<f32>,
    /// The centre's squared length.
    centre_squares: f32,
    kernels: Kernels,
}

/// Codes in the blocks that a scan goes over, with their factors.
#[derive(Clone, Debug, Default)]
pub struct Codes {
    words: usize,
    len: usize,
    lines: Vec<u32>,
    scale: Vec<f32>,
    add: Vec<f32>,
}

/// A query, ready to be compared with codes.
#[derive(Clone, Debug)]
pub struct QueryTables {
    tables: Vec<u8>,
    unit: (f32, f32),
    /// What every score is to be raised by.
    constant: f32,
}

impl RaBitQ {
    /// For vectors of `dim` components that `measure` compares; `centre` is where they lie
    /// around, `None` for 0; `seed` selects the rotation.
    ///
    /// # Panics
    /// When `dim` is 0 or `centre` has another dimension.
    #[must_use]
    pub fn new(dim: usize, measure: Measure, centre: Option<&[f32]>, seed: u64) -> Self {
        let rotation = Rotation::new(dim, seed);
        let mut rotated = vec![0.0; rotation.padded()];
        if let Some(centre) = centre {
            rotation.rotate(centre, &mut rotated);
        }
        let centre_squares = rotated.iter().map(|value| value * value).sum();
        Self { rotation, measure, centre: rotated, centre_squares, kernels: Kernels::best() }
    }

    /// Words of a code.
    #[must_use]
    pub const fn words(&self) -> usize {
        self.rotation.padded() / 32
    }

    /// No codes yet.
    #[must_use]
    pub const fn codes(&self) -> Codes {
        let words = self.words();
        Codes { words, len: 0, lines: Vec::new(), scale: Vec::new(), add: Vec::new() }
    }

    /// Adds the code of `vector`.
    ///
    /// # Panics
    /// When `vector` or `codes` have another dimension.
    pub fn encode(&self, vector: &[f32], scratch: &mut Vec<f32>, codes: &mut Codes) {
        assert_eq!(codes.words, self.words(), "codes of the same dimension");
        scratch.resize(self.rotation.padded(), 0.0);
        self.rotation.rotate(vector, scratch);
        scratch.iter_mut().zip(&self.centre).for_each(|(value, centre)| *value -= centre);
        let squares = self.kernels.compare_f32(Measure::Dot, scratch, scratch);
        let mut words = [0_u32; 1024];
        let words = &mut words[..self.words()];
        let sum = self.kernels.signs(scratch, words);
        // The code's product with the vector is the sum of its components without signs.
        let scale = if sum > 0.0 { squares / sum } else { 0.0 };
        let (scale, add) = match self.measure {
            Measure::Dot => (scale, 0.0),
            Measure::L2 => (2.0 * scale, -squares),
        };
        codes.push(words, scale, add);
    }

    /// Prepares `query`.
    ///
    /// # Panics
    /// When it has another dimension.
    #[must_use]
    pub fn query(&self, query: &[f32]) -> QueryTables {
        let mut turned = vec![0.0; self.rotation.padded()];
        self.rotation.rotate(query, &mut turned);
        let dot = |a: &[f32], b: &[f32]| self.kernels.compare_f32(Measure::Dot, a, b);
        let constant = match self.measure {
            Measure::Dot => dot(&turned, &self.centre),
            Measure::L2 => {
                let off = self.centre.iter().zip(&mut turned);
                off.for_each(|(centre, value)| *value -= centre);
                -dot(&turned, &turned)
            }
        };
        let (tables, unit) = tables(&turned);
        QueryTables { tables, unit, constant }
    }

    /// The centre's squared length.
    #[must_use]
    pub const fn centre_squares(&self) -> f32 {
        self.centre_squares
    }
}

/// Sums of each four components by which bits are set, as bytes of one unit, and what makes a sum
/// of them the product with signs.
fn tables(query: &[f32]) -> (Vec<u8>, (f32, f32)) {
    let whole: f32 = query.iter().map(|value| value.abs()).sum();
    let spread = |four: &[f32]| four.iter().map(|value| value.abs()).sum::<f32>();
    let most = query.chunks_exact(4).map(spread).fold(f32::MIN_POSITIVE, f32::max);
    let per_unit = 255.0 / most;
    let mut tables = vec![0; query.len() / 32 * TABLE_BYTES];
    for (group, four) in query.chunks_exact(4).enumerate() {
        let (word, byte, half) = (group / 8, group % 8 / 2, group % 2);
        let table = &mut tables[word * TABLE_BYTES + 64 * half + 16 * byte..][..16];
        let least: f32 = four.iter().map(|value| value.min(0.0)).sum();
        for (bits, entry) in table.iter_mut().enumerate() {
            let set = four.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
            let sum: f32 = set.map(|(_, value)| value).sum();
            *entry = ((sum - least) * per_unit).round_ties_even() as u8;
        }
    }
    // Twice the sum of the set components less the sum of all: the least sums make up the rest.
    (tables, (2.0 / per_unit, -whole))
}

impl Codes {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that they take.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        4 * (self.lines.capacity() + self.scale.capacity() + self.add.capacity())
    }

    fn push(&mut self, words: &[u32], scale: f32, add: f32) {
        let (block, place) = (self.len / BLOCK, self.len % BLOCK);
        if place == 0 {
            self.lines.resize((block + 1) * BLOCK * self.words, 0);
            self.scale.resize((block + 1) * BLOCK, 0.0);
            // What is not there scores below everything.
            self.add.resize((block + 1) * BLOCK, f32::NEG_INFINITY);
        }
        let lines = &mut self.lines[block * BLOCK * self.words..];
        for (line, word) in lines.chunks_exact_mut(BLOCK).zip(words) {
            line[place] = *word;
        }
        (self.scale[self.len], self.add[self.len]) = (scale, add);
        self.len += 1;
    }

    /// Finds, among blocks `blocks`, codes whose estimated score exceeds `floor`; their places
    /// count from the first of these blocks, their scores lack [`QueryTables::constant`].
    ///
    /// # Panics
    /// When the query has another dimension, blocks are not there, or `found` has too little room.
    pub fn scan(
        &self,
        kernels: &Kernels,
        query: &QueryTables,
        blocks: std::ops::Range<usize>,
        floor: f32,
        found: &mut Found,
    ) {
        let (from, to) = (blocks.start * BLOCK, blocks.end * BLOCK);
        let scan = CodeScan {
            words: self.words,
            lines: &self.lines[from * self.words..to * self.words],
            scale: &self.scale[from..to],
            add: &self.add[from..to],
            tables: &query.tables,
            unit: query.unit,
            floor,
        };
        kernels.scan_codes(&scan, found);
    }

    /// Blocks that there are.
    #[must_use]
    pub const fn blocks(&self) -> usize {
        self.scale.len() / BLOCK
    }
}

impl QueryTables {
    /// What every score is to be raised by to be the metric's.
    #[must_use]
    pub const fn constant(&self) -> f32 {
        self.constant
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::{Isa, oracle};

    fn noise(seed: u64, len: usize) -> Vec<f32> {
        let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let step = || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            (x >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        std::iter::repeat_with(step).take(len).collect()
    }

    proptest! {
        #[test]
        fn levels_agree_and_are_near_the_truth(
            dim in 2usize..600,
            count in 1usize..150,
            l2: bool,
            centred: bool,
            seed: u64,
        ) {
            let measure = if l2 { Measure::L2 } else { Measure::Dot };
            let centre: Vec<f32> = noise(seed ^ 5, dim).iter().map(|value| value * 0.5).collect();
            let quantizer = RaBitQ::new(dim, measure, centred.then_some(&centre), 1);
            let (mut codes, mut scratch) = (quantizer.codes(), Vec::new());
            let vectors: Vec<Vec<f32>> =
                (0..count).map(|at| noise(seed.wrapping_add(at as u64 * 77), dim)).collect();
            vectors.iter().for_each(|vector| quantizer.encode(vector, &mut scratch, &mut codes));
            let query = noise(!seed, dim);
            let tables = quantizer.query(&query);
            let mut first: Option<Vec<(u32, f32)>> = None;
            for kernels in Isa::available().filter_map(Kernels::of) {
                let mut found = Found::with_room(codes.blocks());
                let blocks = 0..codes.blocks();
                codes.scan(&kernels, &tables, blocks.clone(), f32::NEG_INFINITY, &mut found);
                let all: Vec<(u32, f32)> = found.iter().collect();
                prop_assert_eq!(all.len(), count);
                let first = first.get_or_insert_with(|| all.clone());
                prop_assert_eq!(&*first, &all, "{:?}", kernels);
                let mut scores: Vec<f32> = all.iter().map(|&(_, score)| score).collect();
                scores.sort_by(f32::total_cmp);
                let floor = scores[count / 2];
                codes.scan(&kernels, &tables, blocks, floor, &mut found);
                let kept: Vec<_> = all.iter().copied().filter(|&(_, score)| score > floor).collect();
                prop_assert_eq!(found.iter().collect::<Vec<_>>(), kept);
            }
            // An error is beyond six of its standard deviations in fewer than one case of 10^8.
            let length = |a: &[f32]| oracle::compare(Measure::Dot, a, a).sqrt();
            for (at, score) in first.expect("portable is there") {
                let vector = &vectors[at as usize];
                let want = oracle::compare(measure, vector, &query);
                let got = f64::from(score + tables.constant());
                let off = 8.0 * length(&query).max(1.0) * (length(vector) + length(&centre))
                    * if l2 { 2.0 } else { 1.0 } / (dim.max(4) as f64).sqrt();
                prop_assert!((got - want).abs() <= off, "dim {}: {} for {}", dim, got, want);
            }
        }
    }
}
