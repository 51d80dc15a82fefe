//! The walk from vertex to vertex.

use super::beam::{Beam, Seen, VERTEX};
use super::cell::Cell;
use super::{GraphView, Starts};
use crate::index::{Answer, Search};
use crate::kernels::{Found, Kernels, Measure};
use crate::quantize::{CodesView, QueryTables};
use crate::topk::TopK;

/// Least vertices that a walk begins at.
const BEGIN: usize = 4;
/// A walk begins at one for so many of its beam.
const BEGIN_SHARE: usize = 8;

/// Searches a graph with a beam of [`Search::candidates`] vertices, and ranks those that were
/// visited.
///
/// A filter says what may be hit, not where the walk may go. As long as it let fewer vertices pass
/// than the beam is to have, the walk is taken again with a wider one: a filter that allows next to
/// nothing makes it go over the whole graph.
///
/// # Panics
/// When query and graph have different dimensions.
#[must_use]
pub fn search_graph(
    kernels: &Kernels,
    search: &Search<'_>,
    query: &QueryTables,
    graph: &GraphView<'_>,
) -> Answer {
    let wanted = search.candidates.max(search.k).min(graph.len());
    let mut best = TopK::new(search.k, search.least);
    let mut answer = Answer::default();
    let mut width = wanted;
    loop {
        let (mut walk, mut passed) = (Walk::new(kernels, query, graph, width), 0);
        walk.run(|seen| {
            if search.filter.is_none_or(|filter| filter.allows(seen.place)) {
                best.offer(seen.place, seen.score);
                passed += 1;
            }
        });
        answer.estimated += walk.estimated;
        answer.computed += walk.computed;
        if passed >= wanted || search.filter.is_none() || width >= graph.len() {
            answer.hits = best.sorted();
            return answer;
        }
        best.reset(search.k, search.least);
        width = (WIDER * width).min(graph.len());
    }
}

/// Times as wide as the last that the next walk's beam is.
const WIDER: usize = 4;

/// A vertex that was visited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visited {
    /// Its number.
    pub(super) vertex: u32,
    /// What a hit is told by.
    pub(super) place: u32,
    /// Its dot product with the query.
    pub(super) product: f32,
    /// Its score.
    pub(super) score: f32,
}

/// A walk over a graph towards a query.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    kernels: &'a Kernels,
    query: &'a QueryTables,
    graph: &'a GraphView<'a>,
    beam: Beam,
    /// What was in the beam.
    seen: Seen,
    found: Found,
    exact: Exact<'a>,
    /// Codes whose score was estimated.
    pub(super) estimated: u64,
    /// Vertices that were visited.
    pub(super) computed: u64,
}

impl<'a> Walk<'a> {
    /// A walk that begins with a beam of `width`.
    pub(super) fn new(
        kernels: &'a Kernels,
        query: &'a QueryTables,
        graph: &'a GraphView<'a>,
        width: usize,
    ) -> Self {
        let blocks = graph.starts.codes.blocks().max(graph.shape.degree / crate::kernels::BLOCK);
        let mut walk = Self {
            kernels,
            query,
            graph,
            beam: Beam::new(width),
            seen: Seen::new(8 * width),
            found: Found::with_room(blocks),
            exact: Exact::new(kernels, query, graph.measure),
            estimated: 0,
            computed: 0,
        };
        walk.begin((width / BEGIN_SHARE).max(BEGIN));
        walk
    }

    /// Puts the `count` most promising starts into the beam.
    fn begin(&mut self, count: usize) {
        let Starts { codes, vertices } = self.graph.starts;
        let constant = match self.graph.measure {
            Measure::Dot => 0.0,
            Measure::L2 => -self.exact.squares,
        };
        self.scan(&codes, f32::NEG_INFINITY, codes.lines);
        let mut top = TopK::new(count, f32::NEG_INFINITY);
        self.found.iter().for_each(|(at, score)| top.offer(at, score));
        for hit in top.hits() {
            if let Some(&vertex) = vertices.get(hit.at as usize) {
                self.push(vertex, hit.score + constant);
            }
        }
    }

