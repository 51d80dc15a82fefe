//! The search of lists of codes, wherever they lie.

use super::{Answer, Search};
use crate::kernels::{BLOCK, Found, Kernels, Measure, prefetch};
use crate::pool::{Pool, order};
use crate::quantize::{CodesView, ExtraView, QueryTables};
use crate::topk::TopK;

/// Blocks of a list that are scanned before the floor is raised.
const STRIDE: usize = 64;

/// Candidates that there is room for from the beginning.
const ORIGINS: usize = 1024;

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

impl<'a> ListView<'a> {
    /// Asks for the memory of the codes' factors, which are read last; the codes' lines, which are read
    /// first.
    fn prefetch_factors(&self) -> &'a [u32] {
        for factors in [self.codes.scale, self.codes.add] {
            factors.chunks(16).for_each(|line| prefetch(line.as_ptr()));
        }
        self.codes.lines
    }
}

/// Which share of half the squared length of a centre is taken off its product with a query to rank it. By dot
/// product too some of it: a long centre has its vectors closer about it, and so fewer of those that are
/// nearest to a query. On sentence embeddings 44 of 512 lists so find what 48 do without.
#[must_use]
pub(crate) const fn half_share(measure: Measure) -> f32 {
    match measure {
        Measure::Dot => 0.3,
        Measure::L2 => 1.0,
    }
}

/// The places of the `most` greatest scores, the greatest first.
#[must_use]
pub(crate) fn greatest(scores: &[f32], most: usize) -> Vec<u32> {
    let most = most.min(scores.len());
    if most == 0 {
        return Vec::new();
    }
    // The order of a score, and among equals the place: the earlier one is greater.
    let keys = scores.iter().zip(0_u32..).map(|(&score, at)| order(score) << 32 | u64::from(!at));
    let mut keys: Vec<u64> = keys.collect();
    keys.select_nth_unstable_by(most - 1, |a, b| b.cmp(a));
    keys.truncate(most);
    keys.sort_unstable_by(|a, b| b.cmp(a));
    keys.iter().map(|key| !(*key as u32)).collect()
}

/// A place that a scan left over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// What a hit is told by.
    pub(crate) place: u32,
    /// Its score by its code.
    pub(crate) estimate: f32,
    /// Its score by its levels too.
    pub(crate) score: f32,
}

/// Scans `lists`, each with what its scores are to be raised by, and ranks the best again.
///
/// # Panics
/// When query and lists have different dimensions.
#[must_use]
pub fn search_lists(
    kernels: &Kernels,
    search: &Search<'_>,
    query: &QueryTables,
    lists: &[(ListView<'_>, f32)],
) -> Answer {
    let mut best = TopK::new(search.k, search.least);
    let rank = |candidate: Candidate| best.offer(candidate.place, candidate.score);
    let (estimated, computed) = candidates(kernels, search, query, lists, rank);
    Answer { hits: best.sorted(), estimated, computed }
}

/// Scans `lists` and gives the best candidates, as many as the search wants, to `each`, in no order; how
/// many codes were looked at, and how many candidates there were.
pub(crate) fn candidates(
    kernels: &Kernels,
    search: &Search<'_>,
    query: &QueryTables,
    lists: &[(ListView<'_>, f32)],
    mut each: impl FnMut(Candidate),
) -> (u64, u64) {
    let (pool, origins) = scan(kernels, search, query, lists);
    for (_, at) in pool.iter() {
        let (list, at) = origins[at as usize];
        lists[list as usize].0.extra.prefetch(at as usize);
    }
    for (estimate, at) in pool.iter() {
        let (list, at) = origins[at as usize];
        let (ListView { codes, extra, places }, constant) = &lists[list as usize];
        let score = extra.refine(kernels, codes, query, at as usize, estimate - constant);
        each(Candidate { place: places[at as usize], estimate, score: score + constant });
    }
    let estimated = lists.iter().map(|(list, _)| list.codes.len as u64).sum();
    (estimated, pool.iter().len() as u64)
}

/// The best candidates by their codes; and where each lies: a list, and the place in it. What the pool
/// holds counts in there.
fn scan(
    kernels: &Kernels,
    search: &Search<'_>,
    query: &QueryTables,
    lists: &[(ListView<'_>, f32)],
) -> (Pool, Vec<(u32, u32)>) {
    let mut pool = Pool::new(search.candidates.max(search.k));
    let mut found = Found::with_room(STRIDE);
    let mut origins: Vec<(u32, u32)> = Vec::with_capacity(ORIGINS);
    for (number, (list, constant)) in lists.iter().enumerate() {
        let after = lists.get(number + 1).map_or(&[][..], |(next, _)| next.prefetch_factors());
        for from in (0..list.codes.blocks()).step_by(STRIDE) {
            let to = list.codes.blocks().min(from + STRIDE);
            let rest = &list.codes.lines[to * BLOCK * list.codes.words..];
            let next = if rest.is_empty() { after } else { rest };
            let scanned = (from..to, pool.floor() - constant);
            list.codes.scan_before(kernels, query, scanned, next, &mut found);
            for (at, score) in found.iter() {
                let at = at + (from * BLOCK) as u32;
                let place = list.places[at as usize];
                if search.filter.is_none_or(|filter| filter.allows(place)) {
                    pool.push(score + constant, origins.len() as u32);
                    origins.push((number as u32, at));
                }
            }
        }
    }
    pool.settle();
    (pool, origins)
}
