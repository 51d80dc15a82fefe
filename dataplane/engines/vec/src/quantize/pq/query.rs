//! A query's tables.

use super::{Pq, PqBits};
use crate::kernels::{Kernels, Measure, Parts, TABLE_BYTES, table};

/// A query, ready to be compared with codes.
#[derive(Clone, Debug)]
pub struct PqQuery {
    pub(super) bits: PqBits,
    pub(super) parts: usize,
    /// For each part the score with every entry.
    scores: Vec<f32>,
    /// The same as bytes, in the order that a scan wants.
    pub(super) tables: Vec<u8>,
    /// A sum of such bytes times the first plus the second is the score.
    pub(super) unit: (f32, f32),
}

impl Pq {
    /// Prepares `query`.
    ///
    /// # Panics
    /// When it has another dimension.
    #[must_use]
    pub fn query(&self, query: &[f32]) -> PqQuery {
        assert_eq!(query.len(), self.dim(), "components");
        let entries = self.settings.bits.entries();
        let mut scores = vec![0.0; self.parts * entries];
        for (part, scores) in scores.chunks_exact_mut(entries).enumerate() {
            let (from, used) = self.components(part);
            let (book, halves) = self.entries(part, used);
            let parts = Parts { rows: query, stride: query.len(), from, used, book, halves };
            self.kernels.products(&parts, scores);
            if self.settings.measure == Measure::L2 {
                let own = &query[from..from + used];
                let squares: f32 = own.iter().map(|value| value * value).sum();
                for (score, half) in scores.iter_mut().zip(halves) {
                    *score = 2.0 * (*score + half) - squares;
                }
            }
        }
        PqQuery::new(&self.kernels, self.settings.bits, self.parts, scores)
    }
}

impl PqQuery {
    fn new(kernels: &Kernels, bits: PqBits, parts: usize, scores: Vec<f32>) -> Self {
        // Of six bits two lookups are summed in a byte.
        let (most, size) = match bits {
            PqBits::Four => (255, parts / 8 * TABLE_BYTES),
            PqBits::Six => (127, parts * bits.entries()),
            PqBits::Eight => {
                return Self { bits, parts, scores, tables: Vec::new(), unit: (1.0, 0.0) };
            }
        };
        let entries = bits.entries();
        let (mut leasts, mut spread) = (vec![0.0; parts], f32::MIN_POSITIVE);
        for (least, scores) in leasts.iter_mut().zip(scores.chunks_exact(entries)) {
            let bounds = kernels.bounds(scores);
            spread = spread.max(bounds.1 - bounds.0);
            *least = bounds.0;
        }
        let (mut tables, by) = (vec![0; size], f32::from(most) / spread);
        for (part, (&least, scores)) in leasts.iter().zip(scores.chunks_exact(entries)).enumerate()
        {
            let at = if bits == PqBits::Four { table(part) } else { part * entries };
            kernels.raise(scores, (least, by), most, &mut tables[at..at + entries]);
        }
        let unit = (spread / f32::from(most), leasts.iter().sum());
        Self { bits, parts, scores, tables, unit }
    }

    /// The score of a code that has one byte a part, from the tables in full.
    ///
    /// # Panics
    /// When the code has other parts, or a number beyond the entries.
    #[must_use]
    #[inline]
    pub fn score(&self, code: &[u8]) -> f32 {
        let entries = self.bits.entries();
        assert_eq!(code.len(), self.parts, "parts");
        let mut sums = [0.0_f32; 4];
        for (four, scores) in code.chunks_exact(4).zip(self.scores.chunks_exact(4 * entries)) {
            for k in 0..4 {
                sums[k] += scores[k * entries + usize::from(four[k])];
            }
        }
        (sums[0] + sums[1]) + (sums[2] + sums[3])
    }
}
