//! What the kernels must give, in 64 bits and without haste.

use super::Measure;

/// `measure` of two vectors.
#[must_use]
pub fn compare(measure: Measure, a: &[f32], b: &[f32]) -> f64 {
    let pairs = a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    match measure {
        Measure::Dot => pairs.map(|(a, b)| a * b).sum(),
        Measure::L2 => -pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f64>(),
    }
}

/// Dot product of bytes.
#[must_use]
pub fn dot_i8(a: &[i8], b: &[i8]) -> i64 {
    a.iter().zip(b).map(|(&a, &b)| i64::from(a) * i64::from(b)).sum()
}
