//! The vectors of a graph that is built.

use super::GraphSettings;
use crate::kernels::{Kernels, Measure, prefetch};
use crate::quantize::RaBitQ;
use crate::rows::Rows;

/// Vectors, rotated, in full and as bytes.
#[derive(Debug)]
pub(super) struct Points<'a> {
    pub(super) vectors: &'a Rows<f32>,
    turned: Rows<f32>,
    pub(super) bytes: Rows<i8>,
    /// What a byte of each counts.
    pub(super) unit: Vec<f32>,
    pub(super) squares: Vec<f32>,
    /// One more component, for [`Measure::Dot`]: what each lacks of the longest one's length. With
    /// it, the order of distances from a query that lacks it is that of products.
    pub(super) lift: Vec<f32>,
    pub(super) kernels: Kernels,
}

impl<'a> Points<'a> {
    pub(super) fn new(
        vectors: &'a Rows<f32>,
        quantizer: &RaBitQ,
        settings: &GraphSettings,
    ) -> Self {
        let kernels = Kernels::best();
        let padded = quantizer.padded();
        let (mut turned, mut bytes) = (Rows::new(padded), Rows::new(padded));
        turned.resize_zeroed(vectors.len());
        bytes.reserve(vectors.len());
        let (mut unit, mut squares) = (Vec::new(), Vec::new());
        let mut row = vec![0_i8; padded];
        for at in 0..vectors.len() {
            quantizer.rotate(&vectors.row(at)[..vectors.dim()], turned.row_mut(at));
            unit.push(kernels.bytes(turned.row(at), &mut row));
            squares.push(kernels.compare_f32(Measure::Dot, turned.row(at), turned.row(at)));
            bytes.push(&row);
        }
        let longest = squares.iter().copied().fold(0.0, f32::max);
        let lack = |&squares: &f32| (longest - squares).max(0.0).sqrt();
        let lift = match settings.measure {
            Measure::Dot => squares.iter().map(lack).collect(),
            Measure::L2 => vec![0.0; vectors.len()],
        };
        Self { vectors, turned, bytes, unit, squares, lift, kernels }
    }

    pub(super) const fn len(&self) -> usize {
        self.vectors.len()
    }

    /// A vector, rotated.
    pub(super) fn turned(&self, vertex: u32) -> &[f32] {
        self.turned.row(vertex as usize)
    }

    /// Its bytes, what one counts, and its squared length.
    pub(super) fn own(&self, vertex: u32) -> (&[i8], f32, f32) {
        let at = vertex as usize;
        (self.bytes.row(at), self.unit[at], self.squares[at])
    }

    /// Asks for the bytes of a vector.
    #[inline]
    pub(super) fn prefetch(&self, vertex: u32) {
        self.bytes.row(vertex as usize).chunks(64).for_each(|line| prefetch(line.as_ptr()));
    }

    /// Asks for a vector, rotated.
    #[inline]
    pub(super) fn prefetch_turned(&self, vertex: u32) {
        self.turned(vertex).chunks(16).for_each(|line| prefetch(line.as_ptr()));
    }

    /// The product of two whose bytes' product is `dot`.
    #[inline]
    pub(super) fn product(&self, a: u32, b: u32, dot: i32) -> f32 {
        dot as f32 * (self.unit[a as usize] * self.unit[b as usize])
    }

    /// The squared distance of two with this product.
    #[inline]
    pub(super) fn distance(&self, a: u32, b: u32, product: f32) -> f32 {
        let (a, b) = (a as usize, b as usize);
        let lift = self.lift[a] - self.lift[b];
        (self.squares[a] + self.squares[b] - 2.0 * product + lift * lift).max(0.0)
    }
}
