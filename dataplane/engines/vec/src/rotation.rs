//! A random rotation that takes time near to linear in the dimension.

use crate::kernels::Kernels;
use crate::rows::Rows;

/// A fixed orthogonal map that spreads every direction over all components.
///
/// Rounds of random signs and Hadamard transforms, over the first and the last power of two of the
/// components by turns; after every second one the halves are folded. So every component meets
/// every other, and no direction stays on few of them. It depends on dimension and seed alone, not
/// on the processor.
#[derive(Debug)]
pub struct Rotation {
    dim: usize,
    padded: usize,
    /// Components that one transform goes over.
    power: usize,
    /// Signs, scaled so that a round keeps lengths; one row a round.
    rounds: Rows<f32>,
    kernels: Kernels,
}

impl Rotation {
    /// Rotated vectors have a multiple of so many components.
    pub const PADDING: usize = 64;

    /// The rotation of `dim` components that `seed` selects.
    ///
    /// # Panics
    /// When `dim` is 0.
    #[must_use]
    pub fn new(dim: usize, seed: u64) -> Self {
        assert!(dim > 0, "vectors have components");
        let padded = dim.next_multiple_of(Self::PADDING);
        let power = 1 << padded.ilog2();
        let whole = power == padded;
        let mut rounds = Rows::new(padded);
        let mut state = seed;
        for round in 0..if whole { 3 } else { 4 } {
            let from = Self::from(round, padded, power);
            let fold = if Self::folds(round, padded, power) { 0.5_f32.sqrt() } else { 1.0 };
            let inside = (1.0 / power as f32).sqrt() * fold;
            let mut bits = 0;
            let row: Vec<f32> = (0..padded)
                .map(|at| {
                    if at % 64 == 0 {
                        bits = split_mix(&mut state);
                    }
                    let size = if (from..from + power).contains(&at) { inside } else { fold };
                    if bits >> (at % 64) & 1 == 0 { size } else { -size }
                })
                .collect();
            rounds.push(&row);
        }
        Self { dim, padded, power, rounds, kernels: Kernels::best() }
    }

    /// Components of a rotated vector.
    #[must_use]
    pub const fn padded(&self) -> usize {
        self.padded
    }

    const fn from(round: usize, padded: usize, power: usize) -> usize {
        if round.is_multiple_of(2) { 0 } else { padded - power }
    }

    const fn folds(round: usize, padded: usize, power: usize) -> bool {
        power < padded && !round.is_multiple_of(2)
    }

    /// Writes `vector`, rotated, into `out`.
    ///
    /// # Panics
    /// When `vector` does not have the dimension's components, or `out` not [`Self::padded`] ones.
    pub fn rotate(&self, vector: &[f32], out: &mut [f32]) {
        assert_eq!(vector.len(), self.dim, "components");
        out[..self.dim].copy_from_slice(vector);
        out[self.dim..].fill(0.0);
        for round in 0..self.rounds.len() {
            let from = Self::from(round, self.padded, self.power);
            let folds = Self::folds(round, self.padded, self.power);
            self.kernels.round(out, self.rounds.row(round), (from, self.power), folds);
        }
    }
}

impl Rotation {
    /// Turns a rotated vector back; the inverse of [`Self::rotate`] but for rounding. Works in
    /// `rotated`, and not as fast: only vectors that are kept as nothing but codes need it.
    ///
    /// # Panics
    /// When `rotated` does not have [`Self::padded`] components, or `out` not the dimension's.
    pub(crate) fn undo(&self, rotated: &mut [f32], out: &mut [f32]) {
        assert_eq!((rotated.len(), out.len()), (self.padded, self.dim), "components");
        for round in (0..self.rounds.len()).rev() {
            // A round is symmetric but for its order, and keeps lengths with the signs' scale.
            if Self::folds(round, self.padded, self.power) {
                let (low, high) = rotated.split_at_mut(self.padded / 2);
                for (a, b) in low.iter_mut().zip(high) {
                    (*a, *b) = (*a + *b, *a - *b);
                }
            }
            let from = Self::from(round, self.padded, self.power);
            transform(&mut rotated[from..from + self.power]);
            rotated.iter_mut().zip(self.rounds.row(round)).for_each(|(x, by)| *x *= by);
        }
        out.copy_from_slice(&rotated[..self.dim]);
    }
}

/// The unscaled Hadamard transform.
fn transform(x: &mut [f32]) {
    let mut half = 1;
    while half < x.len() {
        for pair in x.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}

/// Steele, Lea and Flood's SplitMix64 (OOPSLA 2014).
pub(crate) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Isa, Measure, oracle};

    fn all(dim: usize) -> (Rotation, Vec<Vec<f32>>) {
        let rotation = Rotation::new(dim, 7);
        let rotated = (0..dim.min(40)).map(|at| {
            let mut unit = vec![0.0; dim];
            unit[at * dim / dim.min(40)] = 1.0;
            let mut out = vec![0.0; rotation.padded()];
            rotation.rotate(&unit, &mut out);
            out
        });
        let rotated = rotated.collect();
        (rotation, rotated)
    }

    #[test]
    fn directions_stay_at_right_angles_and_are_spread() {
        for dim in [1, 2, 63, 64, 100, 128, 384, 768, 1000, 1536, 4096] {
            let (rotation, rotated) = all(dim);
            assert_eq!(rotation.padded() % 64, 0);
            for (k, a) in rotated.iter().enumerate() {
                for (j, b) in rotated.iter().enumerate() {
                    let want = f64::from(u8::from(k == j));
                    let got = oracle::compare(Measure::Dot, a, b);
                    assert!((got - want).abs() < 1e-5, "dim {dim}: {k} {j}: {got}");
                }
                let most = a.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
                assert!(most < 6.0 / (rotation.padded() as f32).sqrt(), "dim {dim}: {most}");
            }
        }
    }

    #[test]
    fn a_rotated_vector_turns_back() {
        for dim in [2, 63, 64, 100, 128, 384, 1000, 4096] {
            let rotation = Rotation::new(dim, 3);
            let vector = crate::testing::noise(dim as u64, dim);
            let (mut rotated, mut back) = (vec![0.0; rotation.padded()], vec![0.0; dim]);
            rotation.rotate(&vector, &mut rotated);
            rotation.undo(&mut rotated, &mut back);
            for (a, b) in vector.iter().zip(&back) {
                assert!((a - b).abs() < 1e-4, "dim {dim}: {a} {b}");
            }
        }
    }

    #[test]
    fn every_level_rotates_to_the_same_bits() {
        for dim in [64, 100, 384, 1536] {
            let mut rotation = Rotation::new(dim, 99);
            let vector: Vec<f32> = (0..dim).map(|at| ((at * 37 % 101) as f32).sin()).collect();
            let mut want: Option<Vec<u32>> = None;
            for kernels in Isa::available().filter_map(Kernels::of) {
                rotation.kernels = kernels;
                let mut out = vec![0.0; rotation.padded()];
                rotation.rotate(&vector, &mut out);
                let bits: Vec<u32> = out.iter().map(|value| value.to_bits()).collect();
                assert_eq!(*want.get_or_insert_with(|| bits.clone()), bits, "{kernels:?}");
            }
        }
    }
}
