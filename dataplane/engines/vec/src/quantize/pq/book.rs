//! The trained entries.

use thiserror::Error;

use super::{PqBits, PqCodes};
use crate::kernels::{Kernels, Measure, Parts};
use crate::rotation::split_mix;
use crate::rows::Rows;

/// Vectors of the sample for each entry.
const SAMPLE: usize = 64;
/// Vectors for each entry that the first entries are chosen from.
const SEEDS: usize = 16;
/// Rounds of moving entries.
const ROUNDS: usize = 25;
/// Vectors that are encoded together.
const BATCH: usize = 64;

/// How vectors are quantized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PqSettings {
    /// How vectors are compared.
    pub measure: Measure,
    /// Bits of a part.
    pub bits: PqBits,
    /// Parts of a vector, 1 to 4096; rounded up as [`PqBits::multiple`] says.
    pub parts: usize,
    /// Selects sample and first entries.
    pub seed: u64,
}

impl PqSettings {
    /// Parts as they are stored.
    const fn stored(&self) -> usize {
        self.parts.next_multiple_of(self.bits.multiple())
    }

    fn check(&self, dim: usize) {
        assert!((1..=4096).contains(&self.parts), "{} parts", self.parts);
        assert!((1..=4096).contains(&dim), "{dim} components");
    }
}

/// Trained entries do not fit their settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{got} numbers are no entries of a quantizer that has {want}; train it again")]
pub struct BadBook {
    /// Numbers that came.
    pub got: usize,
    /// Numbers that belong.
    pub want: usize,
}

/// A product quantizer.
#[derive(Debug)]
pub struct Pq {
    dim: usize,
    pub(super) settings: PqSettings,
    pub(super) parts: usize,
    /// Components of a part.
    width: usize,
    /// For each part for each component one number of every entry.
    book: Vec<f32>,
    /// For each part half the squared length of every entry, with a minus.
    halves: Vec<f32>,
    pub(super) kernels: Kernels,
}

impl Pq {
    /// A quantizer whose entries lie as the vectors of `sample` do.
    ///
    /// # Panics
    /// When `sample` is empty or of more than 4096 components, or settings are out of range.
    #[must_use]
    pub fn train(sample: &Rows<f32>, settings: &PqSettings) -> Self {
        settings.check(sample.dim());
        assert!(!sample.is_empty(), "a sample has vectors");
        let mut state = settings.seed;
        let chosen = choose(sample.len(), SAMPLE * settings.bits.entries(), &mut state);
        let mut pq = Self::empty(sample.dim(), settings);
        for part in 0..pq.parts {
            let (from, used) = pq.components(part);
            if used > 0 {
                let row = |at: &u32| &sample.row(*at as usize)[from..from + used];
                let points: Vec<f32> = chosen.iter().flat_map(row).copied().collect();
                pq.train_part(part, used, &points, &mut state);
            }
        }
        pq
    }

    /// The quantizer with a trained [`Self::book`].
    ///
    /// # Errors
    /// When the book has another length.
    ///
    /// # Panics
    /// When `dim` is 0 or above 4096, or settings are out of range.
    pub fn with_book(dim: usize, settings: &PqSettings, book: &[f32]) -> Result<Self, BadBook> {
        settings.check(dim);
        let mut pq = Self::empty(dim, settings);
        if book.len() != pq.book.len() {
            return Err(BadBook { got: book.len(), want: pq.book.len() });
        }
        pq.book.copy_from_slice(book);
        (0..pq.parts).for_each(|part| pq.halve(part));
        Ok(pq)
    }

    fn empty(dim: usize, settings: &PqSettings) -> Self {
        let (parts, entries) = (settings.stored(), settings.bits.entries());
        let width = dim.div_ceil(settings.parts);
        let (book, halves) = (vec![0.0; parts * width * entries], vec![0.0; parts * entries]);
        Self { dim, settings: *settings, parts, width, book, halves, kernels: Kernels::best() }
    }

    /// Its entries: for each part for each of its components one number of every entry.
    #[must_use]
    pub fn book(&self) -> &[f32] {
        &self.book
    }

    /// Components of a vector.
    #[must_use]
    pub const fn dim(&self) -> usize {
        self.dim
    }

    /// Parts of a code, those of padding too.
    #[must_use]
    pub const fn parts(&self) -> usize {
        self.parts
    }

    /// No codes yet.
    #[must_use]
    pub const fn codes(&self) -> PqCodes {
        PqCodes::new(self.settings.bits, self.parts)
    }

    /// The first component of a part, and how many it has.
    pub(super) fn components(&self, part: usize) -> (usize, usize) {
        let from = (part * self.width).min(self.dim);
        (from, self.width.min(self.dim - from))
    }

    /// The entries of a part, which has `used` components, with their halves.
    pub(super) fn entries(&self, part: usize, used: usize) -> (&[f32], &[f32]) {
        let entries = self.settings.bits.entries();
        let book = &self.book[part * self.width * entries..][..used * entries];
        (book, &self.halves[part * entries..][..entries])
    }

