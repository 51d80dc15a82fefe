//! What near means, and which vectors can be compared.

use thiserror::Error;

/// How two vectors are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Metric {
    /// The angle between them; their lengths do not matter.
    #[default]
    Cosine,
    /// Their dot product.
    Dot,
    /// Their Euclidean distance.
    L2,
}

/// A vector that cannot be stored or searched for.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum BadVector {
    /// The collection has vectors of another dimension.
    #[error("the vector has {got} components, the collection's have {want}")]
    Dimension {
        /// Components that came.
        got: usize,
        /// Components that belong.
        want: usize,
    },
    /// A component is infinite or no number.
    #[error("component {at} is {value}; components are finite numbers")]
    NotFinite {
        /// Which component.
        at: usize,
        /// What it is.
        value: f32,
    },
    /// All components are 0, or so small that the vector has no direction.
    #[error("the vector has no direction, so no cosine: its length is 0 or nearly so")]
    Zero,
    /// Components so large that sums of their squares are not finite.
    #[error("the vector is too long: the sum of its squares is not a finite 32-bit number")]
    TooLong,
}

/// Largest sum of squares; a dot product of two such vectors is finite.
const LONGEST: f32 = f32::MAX / 4.0;

impl Metric {
    /// Checks `vector` and, for [`Self::Cosine`], scales it to length 1.
    ///
    /// # Errors
    /// [`BadVector`], when it is not of `dim` finite components with a length that the metric
    /// can work with. `vector` is then as it was.
    pub fn admit(self, vector: &mut [f32], dim: usize) -> Result<(), BadVector> {
        if vector.len() != dim {
            return Err(BadVector::Dimension { got: vector.len(), want: dim });
        }
        let squares = squares(vector);
        if !squares.is_finite()
            && let Some(at) = vector.iter().position(|value| !value.is_finite())
        {
            return Err(BadVector::NotFinite { at, value: vector[at] });
        }
        if matches!(self, Self::Cosine) {
            return normalize(vector, squares);
        }
        if squares < f64::from(LONGEST) { Ok(()) } else { Err(BadVector::TooLong) }
    }
}

/// The sum of squares, in 64 bits so that neither tiny nor huge components are lost; in eight sums,
/// none of which waits for another.
fn squares(vector: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 8];
    let mut eights = vector.chunks_exact(8);
    for eight in &mut eights {
        for (sum, value) in sums.iter_mut().zip(eight) {
            *sum += f64::from(*value) * f64::from(*value);
        }
    }
    let rest = eights.remainder().iter().map(|value| f64::from(*value) * f64::from(*value));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

/// Scales to length 1.
fn normalize(vector: &mut [f32], squares: f64) -> Result<(), BadVector> {
    let scale = 1.0 / squares.sqrt();
    if !scale.is_finite() || squares < f64::from(f32::MIN_POSITIVE).powi(2) {
        return Err(BadVector::Zero);
    }
    vector.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_scales_to_one_whatever_the_size() {
        for size in [1e-30_f32, 1.0, 1e30] {
            let mut vector = [3.0 * size, 4.0 * size];
            Metric::Cosine.admit(&mut vector, 2).expect("has a direction");
            assert!((vector[0] - 0.6).abs() < 1e-6 && (vector[1] - 0.8).abs() < 1e-6);
        }
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let refused = |metric: Metric, mut vector: Vec<f32>| metric.admit(&mut vector, 2);
        assert_eq!(refused(Metric::Cosine, vec![0.0, -0.0]), Err(BadVector::Zero));
        assert_eq!(refused(Metric::Dot, vec![0.0, 0.0]), Ok(()));
        assert_eq!(refused(Metric::L2, vec![1e19, 1e19]), Err(BadVector::TooLong));
        let wrong = BadVector::Dimension { got: 3, want: 2 };
        assert_eq!(refused(Metric::Dot, vec![0.0; 3]), Err(wrong));
        for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
            let infinite = BadVector::NotFinite { at: 1, value: f32::INFINITY };
            assert_eq!(refused(metric, vec![1.0, f32::INFINITY]), Err(infinite));
            assert!(refused(metric, vec![f32::NAN, 1.0]).is_err());
        }
    }
}
