//! A graph of near vectors, for vectors that are searched often and seldom change.
//!
//! After Gou, Gao, Xu and Long, "SymphonyQG: Towards Symphonious Integration of Quantization and
//! Graph for Approximate Nearest Neighbor Search" (SIGMOD 2025, arXiv 2411.12229). A vertex keeps
//! codes of its neighbours about itself, so that one scan estimates how near all of them are; the
//! score of a vertex itself is computed only when it is visited, from its components as bytes.
//!
//! A graph is two columns: cells, as [`Shape`] lays them out, and [`Starts`].

mod beam;
mod build;
mod cell;
mod search;
#[cfg(test)]
mod tests;

use thiserror::Error;

pub use build::GraphSettings;
pub use cell::Shape;
pub use search::search_graph;

use super::{Answer, Search};
use crate::kernels::{BLOCK, Kernels, Measure};
use crate::quantize::{Codes, CodesView, RaBitQ};
use crate::rows::Rows;
use cell::Cell;

/// Vertices where a search may begin.
#[derive(Clone, Copy, Debug)]
pub struct Starts<'a> {
    /// Their codes about 0.
    pub codes: CodesView<'a>,
    /// Their numbers.
    pub vertices: &'a [u32],
}

/// A graph where it lies: in memory, or in a mapped file.
///
/// No content of its parts makes a search fail; what cannot be is passed over.
#[derive(Clone, Copy, Debug)]
pub struct GraphView<'a> {
    shape: Shape,
    measure: Measure,
    cells: &'a [u32],
    starts: Starts<'a>,
}

/// Parts that do not make a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadGraph {
    /// The degree is 0 or no multiple of 32, or a code has no words or more than 128.
    #[error("a graph of degree {degree} with codes of {words} words cannot be; rebuild it")]
    Shape {
        /// The degree.
        degree: usize,
        /// Words of a code.
        words: usize,
    },
    /// The cells are no whole number of cells, or 2^31 or more.
    #[error("{words} words are no cells of {cell} words each; rebuild the graph")]
    Cells {
        /// Words that came.
        words: usize,
        /// Words of a cell.
        cell: usize,
    },
    /// The starts' columns do not fit each other or the graph.
    #[error("the graph's starts do not fit it; rebuild it")]
    Starts,
}

impl<'a> GraphView<'a> {
    /// The graph of these parts, compared by `measure`.
    ///
    /// # Errors
    /// [`BadGraph`] when lengths do not fit.
    pub fn new(
        shape: Shape,
        measure: Measure,
        cells: &'a [u32],
        starts: Starts<'a>,
    ) -> Result<Self, BadGraph> {
        let Shape { degree, words } = shape;
        let fits =
            degree > 0 && degree.is_multiple_of(Shape::DEGREES) && (1..=128).contains(&words);
        if !fits || degree > 1024 {
            return Err(BadGraph::Shape { degree, words });
        }
        let cell = shape.cell_words();
        if !cells.len().is_multiple_of(cell) || cells.len() / cell >= 1 << 31 {
            return Err(BadGraph::Cells { words: cells.len(), cell });
        }
        let Starts { codes, vertices } = starts;
        let places = codes.len.next_multiple_of(BLOCK);
        let same = codes.len == vertices.len() && codes.words == words;
        let whole = codes.scale.len() == places && codes.add.len() == places;
        if !(same && whole && codes.lines.len() == places * words) {
            return Err(BadGraph::Starts);
        }
        Ok(Self { shape, measure, cells, starts })
    }

    /// Vertices.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.cells.len() / self.shape.cell_words()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Where the parts of its cells are.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Its cells: one column of a stored graph.
    #[must_use]
    pub const fn cells(&self) -> &'a [u32] {
        self.cells
    }

    /// Where searches begin: the other columns.
    #[must_use]
    pub const fn starts(&self) -> Starts<'a> {
        self.starts
    }

    fn cell(&self, vertex: u32) -> Option<Cell<'a>> {
        let words = self.shape.cell_words();
        let at = (vertex as usize).checked_mul(words)?;
        Some(Cell::new(self.shape, self.cells.get(at..at + words)?))
    }
}

/// A graph in memory.
#[derive(Debug)]
pub struct Graph {
    quantizer: RaBitQ,
    shape: Shape,
    cells: Rows<u32>,
    codes: Codes,
    starts: Vec<u32>,
    kernels: Kernels,
}

impl Graph {
    /// The graph in which a segment's parts are searched.
    #[must_use]
    pub fn view(&self) -> GraphView<'_> {
        GraphView {
            shape: self.shape,
            measure: self.quantizer.measure(),
            cells: self.cells.as_slice(),
            starts: Starts { codes: self.codes.view(), vertices: &self.starts },
        }
    }

    /// Vectors that are there.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Searches it; [`Search::candidates`] is the width of the beam.
    ///
    /// # Panics
    /// When the query has another dimension.
    #[must_use]
    pub fn search(&self, search: &Search<'_>) -> Answer {
        let query = self.quantizer.query(search.query);
        search_graph(&self.kernels, search, &query, &self.view())
    }

    /// Bytes of memory that it holds.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.cells.bytes() + self.codes.bytes() + 4 * self.starts.capacity()
    }
}
