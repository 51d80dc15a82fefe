//! What lies at a vertex, in one stretch of memory.
//!
//! All of a cell is 32-bit little-endian words, in this order; `R` is the degree, `W` the words of
//! a code:
//!
//! | part | words | what |
//! |---|---|---|
//! | unit | 1 | f32: what a component's 1 is |
//! | squares | 1 | f32: the vector's squared length |
//! | place | 1 | what a hit is told by |
//! | zeros | 13 | so that parts are whole cache lines |
//! | components | 8 × W | the rotated vector as bytes, 128 standing for 0 |
//! | neighbours | R | numbers of vertices |
//! | scale | R | f32: what a neighbour's product counts for |
//! | add | R | f32: what is then added; minus infinity where there is no neighbour |
//! | codes | R × W | the neighbours' codes about this vertex, in blocks as a [`CodesView`] has them |

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
        self.neighbours() + (3 + self.words) * self.degree
    }

    /// Where the neighbours' numbers are; factors and codes follow.
    const fn neighbours(&self) -> usize {
        LINE + 8 * self.words
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
        &self.words[self.shape.neighbours()..][..self.shape.degree]
    }

    /// Codes of its neighbours about it.
    pub(super) fn codes(&self) -> CodesView<'a> {
        let Shape { degree, words } = self.shape;
        let (scale, rest) = self.words[self.shape.neighbours() + degree..].split_at(degree);
        let (add, lines) = rest.split_at(degree);
        let (scale, add) = (bytemuck::cast_slice(scale), bytemuck::cast_slice(add));
        CodesView { words, len: degree, lines, scale, add }
    }

    /// Its components as bytes.
    pub(super) fn components(&self) -> &'a [u8] {
        bytemuck::cast_slice(&self.words[LINE..self.shape.neighbours()])
    }

    /// What a component's 1 is, and the squared length.
    pub(super) fn unit(&self) -> (f32, f32) {
        (f32::from_bits(self.words[0]), f32::from_bits(self.words[1]))
    }

    /// What a hit is told by.
    pub(super) fn place(&self) -> u32 {
        self.words[2]
    }

    /// Asks for the first or the second half of its memory: all at once is more than a core can
    /// wait for without standing still.
    #[inline]
    pub(super) fn prefetch(&self, second: bool) {
        let (first, rest) = self.words.split_at(self.words.len() / (2 * LINE) * LINE);
        for line in if second { rest } else { first }.chunks(LINE) {
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
        self.words[..3].copy_from_slice(&[unit.to_bits(), squares.to_bits(), place]);
        let own = &mut self.words[LINE..self.shape.neighbours()];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(own);
        for (byte, &component) in bytes.iter_mut().zip(components) {
            *byte = component as u8 ^ 0x80;
        }
    }

    /// Writes neighbour `at`: its number, code and factors.
    pub(super) fn set(&mut self, at: usize, vertex: u32, code: &[u32], (scale, add): (f32, f32)) {
        let Shape { degree, words } = self.shape;
        let cell = &mut self.words[self.shape.neighbours()..];
        cell[at] = vertex;
        cell[degree + at] = scale.to_bits();
        cell[2 * degree + at] = add.to_bits();
        let block = 3 * degree + at / BLOCK * BLOCK * words;
        let lines = cell[block..][..BLOCK * words].chunks_exact_mut(BLOCK);
        lines.zip(code).for_each(|(line, &word)| line[at % BLOCK] = word);
    }

    /// Says that there are no neighbours from `at` on.
    pub(super) fn end(&mut self, at: usize) {
        let degree = self.shape.degree;
        let cell = &mut self.words[self.shape.neighbours()..];
        cell[at..degree].fill(0);
        cell[2 * degree + at..3 * degree].fill(f32::NEG_INFINITY.to_bits());
    }
}
