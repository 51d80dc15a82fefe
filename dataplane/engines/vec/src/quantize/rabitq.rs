//! One bit a component and two numbers a vector, without training.
//!
//! After Gao and Long, "RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error Bound"
//! (SIGMOD 2024). A vector is rotated, and a centre, rotated too, is taken off; the code is the
//! signs of what is left. The signs, taken as a unit vector, stand for the direction of what is
//! left; their product with a query less the centre, divided by their product with what is left
//! itself, is an unbiased estimate of the product of the two offsets, with an error of the order of
//! their lengths / √dimension. The query's tables are the same for all centres: the centre's own
//! product with the signs is known when a vector is encoded.

use crate::kernels::{BLOCK, CodeScan, Found, Kernels, Measure, Offset, TABLE_BYTES};
use crate::rotation::Rotation;
use crate::rows::Rows;

/// Words ahead of those that are scanned which memory is asked for.
const AHEAD: usize = 1024;

/// Encodes vectors of one dimension, and prepares queries for their codes.
#[derive(Debug)]
pub struct RaBitQ {
    rotation: Rotation,
    measure: Measure,
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
#[derive(Debug)]
pub struct QueryTables {
    /// The rotated query.
    turned: Rows<f32>,
    /// Its components as bytes, padded for [`Kernels::dot_u4`].
    pub(super) bytes: Rows<i8>,
    /// What a byte counts.
    pub(super) byte: f32,
    /// Sum of the components.
    pub(super) sum: f32,
    tables: Vec<u8>,
    unit: (f32, f32),
}

impl RaBitQ {
    /// For vectors of `dim` components that `measure` compares; `seed` selects the rotation.
    ///
    /// # Panics
    /// When `dim` is 0 or above 4096.
    #[must_use]
    pub fn new(dim: usize, measure: Measure, seed: u64) -> Self {
        assert!(dim <= 4096, "{dim} components");
        Self { rotation: Rotation::new(dim, seed), measure, kernels: Kernels::best() }
    }

    /// How codes are compared.
    #[must_use]
    pub const fn measure(&self) -> Measure {
        self.measure
    }

