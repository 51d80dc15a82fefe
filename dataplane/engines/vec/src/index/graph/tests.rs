//! Graphs of vectors of many kinds, beside exact search.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::index::Filter;
use crate::testing::noise;
use crate::topk::TopK;

#[derive(Debug)]
struct Even;

impl Filter for Even {
    fn allows(&self, place: u32) -> bool {
        place.is_multiple_of(2)
    }
}

/// Vectors around 40 directions, some noise on each; with `lengths`, of different ones.
fn clustered(dim: usize, count: usize, seed: u64, lengths: bool) -> Rows<f32> {
    let mut rows = Rows::new(dim);
    for at in 0..count as u64 {
        let around = noise(at % 40 + 1000, dim);
        let off = noise(seed ^ at.wrapping_mul(977), dim);
        let by = if lengths { 0.5 + (at % 7) as f32 / 7.0 } else { 1.0 };
        let row: Vec<f32> = around.iter().zip(off).map(|(a, b)| by * (a + 0.5 * b)).collect();
        rows.push(&row);
    }
    rows
}

fn search(query: &[f32], k: usize, candidates: usize) -> Search<'_> {
    Search { query, k, least: f32::NEG_INFINITY, candidates, probes: 0, filter: None }
}

fn exact(rows: &Rows<f32>, query: &[f32], measure: Measure, first: u32, even: bool) -> Vec<u32> {
    let mut top = TopK::new(10, f32::NEG_INFINITY);
    for at in 0..rows.len() {
        let place = first + at as u32;
        if !even || Even.allows(place) {
            top.offer(place, Kernels::best().compare_f32(measure, rows.row(at), query));
        }
    }
    top.sorted().iter().map(|hit| hit.at).collect()
}

#[test]
fn near_vectors_are_found_under_every_measure_and_filter() {
    let (dim, count, first) = (96, 3000, 500);
    for (measure, lengths) in [(Measure::Dot, false), (Measure::Dot, true), (Measure::L2, true)] {
        let rows = clustered(dim, count, 1, lengths);
        let queries = clustered(dim, 20, 2, false);
        let graph = Graph::build(&rows, first, &GraphSettings::new(measure));
        assert_eq!(graph.len(), count);
        for even in [false, true] {
            let mut common = 0;
            for at in 0..queries.len() {
                let query = queries.row(at);
                let plain = search(&query[..dim], 10, 100);
                let answer =
                    graph.search(&Search { filter: even.then_some(&Even as &dyn Filter), ..plain });
                assert_eq!(answer.hits.len(), 10);
                assert!(even || answer.computed < count as u64 / 4, "{}", answer.computed);
                let truth = exact(&rows, query, measure, first, even);
                common += answer.hits.iter().filter(|hit| truth.contains(&hit.at)).count();
                for hit in &answer.hits {
                    let row = rows.row((hit.at - first) as usize);
                    let want = Kernels::best().compare_f32(measure, row, query);
                    assert!((hit.score - want).abs() < 0.5, "{} for {want}", hit.score);
                }
                let best = answer.hits[0].score;
                let bounded = Search { least: best.next_up(), ..plain };
                assert!(even || graph.search(&bounded).hits.is_empty());
            }
            assert!(common >= 190, "{measure:?} {lengths} {even}: {common} of 200");
        }
    }
}

#[test]
fn threads_change_nothing_and_copies_are_searched_alike() {
    let rows = clustered(40, 700, 3, false);
    let settings = GraphSettings::new(Measure::L2);
    let graph = Graph::build(&rows, 0, &settings);
    let other = Graph::build(&rows, 0, &GraphSettings { threads: 3, ..settings });
    assert_eq!(graph.cells.as_slice(), other.cells.as_slice());
    assert_eq!(graph.starts, other.starts);

    let view = graph.view();
    let (cells, vertices) = (view.cells().to_vec(), view.starts().vertices.to_vec());
    let starts = Starts { vertices: &vertices, ..view.starts() };
    let copy = GraphView::new(view.shape(), Measure::L2, &cells, starts).expect("the same parts");
    let query = rows.row(9);
    let search = search(&query[..40], 5, 30);
    let tables = graph.quantizer.query(search.query);
    let kernels = Kernels::best();
    assert_eq!(search_graph(&kernels, &search, &tables, &copy), graph.search(&search));
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let rows = clustered(40, 50, 3, false);
    let graph = Graph::build(&rows, 0, &GraphSettings::new(Measure::Dot));
    let view = graph.view();
    let made = |shape, cells, starts| GraphView::new(shape, Measure::Dot, cells, starts).err();
    let (shape, cells, starts) = (view.shape(), view.cells(), view.starts());
    assert_eq!(made(shape, cells, starts), None);
    let odd = Shape { degree: 33, ..shape };
    assert!(matches!(made(odd, cells, starts), Some(BadGraph::Shape { degree: 33, .. })));
    assert!(matches!(made(shape, &cells[1..], starts), Some(BadGraph::Cells { .. })));
    let fewer = Starts { vertices: &[], ..starts };
    assert_eq!(made(shape, cells, fewer), Some(BadGraph::Starts));
}

