//! Centres that vectors lie around.

use crate::kernels::{Kernels, Measure};
use crate::rows::Rows;

/// How much work centres are worth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Vectors of the sample for each centre.
    sample: usize,
    /// Rounds of moving centres.
    rounds: usize,
}

impl Effort {
    /// Centres that stay: more sample and later rounds change little.
    pub(crate) const FULL: Self = Self { sample: 64, rounds: 10 };
    /// Centres that only bring together what is near.
    pub(crate) const ROUGH: Self = Self { sample: 24, rounds: 3 };
}

/// Vectors that are compared with all centres at once.
pub(crate) const BATCH: usize = 48;

/// Half the squared length of each row.
pub(crate) fn halves(kernels: &Kernels, rows: &Rows<f32>) -> Vec<f32> {
    let half = |at| kernels.compare_f32(Measure::Dot, rows.row(at), rows.row(at)) / 2.0;
    (0..rows.len()).map(half).collect()
}

/// Centres, ready to be told which one is nearest: as bytes of their offsets from their middle, so
/// that bytes tell what differs between them. Of centres that are next to as near either is told.
#[derive(Debug)]
pub(crate) struct Centres {
    middle: Vec<f32>,
    bytes: Rows<i8>,
    /// What a byte of each counts.
    units: Vec<f32>,
    /// Half the squared length of each offset.
    halves: Vec<f32>,
    kernels: Kernels,
}

impl Centres {
    /// The rows of `centres`.
    pub(crate) fn new(kernels: &Kernels, centres: &Rows<f32>) -> Self {
        let mut middle = vec![0.0; centres.stride()];
        let share = 1.0 / centres.len().max(1) as f32;
        for at in 0..centres.len() {
            middle.iter_mut().zip(centres.row(at)).for_each(|(sum, value)| *sum += value * share);
        }
        let mut own = Self {
            middle,
            bytes: Rows::new(centres.dim()),
            units: Vec::with_capacity(centres.len()),
            halves: Vec::with_capacity(centres.len()),
            kernels: *kernels,
        };
        own.bytes.resize_zeroed(centres.len());
        let (mut offset, stride) = (own.offset(), own.bytes.stride());
        for at in 0..centres.len() {
            own.take_off(centres.row(at), &mut offset);
            let bytes = &mut own.bytes.as_mut_slice()[at * stride..][..stride];
            let unit = kernels.bytes(&offset, bytes);
            own.units.push(unit);
            own.halves.push(kernels.compare_f32(Measure::Dot, &offset, &offset) / 2.0);
        }
        own
    }

    /// Room for the offset of a row from the middle.
    fn offset(&self) -> Vec<f32> {
        vec![0.0; self.bytes.stride()]
    }

    fn take_off(&self, row: &[f32], offset: &mut [f32]) {
        for ((offset, value), middle) in offset.iter_mut().zip(row).zip(&self.middle) {
            *offset = value - middle;
        }
    }

    /// Writes into `out` which centre is nearest to each of the rows from `from` on.
    pub(crate) fn nearest(&self, rows: &Rows<f32>, from: usize, out: &mut [u32]) {
        if self.halves.len() < 2 {
            out.fill(0);
            return;
        }
        let (stride, count) = (self.bytes.stride(), self.halves.len());
        let (mut bytes, mut units) = (vec![0; BATCH * stride], [0.0; BATCH]);
        let (mut offset, mut dots) = (self.offset(), vec![0; BATCH * count]);
        for (batch, out) in out.chunks_mut(BATCH).enumerate() {
            for (at, bytes) in bytes.chunks_exact_mut(stride).take(out.len()).enumerate() {
                self.take_off(rows.row(from + batch * BATCH + at), &mut offset);
                units[at] = self.kernels.bytes(&offset, bytes);
            }
            let (bytes, dots) = (&bytes[..out.len() * stride], &mut dots[..out.len() * count]);
            self.kernels.tile_i8(self.bytes.as_slice(), bytes, stride, dots);
            for ((out, dots), unit) in out.iter_mut().zip(dots.chunks_exact(count)).zip(units) {
                *out = self.kernels.closest(dots, &self.units, &self.halves, unit);
            }
        }
    }

    /// Writes into `out` the dot product of each centre with a query of bytes that count `unit`, but for
    /// that of [`Self::middle`].
    pub(crate) fn products(
        &self,
        (query, unit): (&[i8], f32),
        dots: &mut Vec<i32>,
        out: &mut Vec<f32>,
    ) {
        dots.resize(self.halves.len(), 0);
        self.kernels.scan_i8(self.bytes.as_slice(), &query[..self.bytes.stride()], dots);
        out.clear();
        out.extend(dots.iter().zip(&self.units).map(|(dot, own)| *dot as f32 * (unit * own)));
    }

    /// What all centres are offset from, with its padding.
    pub(crate) fn middle(&self) -> &[f32] {
        &self.middle
    }