    /// Components of a rotated vector.
    #[must_use]
    pub const fn padded(&self) -> usize {
        self.rotation.padded()
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

    /// Writes `vector`, rotated, into `out`.
    ///
    /// # Panics
    /// When `vector` has another dimension, or `out` not [`Self::padded`] components.
    pub fn rotate(&self, vector: &[f32], out: &mut [f32]) {
        self.rotation.rotate(vector, out);
    }

    /// Turns a rotated vector, in which it works, back into `out`.
    pub(crate) fn undo(&self, rotated: &mut [f32], out: &mut [f32]) {
        self.rotation.undo(rotated, out);
    }

    /// Adds the code of a rotated vector, and takes `centre`, rotated, off it.
    ///
    /// # Panics
    /// When vector, centre or codes have another dimension.
    pub fn encode(&self, vector: &mut [f32], centre: &[f32], codes: &mut Codes) {
        assert_eq!(codes.words, self.words(), "codes of the same dimension");
        assert_eq!((vector.len(), centre.len()), (self.padded(), self.padded()), "components");
        let mut words = [0_u32; 128];
        let words = &mut words[..self.words()];
        let (scale, add) = self.code(vector, centre, words);
        codes.push(words, scale, add);
        vector.iter_mut().zip(centre).for_each(|(value, centre)| *value -= centre);
    }

    /// Writes the code of `vector` about `centre`, both rotated, into `words`; returns what its
    /// product with a query counts for, and what is then to be added.
    ///
    /// # Panics
    /// When one of them has another dimension.
    pub(crate) fn code(&self, vector: &[f32], centre: &[f32], words: &mut [u32]) -> (f32, f32) {
        let Offset { squares, spread, along, signed } = self.kernels.offset(vector, centre, words);
        // The code's product with the offset is the sum of its components without signs.
        let scale = if spread > 0.0 { squares / spread } else { 0.0 };
        // What is estimated is the product of the offset with the query's own offset from the
        // centre, of which the centre's part is known here: so the error shrinks with both.
        match self.measure {
            Measure::Dot => (scale, scale.mul_add(-signed, along)),
            Measure::L2 => (2.0 * scale, (-2.0 * scale).mul_add(signed, -squares)),
        }
    }

    /// Prepares `query`.
    ///
    /// # Panics
    /// When it has another dimension.
    #[must_use]
    pub fn query(&self, query: &[f32]) -> QueryTables {
        let mut turned = Rows::new(self.padded());
        turned.resize_zeroed(1);
        self.rotation.rotate(query, turned.row_mut(0));
        self.tables(turned)
    }

    /// Prepares a query that is rotated already.
    ///
    /// # Panics
    /// When it has another dimension.
    #[must_use]
    pub(crate) fn query_turned(&self, query: &[f32]) -> QueryTables {
        let mut turned = Rows::new(self.padded());
        turned.push(query);
        self.tables(turned)
    }

    fn tables(&self, turned: Rows<f32>) -> QueryTables {
        let mut tables = vec![0; self.words() * TABLE_BYTES];
        let unit = self.kernels.tables(turned.row(0), &mut tables);
        let mut bytes = Rows::new(turned.dim().next_multiple_of(128));
        bytes.resize_zeroed(1);
        let byte = self.kernels.bytes(turned.row(0), &mut bytes.row_mut(0)[..turned.dim()]);
        let sum = turned.row(0).iter().sum();
        QueryTables { turned, bytes, byte, sum, tables, unit }
    }

    /// What the scores of codes about `centre`, rotated, are to be raised by to be the measure's.
    ///
    /// # Panics
    /// When the centre has another dimension.
    #[must_use]
    #[inline]
    pub fn constant(&self, query: &QueryTables, centre: &[f32]) -> f32 {
        self.kernels.compare_f32(self.measure, query.turned.row(0), centre)
    }
}

impl QueryTables {
    /// The rotated query.
    #[must_use]
    pub fn turned(&self) -> &[f32] {
        self.turned.row(0)
    }

    /// Its components as bytes, padded with zeros to a multiple of 128, and what a byte counts.
    #[must_use]
    pub fn bytes(&self) -> (&[i8], f32) {
        (self.bytes.row(0), self.byte)
    }
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

    /// Blocks that there are; the last one may not be full.
    #[must_use]
    pub const fn blocks(&self) -> usize {
        self.scale.len() / BLOCK
    }

    /// Bytes of memory that they hold.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        4 * (self.lines.capacity() + self.scale.capacity() + self.add.capacity())
    }

    /// Gives memory back that is not needed as long as nothing is added.
    pub fn shrink(&mut self) {
        self.lines.shrink_to_fit();
        self.scale.shrink_to_fit();
        self.add.shrink_to_fit();
    }

    /// The codes as a scan sees them.
    #[must_use]
    pub fn view(&self) -> CodesView<'_> {
        let Self { words, len, lines, scale, add } = self;
        CodesView { words: *words, len: *len, lines, scale, add }
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
}

/// Codes where they lie: in memory, or in a mapped file.
#[derive(Clone, Copy, Debug)]
pub struct CodesView<'a> {
    /// Words of a code.
    pub words: usize,
    /// How many there are; in their last block there may be fewer than it has room for.
    pub len: usize,
    /// All lines of block 0, then those of block 1, …; [`BLOCK`] words a line.
    pub lines: &'a [u32],
    /// For each place of all blocks what a product counts for.
    pub scale: &'a [f32],
    /// For each place what is added; minus infinity where there is no code.
    pub add: &'a [f32],
}