    /// Finds among `codes` those above `floor`, and meanwhile asks for the memory of `next`.
    #[inline]
    fn scan(&mut self, codes: &CodesView<'_>, floor: f32, next: &[u32]) {
        let all = (0..codes.blocks(), floor);
        codes.scan_before(self.kernels, self.query, all, next, &mut self.found);
        self.estimated += codes.len as u64;
    }

    /// Goes on until all of the beam was visited; tells what was.
    pub(super) fn run(&mut self, mut visited: impl FnMut(Visited)) {
        // One vertex ahead: its memory comes while the one before it is worked on.
        let mut ahead = self.take();
        while let Some((vertex, cell)) = ahead {
            ahead = self.take();
            let (product, score) = self.exact.score(&cell);
            self.computed += 1;
            visited(Visited { vertex, place: cell.place(), product, score });
            let codes = cell.codes();
            let next = ahead.as_ref().map_or(codes.lines, |(_, ahead)| ahead.codes().lines);
            self.scan(&codes, self.beam.floor() - score, next);
            if let Some((_, ahead)) = &ahead {
                ahead.prefetch(true);
            }
            self.push_found(&cell, score);
            if ahead.is_none() {
                ahead = self.take();
                if let Some((_, ahead)) = &ahead {
                    ahead.prefetch(true);
                }
            }
        }
    }

    /// The next vertex to be visited.
    #[inline]
    fn take(&mut self) -> Option<(u32, Cell<'a>)> {
        while let Some(vertex) = self.beam.take() {
            if let Some(cell) = self.graph.cell(vertex) {
                cell.prefetch(false);
                return Some((vertex, cell));
            }
        }
        None
    }

    /// Puts the neighbours that a scan found into the beam.
    #[inline]
    fn push_found(&mut self, cell: &Cell<'_>, score: f32) {
        let vertices = cell.neighbours();
        for at in 0..self.found.len {
            let vertex = vertices[self.found.at[at] as usize];
            self.push(vertex, self.found.score[at] + score);
        }
    }

    /// Puts a vertex into the beam that never was in it.
    #[inline]
    fn push(&mut self, vertex: u32, score: f32) {
        if score > self.beam.floor() && self.seen.insert(vertex & VERTEX) {
            self.beam.push(vertex & VERTEX, score);
        }
    }
}

/// Scores of visited vertices.
#[derive(Debug)]
struct Exact<'a> {
    kernels: &'a Kernels,
    measure: Measure,
    /// The query's components.
    bytes: &'a [i8],
    /// What one of them counts.
    byte: f32,
    /// What the vertices' bytes have too much, since 128 stands for 0.
    bias: i32,
    /// The query's squared length.
    squares: f32,
}

impl<'a> Exact<'a> {
    fn new(kernels: &'a Kernels, query: &'a QueryTables, measure: Measure) -> Self {
        let (bytes, byte) = query.bytes();
        let bytes = &bytes[..query.turned().len()];
        let bias = 128 * bytes.iter().map(|&value| i32::from(value)).sum::<i32>();
        let squares = kernels.compare_f32(Measure::Dot, query.turned(), query.turned());
        Self { kernels, measure, bytes, byte, bias, squares }
    }

    /// A vertex's product with the query, and its score.
    #[inline]
    fn score(&self, cell: &Cell<'_>) -> (f32, f32) {
        let dot = self.kernels.dot_u8(cell.components(), self.bytes) - self.bias;
        let (unit, squares) = cell.unit();
        let product = dot as f32 * (self.byte * unit);
        match self.measure {
            Measure::Dot => (product, product),
            Measure::L2 => (product, 2.0 * product - squares - self.squares),
        }
    }
}
