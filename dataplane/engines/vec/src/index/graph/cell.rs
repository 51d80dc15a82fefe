//! What lies at a vertex, in one stretch of memory.
//!
//! All of a cell is 32-bit little-endian words, in this order; `R` is the degree, `W` the words of
//! a code:
//!
//! | part | words | what |
//! |---|---|---|
//! | neighbours | R | numbers of vertices |
//! | scale | R | f32: what a neighbour's product counts for |
//! | add | R | f32: what is then added; minus infinity where there is no neighbour |
//! | codes | R × W | the neighbours' codes about this vertex, in blocks as a [`CodesView`] has them |
//! | components | 8 × W | the rotated vector as bytes, 128 standing for 0 |
//! | unit | 1 | f32: what a component's 1 is |
//! | squares | 1 | f32: the vector's squared length |
//! | place | 1 | what a hit is told by |
//! | zeros | 13 | so that cells are whole cache lines |

use super::super::super::quantize::CodesView;
use crate::kernels::BLOCK;

/// Where the parts of cells are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Neighbours of a vertex: a multiple of [`Shape::DEGREES`].
    pub degree: usize,
    /// Words of a code.
    pub words: usize,
}

/// Words of a cache line, of which cells are whole ones.
const LINE: usize = 16;

impl Shape {
    /// Degrees are multiples of so many.
    pub const DEGREES: usize = 32;

    /// 32-bit words of a cell, a multiple of 16.
    #[must_use]
    pub const fn cell_words(&self) -> usize {
        self.own() + LINE
    }

    /// Where the vector's components are.
    const fn components(&self) -> usize {
        (3 + self.words) * self.degree
    }

    /// Where the three last words are.
    const fn own(&self) -> usize {
        self.components() + 8 * self.words
    }
}

/// The cell of one vertex.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell<'a> {
    shape: Shape,
    words: &'a [u32],
}

impl<'a> Cell<'a> {
    /// The cell that `words` are.
    pub(super) fn new(shape: Shape, words: &'a [u32]) -> Self {
        debug_assert_eq!(words.len(), shape.cell_words());
        Self { shape, words }
    }

    /// Numbers of its neighbours.
    pub(super) fn neighbours(&self) -> &'a [u32] {
        &self.words[..self.shape.degree]
    }

    /// Codes of its neighbours about it.
    pub(super) fn codes(&self) -> CodesView<'a> {
        let Shape { degree, words } = self.shape;
        CodesView {
            words,
            len: degree,
            lines: &self.words[3 * degree..][..degree * words],
            scale: bytemuck::cast_slice(&self.words[degree..2 * degree]),
            add: bytemuck::cast_slice(&self.words[2 * degree..3 * degree]),
        }
    }

    /// Its components as bytes.
    pub(super) fn components(&self) -> &'a [u8] {
        bytemuck::cast_slice(&self.words[self.shape.components()..self.shape.own()])
    }

    /// What a component's 1 is, and the squared length.
    pub(super) fn unit(&self) -> (f32, f32) {
        let at = self.shape.own();
        (f32::from_bits(self.words[at]), f32::from_bits(self.words[at + 1]))
    }

    /// What a hit is told by.
    pub(super) fn place(&self) -> u32 {
        self.words[self.shape.own() + 2]
    }

    /// Asks for all of its memory.
    #[inline]
    pub(super) fn prefetch(&self) {
        for line in self.words.chunks(LINE) {
            crate::kernels::prefetch(line.as_ptr());
        }
    }
}

/// The cell of one vertex, to be written.
#[derive(Debug)]
pub(super) struct CellMut<'a> {
    shape: Shape,
    words: &'a mut [u32],
}

impl<'a> CellMut<'a> {
    /// The cell that `words` are.
    pub(super) fn new(shape: Shape, words: &'a mut [u32]) -> Self {
        debug_assert_eq!(words.len(), shape.cell_words());
        Self { shape, words }
    }

    /// Writes the vector itself.
    pub(super) fn set_own(&mut self, components: &[i8], unit: f32, squares: f32, place: u32) {
        let (at, own) = (self.shape.components(), self.shape.own());
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.words[at..own]);
        for (byte, &component) in bytes.iter_mut().zip(components) {
            *byte = component as u8 ^ 0x80;
        }
        self.words[own..own + 3].copy_from_slice(&[unit.to_bits(), squares.to_bits(), place]);
    }

    /// Writes neighbour `at`: its number, code and factors.
    pub(super) fn set(&mut self, at: usize, vertex: u32, code: &[u32], (scale, add): (f32, f32)) {
        let Shape { degree, words } = self.shape;
        self.words[at] = vertex;
        self.words[degree + at] = scale.to_bits();
        self.words[2 * degree + at] = add.to_bits();
        let block = 3 * degree + at / BLOCK * BLOCK * words;
        let lines = self.words[block..][..BLOCK * words].chunks_exact_mut(BLOCK);
        lines.zip(code).for_each(|(line, &word)| line[at % BLOCK] = word);
    }

    /// Says that there are no neighbours from `at` on.
    pub(super) fn end(&mut self, at: usize) {
        let degree = self.shape.degree;
        self.words[at..degree].fill(0);
        self.words[2 * degree + at..3 * degree].fill(f32::NEG_INFINITY.to_bits());
    }
}