    /// Adds the codes of `vectors`.
    ///
    /// # Panics
    /// When vectors or codes are of another dimension.
    pub fn encode(&self, vectors: &Rows<f32>, codes: &mut PqCodes) {
        assert_eq!(vectors.dim(), self.dim, "components");
        let mut batch = vec![0; BATCH * self.parts];
        let mut column = [0; BATCH];
        for first in (0..vectors.len()).step_by(BATCH) {
            let count = BATCH.min(vectors.len() - first);
            let rows = &vectors.as_slice()[first * vectors.stride()..];
            for part in 0..self.parts {
                let (from, used) = self.components(part);
                let (book, halves) = self.entries(part, used);
                let parts = Parts { rows, stride: vectors.stride(), from, used, book, halves };
                self.kernels.nearest(&parts, &mut column[..count]);
                for (at, &code) in column[..count].iter().enumerate() {
                    batch[at * self.parts + part] = code;
                }
            }
            batch.chunks_exact(self.parts).take(count).for_each(|code| codes.push(code));
        }
    }

    /// Trains one part with `points` of `used` components each.
    fn train_part(&mut self, part: usize, used: usize, points: &[f32], state: &mut u64) {
        let (entries, count) = (self.settings.bits.entries(), points.len() / used);
        let seeds = &points[..used * count.min(SEEDS * entries)];
        let mut middles = first_entries(seeds, used, entries, state);
        let mut to = vec![0; count];
        for round in 0..=ROUNDS {
            for (at, middle) in middles.chunks_exact(used).enumerate() {
                for (k, value) in middle.iter().enumerate() {
                    self.book[(part * self.width + k) * entries + at] = *value;
                }
            }
            self.halve(part);
            if round < ROUNDS {
                let (book, halves) = self.entries(part, used);
                let parts = Parts { rows: points, stride: used, from: 0, used, book, halves };
                self.kernels.nearest(&parts, &mut to);
                move_entries(&mut middles, points, used, &to);
            }
        }
    }

    /// Computes the halves of a part's entries.
    fn halve(&mut self, part: usize) {
        let (entries, width) = (self.settings.bits.entries(), self.width);
        let book = &self.book[part * width * entries..][..width * entries];
        let halves = &mut self.halves[part * entries..][..entries];
        for (at, half) in halves.iter_mut().enumerate() {
            *half = -book.iter().skip(at).step_by(entries).map(|v| v * v).sum::<f32>() / 2.0;
        }
    }
}

/// Up to `most` of `0..count`, in an order that `state` selects.
fn choose(count: usize, most: usize, state: &mut u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    let most = most.min(count);
    for at in 0..most {
        let other = at + (split_mix(state) % (count - at) as u64) as usize;
        order.swap(at, other);
    }
    order.truncate(most);
    order
}

fn squared(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Arthur and Vassilvitskii's k-means++ (SODA 2007): points are chosen as often as they are far,
/// squared, from those chosen before.
fn first_entries(points: &[f32], used: usize, entries: usize, state: &mut u64) -> Vec<f32> {
    let count = points.len() / used;
    let mut far = vec![f32::INFINITY; count];
    let mut chosen = Vec::with_capacity(entries * used);
    let mut at = (split_mix(state) % count as u64) as usize;
    loop {
        let point = &points[at * used..][..used];
        chosen.extend_from_slice(point);
        if chosen.len() == entries * used {
            return chosen;
        }
        for (far, other) in far.iter_mut().zip(points.chunks_exact(used)) {
            *far = far.min(squared(point, other));
        }
        let whole: f64 = far.iter().map(|&far| f64::from(far)).sum();
        // 53 random bits are a number from 0 to 1.
        let mut left = whole * (split_mix(state) >> 11) as f64 / (1_u64 << 53) as f64;
        let drawn = far.iter().position(|&far| {
            left -= f64::from(far);
            left < 0.0
        });
        at = drawn.unwrap_or((split_mix(state) % count as u64) as usize);
    }
}

/// Puts each entry in the middle of its points; one without points goes to the point that is
/// farthest from its entry.
fn move_entries(middles: &mut [f32], points: &[f32], used: usize, to: &[u8]) {
    let mut counts = vec![0_u32; middles.len() / used];
    let mut sums = vec![0.0; middles.len()];
    for (point, &to) in points.chunks_exact(used).zip(to) {
        counts[to as usize] += 1;
        let sum = sums[to as usize * used..][..used].iter_mut();
        sum.zip(point).for_each(|(sum, value)| *sum += value);
    }
    for ((middle, sum), &count) in
        middles.chunks_exact_mut(used).zip(sums.chunks_exact(used)).zip(&counts)
    {
        if count > 0 {
            middle.iter_mut().zip(sum).for_each(|(middle, sum)| *middle = sum / count as f32);
        }
    }
    if counts.contains(&0) {
        reseed(middles, &counts, points, used, to);
    }
}

/// Puts entries without points where points are farthest from theirs.
fn reseed(middles: &mut [f32], counts: &[u32], points: &[f32], used: usize, to: &[u8]) {
    let off = |(at, &to): (usize, &u8)| {
        let middle = &middles[to as usize * used..][..used];
        (squared(&points[at * used..][..used], middle), at)
    };
    let mut farthest: Vec<(f32, usize)> = to.iter().enumerate().map(off).collect();
    farthest.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let empty = counts.iter().enumerate().filter(|(_, count)| **count == 0);
    for ((entry, _), (_, at)) in empty.zip(farthest.into_iter().filter(|far| far.0 > 0.0)) {
        middles[entry * used..][..used].copy_from_slice(&points[at * used..][..used]);
    }
}
