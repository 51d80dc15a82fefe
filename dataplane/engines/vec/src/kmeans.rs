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
    pub(crate) const ROUGH: Self = Self { sample: 32, rounds: 4 };
}

/// Vectors that are compared with all centres at once.
const BATCH: usize = 48;

/// Half the squared length of each row.
pub(crate) fn halves(kernels: &Kernels, rows: &Rows<f32>) -> Vec<f32> {
    let half = |at| kernels.compare_f32(Measure::Dot, rows.row(at), rows.row(at)) / 2.0;
    (0..rows.len()).map(half).collect()
}

/// Writes into `out` which of `centres` is nearest to each of the rows from `from` on.
pub(crate) fn nearest(
    kernels: &Kernels,
    centres: &Rows<f32>,
    halves: &[f32],
    rows: &Rows<f32>,
    from: usize,
    out: &mut [u32],
) {
    let stride = centres.stride();
    let mut dots = vec![0.0; BATCH.min(out.len()) * centres.len()];
    for (batch, out) in out.chunks_mut(BATCH).enumerate() {
        let begin = (from + batch * BATCH) * stride;
        let rows = &rows.as_slice()[begin..begin + out.len() * stride];
        let dots = &mut dots[..out.len() * centres.len()];
        kernels.tile_f32(centres.as_slice(), rows, stride, dots);
        for (out, dots) in out.iter_mut().zip(dots.chunks_exact(centres.len())) {
            *out = best(dots, halves);
        }
    }
}

/// The place of the greatest difference.
fn best(dots: &[f32], halves: &[f32]) -> u32 {
    let mut best = (f32::NEG_INFINITY, 0);
    for (at, (dot, half)) in dots.iter().zip(halves).enumerate() {
        if dot - half > best.0 {
            best = (dot - half, at as u32);
        }
    }
    best.1
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
    let sample = shuffled(rows, count.saturating_mul(effort.sample), seed);
    let mut centres = Rows::new(rows.dim());
    (0..count).for_each(|at| centres.push(&sample.row(at)[..rows.dim()]));
    let mut assigned = vec![0; sample.len()];
    for _ in 0..effort.rounds {
        let halves = halves(kernels, &centres);
        nearest(kernels, &centres, &halves, &sample, 0, &mut assigned);
        move_centres(&mut centres, &sample, &assigned);
    }
    centres
}

/// Up to `most` rows in an order that `seed` selects.
fn shuffled(rows: &Rows<f32>, most: usize, seed: u64) -> Rows<f32> {
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    let mut state = seed | 1;
    let taken = most.min(rows.len());
    let mut sample = Rows::new(rows.dim());
    for at in 0..taken {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = at + (state % (rows.len() - at) as u64) as usize;
        order.swap(at, other);
        sample.push(&rows.row(order[at] as usize)[..rows.dim()]);
    }
    sample
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