    /// Bytes of memory that they hold.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.bytes() + 4 * (self.middle.len() + 2 * self.halves.len())
    }
}

/// Lloyd's algorithm from random vectors of the sample; a centre without vectors takes over half
/// of those of the largest one.
///
/// # Panics
/// When `count` is 0 or above the number of rows.
pub(crate) fn train(
    kernels: &Kernels,
    rows: &Rows<f32>,
    count: usize,
    seed: u64,
    effort: Effort,
) -> Rows<f32> {
    assert!(count > 0 && count <= rows.len(), "{count} centres of {} vectors", rows.len());
    let order = shuffled(rows.len(), count.saturating_mul(effort.sample), seed);
    let mut centres = Rows::new(rows.dim());
    let row = |at: &u32| &rows.row(*at as usize)[..rows.dim()];
    order[..count].iter().for_each(|at| centres.push(row(at)));
    let mut some = Rows::new(rows.dim());
    let is_part = order.len() < rows.len();
    if is_part {
        some.reserve(order.len());
        order.iter().for_each(|at| some.push(row(at)));
    }
    let sample = if is_part { &some } else { rows };
    let mut assigned = vec![0; sample.len()];
    for _ in 0..effort.rounds {
        Centres::new(kernels, &centres).nearest(sample, 0, &mut assigned);
        move_centres(&mut centres, sample, &assigned);
    }
    centres
}

/// The numbers of up to `most` of so many rows, in an order that `seed` selects.
fn shuffled(rows: usize, most: usize, seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..rows as u32).collect();
    let mut state = seed | 1;
    let taken = most.min(rows);
    for at in 0..taken {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(at, at + (state % (rows - at) as u64) as usize);
    }
    order.truncate(taken);
    order
}

/// Puts each centre in the middle of its vectors.
fn move_centres(centres: &mut Rows<f32>, sample: &Rows<f32>, assigned: &[u32]) {
    let mut counts = vec![0_u32; centres.len()];
    let mut sums = Rows::new(centres.dim());
    (0..centres.len()).for_each(|_| sums.push(&vec![0.0; centres.dim()]));
    for (at, &to) in assigned.iter().enumerate() {
        counts[to as usize] += 1;
        let sum = sums.row_mut(to as usize).iter_mut();
        sum.zip(sample.row(at)).for_each(|(sum, value)| *sum += value);
    }
    for (at, &count) in counts.iter().enumerate() {
        if count > 0 {
            let by = 1.0 / count as f32;
            let centre = centres.row_mut(at).iter_mut();
            centre.zip(sums.row(at)).for_each(|(centre, sum)| *centre = sum * by);
        }
    }
    for at in 0..centres.len() {
        if counts[at] == 0 {
            let largest = (0..counts.len()).max_by_key(|&at| counts[at]).unwrap_or(0);
            split(centres, largest, at);
            counts[at] = counts[largest] / 2;
            counts[largest] -= counts[at];
        }
    }
}

/// Makes of one centre two, a little to either side.
fn split(centres: &mut Rows<f32>, from: usize, to: usize) {
    let off = 1.0 / 1024.0;
    let centre: Vec<f32> = centres.row(from)[..centres.dim()].to_vec();
    for (at, value) in centre.iter().enumerate() {
        let by = if at % 2 == 0 { 1.0 + off } else { 1.0 - off };
        centres.row_mut(from)[at] = value * by;
        centres.row_mut(to)[at] = value * (2.0 - by);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::Isa;
    use crate::testing::noise;

    proptest! {
        /// What is told is nearest but for what bytes cannot tell apart, however far all lies from 0.
        #[test]
        fn the_nearest_centre_is_told(
            dim in 2usize..100,
            count in 1usize..60,
            queries in 1usize..120,
            away in 0.0_f32..1000.0,
            seed: u64,
        ) {
            let some = |seed: u64, count: usize| {
                let mut rows = Rows::new(dim);
                for at in 0..count as u64 {
                    let row: Vec<f32> =
                        noise(seed ^ at.wrapping_mul(977), dim).iter().map(|v| v + away).collect();
                    rows.push(&row);
                }
                rows
            };
            let (centres, rows) = (some(seed, count), some(!seed, queries));
            for kernels in Isa::available().filter_map(Kernels::of) {
                let near = Centres::new(&kernels, &centres);
                let mut told = vec![u32::MAX; queries];
                near.nearest(&rows, 0, &mut told);
                for (at, told) in told.iter().enumerate() {
                    let off = |centre: usize| {
                        kernels.compare_f32(Measure::L2, centres.row(centre), rows.row(at))
                    };
                    let best = (0..count).map(off).fold(f32::MIN, f32::max);
                    // Components differ by up to 2: bytes are a 64th.
                    let least = best - 0.2 * (dim as f32).sqrt() - 1e-3 * away;
                    prop_assert!(off(*told as usize) >= least, "{} of {best}", off(*told as usize));
                }
            }
        }
    }
}
