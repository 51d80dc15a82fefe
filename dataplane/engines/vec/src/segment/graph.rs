//! A graph in a segment: its vertices are the rows, in their order.
//!
//! Cells are as [`crate::index::graph`] has them. All of the graph is checked when it is first
//! walked, for a walk may go anywhere.

use super::Segment;
use super::file::Writer;
use super::format::{Footer, Region};
use super::lists::{again, rank_again};
use super::mapped::Mapped;
use crate::collection::error::{Damage, StoreError};
use crate::collection::shape::Shape;
use crate::index::graph::{self, GraphView, Starts, search_graph};
use crate::index::{Graph, GraphSettings, Search};
use crate::kernels::BLOCK;
use crate::part::select::Select;
use crate::part::{Hits, Probe};
use crate::quantize::CodesView;
use crate::rows::Rows;

/// Builds the graph of vectors; queries of the collection are turned as it turns them.
pub(super) fn build(shape: &Shape, vectors: &Rows<f32>) -> Graph {
    let settings = GraphSettings { seed: shape.seed, ..GraphSettings::new(shape.measure()) };
    Graph::build(vectors, 0, &settings)
}

/// Says in a footer what a graph is like.
pub(super) fn describe(graph: &Graph, footer: &mut Footer) {
    let view = graph.view();
    footer.degree = view.shape().degree as u32;
    footer.starts = view.starts().vertices.len() as u32;
}

/// Writes a graph's columns.
pub(super) fn write(graph: &Graph, writer: &mut Writer) -> Result<(), StoreError> {
    let Starts { codes, vertices } = graph.view().starts();
    writer.region(Region::Cells, graph.view().cells())?;
    writer.region(Region::StartLines, codes.lines)?;
    writer.region(Region::StartScale, codes.scale)?;
    writer.region(Region::StartAdd, codes.add)?;
    writer.region(Region::Starts, vertices)
}

/// The shape of a graph's cells.
const fn cells(footer: &Footer, shape: &Shape) -> graph::Shape {
    graph::Shape { degree: footer.degree as usize, words: shape.quantizer.words() }
}

/// Refuses a footer whose regions do not have what its graph needs.
pub(super) fn check(mapped: &Mapped, shape: &Shape) -> Result<(), &'static str> {
    let footer = &mapped.footer;
    let (mut per_row, places) = (0, (footer.starts as usize).next_multiple_of(BLOCK));
    if footer.degree > 0 {
        if footer.degree > 1024 || !footer.degree.is_multiple_of(32) || footer.raw > 2 {
            return Err("its graph cannot be");
        }
        per_row = 4 * cells(footer, shape).cell_words();
    }
    let expected = [
        (Region::Cells, per_row * footer.rows as usize),
        (Region::StartLines, 4 * places * shape.quantizer.words()),
        (Region::StartScale, 4 * places),
        (Region::StartAdd, 4 * places),
        (Region::Starts, 4 * footer.starts as usize),
    ];
    let holds =
        |&(region, bytes): &(Region, usize)| footer.extents[region as usize].bytes == bytes as u64;
    if expected.iter().all(holds) { Ok(()) } else { Err("its graph contradicts its footer") }
}

/// Walks with a beam of `width`, and ranks the best again by their vectors.
pub(super) fn search(
    segment: &Segment,
    select: &Select<'_>,
    probe: &Probe<'_>,
    width: usize,
) -> Result<Hits, Damage> {
    let (mapped, shape) = (&segment.mapped, &segment.shape);
    let add: &[f32] = mapped.all(Region::StartAdd)?;
    let len = mapped.footer.starts as usize;
    let extent = mapped.footer.extents[Region::Cells as usize];
    let damage = || mapped.damage(Region::Cells, extent.at);
    // What is not there must score below everything: a scan does not ask.
    if add[len..].iter().any(|add| *add != f32::NEG_INFINITY) {
        return Err(damage());
    }
    let codes = CodesView {
        words: shape.quantizer.words(),
        len,
        lines: mapped.all(Region::StartLines)?,
        scale: mapped.all(Region::StartScale)?,
        add,
    };
    let starts = Starts { codes, vertices: mapped.all(Region::Starts)? };
    let cell = cells(&mapped.footer, shape);
    let view = GraphView::new(cell, shape.measure(), mapped.all(Region::Cells)?, starts);
    let view = view.map_err(|_| damage())?;
    let query = &probe.padded[..shape.settings.dim];
    let (k, filter) = (again(probe.k, width), select.filter());
    let least = f32::NEG_INFINITY;
    let search = Search { query, k, least, candidates: width, probes: 1, filter };
    rank_again(segment, probe, &search_graph(&shape.kernels, &search, probe.tables, &view))
}
