//! How a graph is made.
//!
//! The nearest of each vector are looked for among the vectors of near lists; of these each vertex
//! keeps some that lie in different directions, then some of those that chose it. A walk on the
//! graph so made finds others that are as near, and the choice is made again. What a vertex does
//! depends on what was there before the step alone, so threads change nothing.

mod lists;
mod parallel;
mod points;
mod prune;
mod reach;

use super::cell::CellMut;
use super::search::Walk;
use super::{Graph, Shape};
use crate::kernels::{Kernels, Measure};
use crate::quantize::RaBitQ;
use crate::rows::Rows;
use parallel::each;
use points::Points;
use prune::{Links, Near};

/// How graphs are made.
#[derive(Clone, Copy, Debug)]
pub struct GraphSettings {
    /// How vectors are compared.
    pub measure: Measure,
    /// Neighbours of a vertex: a multiple of 32.
    pub degree: usize,
    /// Near vectors that each chooses its neighbours from.
    pub candidates: usize,
    /// Times that the choice is made again from what walks on the graph find.
    pub rounds: usize,
    /// Selects rotation and sample.
    pub seed: u64,
    /// Threads that build it; they do not change what comes out.
    pub threads: usize,
}

impl GraphSettings {
    /// What serves most vectors well, compared by `measure`.
    #[must_use]
    pub const fn new(measure: Measure) -> Self {
        Self { measure, degree: 32, candidates: 128, rounds: 2, seed: 0, threads: 1 }
    }
}

impl Graph {
    /// The graph of `vectors`; the first is told by place `first`, the next one by the place after
    /// it.
    ///
    /// # Panics
    /// When the degree is 0, above 1024 or no multiple of 32, there are 2^31 vectors or more, or
    /// places would end beyond 2^32.
    #[must_use]
    pub fn build(vectors: &Rows<f32>, first: u32, settings: &GraphSettings) -> Self {
        let degree = settings.degree;
        assert!(degree > 0 && degree <= 1024 && degree.is_multiple_of(Shape::DEGREES), "{degree}");
        assert!(vectors.len() < 1 << 31, "{} vectors", vectors.len());
        assert!(vectors.len() <= (u32::MAX - first) as usize, "places end at 2^32");
        let quantizer = RaBitQ::new(vectors.dim(), settings.measure, settings.seed);
        let shape = Shape { degree, words: quantizer.words() };
        let points = Points::new(vectors, &quantizer, settings);
        let mut cells = Rows::new(shape.cell_words());
        cells.resize_zeroed(vectors.len());
        let codes = quantizer.codes();
        let kernels = Kernels::best();
        let mut graph = Self { quantizer, shape, cells, codes, starts: Vec::new(), kernels };
        let (near, mut starts) = lists::near(&points, settings);
        graph.start_at(&points, &starts);
        let mut links = Links::choose(&points, &near, settings);
        for round in 1..=settings.rounds {
            graph.link(&points, first, &links, settings.threads);
            // The last walk is to be good; those before it only make a graph for it.
            let width = (settings.candidates * round).div_ceil(settings.rounds);
            let near = graph.walk_all(&points, &links, width, settings.threads);
            links = Links::choose(&points, &near, settings);
        }
        let begun = starts.len();
        reach::all(&points, &mut links, &mut starts, degree);
        graph.start_at(&points, &starts[begun..]);
        graph.link(&points, first, &links, settings.threads);
        graph
    }

    /// Makes these vertices starts too.
    fn start_at(&mut self, points: &Points<'_>, vertices: &[u32]) {
        let zero = vec![0.0; self.quantizer.padded()];
        for &vertex in vertices {
            let mut turned = points.turned(vertex).to_vec();
            self.quantizer.encode(&mut turned, &zero, &mut self.codes);
            self.starts.push(vertex);
        }
    }

    /// Writes cells with these neighbours.
    fn link(&mut self, points: &Points<'_>, first: u32, links: &Links, threads: usize) {
        let (shape, quantizer) = (self.shape, &self.quantizer);
        let stride = self.cells.stride();
        parallel::each_chunk(threads, self.cells.as_mut_slice(), stride, |vertex, words| {
            let vertex = vertex as u32;
            let mut cell = CellMut::new(shape, words);
            let (bytes, unit, squares) = points.own(vertex);
            cell.set_own(bytes, unit, squares, first + vertex);
            let neighbours = links.of(vertex);
            let mut code = [0; 128];
            let code = &mut code[..shape.words];
            for (at, near) in neighbours.iter().enumerate() {
                if let Some(next) = neighbours.get(at + 1) {
                    points.prefetch_turned(next.vertex);
                }
                let turned = points.turned(near.vertex);
                let factors = quantizer.code(turned, points.turned(vertex), code);
                cell.set(at, near.vertex, code, factors);
            }
            cell.end(neighbours.len());
        });
    }

    /// For each vertex those near to it that a walk finds, and its neighbours, nearest first.
    fn walk_all(
        &self,
        points: &Points<'_>,
        links: &Links,
        width: usize,
        threads: usize,
    ) -> Vec<Vec<Near>> {
        let view = self.view();
        each(threads, points.len(), |vertex| {
            let vertex = vertex as u32;
            let query = self.quantizer.query_turned(points.turned(vertex));
            let mut near = links.of(vertex).to_vec();
            let mut walk = Walk::new(&self.kernels, &query, &view, width);
            walk.run(|seen| {
                if seen.vertex != vertex {
                    let distance = points.distance(vertex, seen.vertex, seen.product);
                    near.push(Near { distance, vertex: seen.vertex });
                }
            });
            Near::order(&mut near);
            near
        })
    }
}