/// Neighbours of each vertex; those that are there stand first.
fn edges(graph: &Graph) -> Vec<Vec<u32>> {
    let view = graph.view();
    let of = |vertex: usize| {
        let cell = view.cell(vertex as u32).expect("a vertex");
        let codes = cell.codes();
        let there = codes.add.iter().filter(|add| add.is_finite()).count();
        assert!(codes.add[..there].iter().all(|add| add.is_finite()), "gaps");
        cell.neighbours()[..there].to_vec()
    };
    (0..view.len()).map(of).collect()
}

fn reachable(edges: &[Vec<u32>], starts: &[u32]) -> usize {
    let mut seen: BTreeSet<u32> = starts.iter().copied().collect();
    let mut open: Vec<u32> = seen.iter().copied().collect();
    while let Some(vertex) = open.pop() {
        for &to in &edges[vertex as usize] {
            if seen.insert(to) {
                open.push(to);
            }
        }
    }
    seen.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// `kinds` distinct vectors, one after the other again and again: with one, all are equal.
    #[test]
    fn any_vectors_make_a_graph_that_reaches_all(
        dim in 2_usize..80,
        count in 0_usize..300,
        kinds in 1_u64..400,
        l2: bool,
        rounds in 0_usize..3,
        seed: u64,
    ) {
        let measure = if l2 { Measure::L2 } else { Measure::Dot };
        let mut rows = Rows::new(dim);
        for at in 0..count as u64 {
            let zero = at % kinds == 7;
            let row = noise(seed.wrapping_add(at % kinds), dim);
            rows.push(&if zero { vec![0.0; dim] } else { row });
        }
        let settings = GraphSettings { rounds, candidates: 40, seed, ..GraphSettings::new(measure) };
        let graph = Graph::build(&rows, 0, &settings);
        let edges = edges(&graph);
        for (vertex, to) in edges.iter().enumerate() {
            let distinct: BTreeSet<&u32> = to.iter().collect();
            prop_assert!(distinct.len() == to.len() && !distinct.contains(&(vertex as u32)));
            prop_assert!(to.iter().all(|&to| (to as usize) < count));
            prop_assert!(to.len() >= count.saturating_sub(1).min(4), "{} neighbours", to.len());
        }
        prop_assert_eq!(reachable(&edges, &graph.starts), count);
        for (query, k) in [(noise(!seed, dim), 10), (vec![0.0; dim], 300)] {
            let answer = graph.search(&search(&query, k, count));
            prop_assert!(answer.hits.len() == k.min(count), "{} of {count}", answer.hits.len());
        }
    }

    /// A search ends without harm whatever the cells hold.
    #[test]
    fn cells_of_any_content_can_be_searched(seed: u64, vertices in 1_usize..20) {
        let rows = clustered(40, 50, 3, false);
        let graph = Graph::build(&rows, 0, &GraphSettings::new(Measure::L2));
        let view = graph.view();
        let mut x = seed | 1;
        let mut word = || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x as u32
        };
        let cells: Vec<u32> =
            (0..vertices * view.shape().cell_words()).map(|_| word() >> (word() % 32)).collect();
        let view = GraphView::new(view.shape(), Measure::L2, &cells, view.starts()).expect("fits");
        let query = noise(seed, 40);
        let tables = graph.quantizer.query(&query);
        let answer = search_graph(&Kernels::best(), &search(&query, 5, 10), &tables, &view);
        prop_assert!(answer.computed <= vertices as u64);
    }
}