impl CodesView<'_> {
    /// Blocks that there are.
    #[must_use]
    pub const fn blocks(&self) -> usize {
        self.scale.len() / BLOCK
    }

    /// What the product of code `at` with a query was estimated to count for, and what was added.
    #[must_use]
    #[inline]
    pub(super) fn factors(&self, at: usize) -> (f32, f32) {
        (self.scale[at], self.add[at])
    }

    /// Finds, among blocks `blocks`, codes whose estimated score exceeds `floor`; their places
    /// count from the first of these blocks, their scores lack [`RaBitQ::constant`].
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
        let next = (blocks.start * BLOCK * self.words + AHEAD).min(self.lines.len());
        self.scan_before(kernels, query, (blocks, floor), &self.lines[next..], found);
    }

    /// The same, and meanwhile asks for the memory of `next`, as far as it is as long.
    ///
    /// # Panics
    /// As [`Self::scan`].
    pub(crate) fn scan_before(
        &self,
        kernels: &Kernels,
        query: &QueryTables,
        (blocks, floor): (std::ops::Range<usize>, f32),
        next: &[u32],
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
            next,
        };
        kernels.scan_codes(&scan, found);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::{Isa, oracle};
    use crate::testing::noise;

    proptest! {
        #[test]
        fn levels_agree_and_are_near_the_truth(
            dim in 2usize..600,
            count in 1usize..150,
            l2: bool,
            spread in 0.0_f32..1.0,
            seed: u64,
        ) {
            let measure = if l2 { Measure::L2 } else { Measure::Dot };
            let quantizer = RaBitQ::new(dim, measure, 1);
            let mut centre = vec![0.0; quantizer.padded()];
            let around: Vec<f32> = noise(seed ^ 5, dim).iter().map(|value| value * spread).collect();
            quantizer.rotate(&around, &mut centre);
            let (mut codes, mut turned) = (quantizer.codes(), vec![0.0; quantizer.padded()]);
            let vectors: Vec<Vec<f32>> =
                (0..count).map(|at| noise(seed.wrapping_add(at as u64 * 77), dim)).collect();
            for vector in &vectors {
                quantizer.rotate(vector, &mut turned);
                quantizer.encode(&mut turned, &centre, &mut codes);
            }
            let query = noise(!seed, dim);
            let tables = quantizer.query(&query);
            let mut first: Option<Vec<(u32, f32)>> = None;
            for kernels in Isa::available().filter_map(Kernels::of) {
                let mut found = Found::with_room(codes.blocks());
                let blocks = 0..codes.blocks();
                codes.view().scan(&kernels, &tables, blocks.clone(), f32::NEG_INFINITY, &mut found);
                let all: Vec<(u32, f32)> = found.iter().collect();
                prop_assert_eq!(all.len(), count);
                let first = first.get_or_insert_with(|| all.clone());
                prop_assert_eq!(&*first, &all, "{:?}", kernels);
                let mut scores: Vec<f32> = all.iter().map(|&(_, score)| score).collect();
                scores.sort_by(f32::total_cmp);
                let floor = scores[count / 2];
                codes.view().scan(&kernels, &tables, blocks, floor, &mut found);
                let kept: Vec<_> = all.iter().copied().filter(|&(_, score)| score > floor).collect();
                prop_assert_eq!(found.iter().collect::<Vec<_>>(), kept);
            }
            // An error is beyond six of its standard deviations in fewer than one case of 10^8.
            let constant = quantizer.constant(&tables, &centre);
            let length = |a: &[f32]| oracle::compare(Measure::Dot, a, a).sqrt();
            for (at, score) in first.expect("portable is there") {
                let vector = &vectors[at as usize];
                let want = oracle::compare(measure, vector, &query);
                let got = f64::from(score + constant);
                let off = 8.0 * length(&query).max(1.0) * (length(vector) + length(&centre))
                    * if l2 { 2.0 } else { 1.0 } / (dim.max(4) as f64).sqrt();
                prop_assert!((got - want).abs() <= off, "dim {}: {} for {}", dim, got, want);
            }
        }
    }
}
