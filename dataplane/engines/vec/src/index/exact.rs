//! Search that looks at every vector.

use super::{Answer, Search};
use crate::kernels::{Kernels, Measure};
use crate::rows::Rows;
use crate::topk::{Hit, TopK};

/// Rows that are compared before any is ranked.
const BLOCK: usize = 1024;
/// Queries that share what is read of the rows.
const QUERIES: usize = 48;
/// Scores that are passed over together.
const LINE: usize = 16;

/// Compares a query with all of `rows`, padded as [`Rows`] keeps them; a row's number is its
/// place.
///
/// # Panics
/// When `rows` are no whole rows of the query's dimension.
#[must_use]
pub fn search_exact(
    kernels: &Kernels,
    measure: Measure,
    rows: &[f32],
    search: &Search<'_>,
) -> Answer {
    let mut query = Rows::new(search.query.len());
    query.push(search.query);
    let stride = query.stride();
    assert!(rows.len().is_multiple_of(stride), "whole rows of {} components", query.dim());
    let mut best = TopK::new(search.k, search.least);
    let mut scores = [0.0; BLOCK];
    for (block, rows) in rows.chunks(BLOCK * stride).enumerate() {
        let scores = &mut scores[..rows.len() / stride];
        kernels.scan_f32(measure, rows, query.row(0), scores);
        for (at, &score) in scores.iter().enumerate() {
            let place = (block * BLOCK + at) as u32;
            if score > best.floor() && search.filter.is_none_or(|filter| filter.allows(place)) {
                best.offer(place, score);
            }
        }
    }
    Answer { hits: best.sorted(), estimated: 0, computed: (rows.len() / stride) as u64 }
}

/// Offers scores of places from `first` on. Next to none are kept: a line of them is passed over at a
/// time.
fn offer_all(best: &mut TopK, first: u32, scores: &[f32]) {
    for (at, line) in (first..).step_by(LINE).zip(scores.chunks(LINE)) {
        let floor = best.floor();
        // Not `any`, which would stop in between.
        if line.iter().fold(false, |above, score| above | (*score > floor)) {
            (at..).zip(line).for_each(|(at, score)| best.offer(at, *score));
        }
    }
}

/// The `k` rows with the greatest dot products with each query, best first; rows are read once for
/// many queries.
///
/// # Panics
/// When `rows` are no whole rows of the queries' dimension.
#[must_use]
pub fn search_exact_batch(
    kernels: &Kernels,
    rows: &[f32],
    queries: &Rows<f32>,
    k: usize,
) -> Vec<Vec<Hit>> {
    let stride = queries.stride();
    assert!(rows.len().is_multiple_of(stride), "whole rows of {} components", queries.dim());
    let mut best: Vec<TopK> = (0..queries.len()).map(|_| TopK::new(k, f32::NEG_INFINITY)).collect();
    let mut dots = vec![0.0; QUERIES * BLOCK];
    for (best, queries) in best.chunks_mut(QUERIES).zip(queries.as_slice().chunks(QUERIES * stride))
    {
        for (block, rows) in rows.chunks(BLOCK * stride).enumerate() {
            let count = rows.len() / stride;
            let dots = &mut dots[..best.len() * count];
            kernels.tile_f32(rows, queries, stride, dots);
            for (best, dots) in best.iter_mut().zip(dots.chunks_exact(count)) {
                offer_all(best, (block * BLOCK) as u32, dots);
            }
        }
    }
    best.iter().map(TopK::sorted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::oracle;
    use crate::testing::noise;

    #[test]
    fn one_by_one_and_together_they_are_what_the_oracle_ranks() {
        let (dim, kernels) = (20, Kernels::best());
        let (mut rows, mut queries) = (Rows::new(dim), Rows::new(dim));
        (0..2500).for_each(|at| rows.push(&noise(at, dim)));
        (0..60).for_each(|at| queries.push(&noise(at + 9000, dim)));
        let together = search_exact_batch(&kernels, rows.as_slice(), &queries, 7);
        for (at, together) in together.iter().enumerate() {
            let query = &queries.row(at)[..dim];
            let search = Search {
                query,
                k: 7,
                least: f32::NEG_INFINITY,
                candidates: 0,
                probes: 0,
                filter: None,
            };
            let alone = search_exact(&kernels, Measure::Dot, rows.as_slice(), &search);
            assert_eq!(alone.computed, 2500);
            let mut want: Vec<(f64, usize)> = (0..rows.len())
                .map(|at| (oracle::compare(Measure::Dot, &rows.row(at)[..dim], query), at))
                .collect();
            want.sort_by(|a, b| b.0.total_cmp(&a.0));
            for ((one, other), (score, at)) in alone.hits.iter().zip(together).zip(want) {
                assert_eq!((one.at, other.at), (at as u32, at as u32));
                assert!((f64::from(one.score) - score).abs() < 1e-4);
            }
        }
    }
}
