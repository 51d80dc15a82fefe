//! The search of lists of codes, wherever they lie.

use super::{Answer, Search};
use crate::kernels::{BLOCK, Found, Kernels};
use crate::pool::Pool;
use crate::quantize::{CodesView, ExtraView, QueryTables};
use crate::topk::TopK;

/// Blocks of a list that are scanned before the floor is raised.
const STRIDE: usize = 64;

/// Codes that lie around one centre.
#[derive(Clone, Copy, Debug)]
pub struct ListView<'a> {
    /// The codes.
    pub codes: CodesView<'a>,
    /// More bits of each.
    pub extra: ExtraView<'a>,
    /// For each code the place that a hit is told by.
    pub places: &'a [u32],
}

/// Scans `lists`, each with what its scores are to be raised by, and ranks the best again.
///
/// # Panics
/// When query and lists have different dimensions.
#[must_use]
pub fn search_lists<'a>(
    kernels: &Kernels,
    search: &Search<'_>,
    query: &QueryTables,
    lists: impl Iterator<Item = (ListView<'a>, f32)>,
) -> Answer {
    let mut answer = Answer::default();
    let mut pool = Pool::new(search.candidates.max(search.k));
    let mut found = Found::with_room(STRIDE);
    // Where each candidate lies: a list that was looked into, and the place in it. What
    // the pool holds counts in here.
    let mut origins: Vec<(u32, u32)> = Vec::new();
    let mut seen: Vec<(ListView<'a>, f32)> = Vec::with_capacity(search.probes);
    for (list, constant) in lists {
        for from in (0..list.codes.blocks()).step_by(STRIDE) {
            let blocks = from..list.codes.blocks().min(from + STRIDE);
            list.codes.scan(kernels, query, blocks, pool.floor() - constant, &mut found);
            for (at, score) in found.iter() {
                let at = at + (from * BLOCK) as u32;
                let place = list.places[at as usize];
                if search.filter.is_none_or(|filter| filter.allows(place)) {
                    pool.push(score + constant, origins.len() as u32);
                    origins.push((seen.len() as u32, at));
                }
            }
        }
        answer.estimated += list.codes.len as u64;
        seen.push((list, constant));
    }
    pool.settle();
    let mut best = TopK::new(search.k, search.least);
    for (_, at) in pool.iter() {
        let (list, at) = origins[at as usize];
        seen[list as usize].0.extra.prefetch(at as usize);
    }
    for (score, at) in pool.iter() {
        let (list, at) = origins[at as usize];
        let (ListView { codes, extra, places }, constant) = &seen[list as usize];
        let score = extra.refine(kernels, codes, query, at as usize, score - constant);
        best.offer(places[at as usize], score + constant);
    }
    answer.computed = pool.iter().len() as u64;
    answer.hits = best.sorted();
    answer
}
