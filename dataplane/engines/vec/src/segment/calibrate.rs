//! How much effort finds how much: measured when a segment is built, on vectors of its own.
//!
//! Each vector of a sample is the query, and not to be found; what an exact search of all others
//! finds is the truth. Steps that are kept are the cheapest for the shares wanted. More candidates are
//! tried until they find no more, and more lists until next to all is found.

use super::format::{STEPS, Step};
use super::{Segment, lists};
use crate::collection::error::Damage;
use crate::collection::query::{Effort, Only};
use crate::index::Candidate;
use crate::kernels::Measure;
use crate::part::select::Select;
use crate::part::together::search_together;
use crate::part::{Moment, Part, Probe, flat};
use crate::quantize::QueryTables;
use crate::record::raw::{self, pad};
use crate::rows::Rows;
use crate::topk::TopK;

/// Everything that was written.
const ALL: Moment = Moment { lsn: u64::MAX, as_of: None };
/// Queries of the sample: twice as many as are compared together.
const SAMPLE: u32 = 96;
/// Hits that are compared.
const K: usize = 10;
/// Shares that steps are looked for.
const SHARES: [f32; STEPS] = [0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 1.0];
/// Candidates for each hit that are tried.
const FACTORS: [u32; 6] = [4, 8, 16, 32, 64, 128];
/// Candidates for each hit with all effort.
const FULL: u32 = 128;
/// The same of a graph, whose candidates are the width of a beam.
const WIDTHS: [u32; 10] = [1, 2, 3, 4, 6, 8, 16, 32, 64, 128];
/// What more candidates must find beyond fewer for still more to be tried.
const GAIN: f32 = 0.004;
/// A share above which more lists are not tried, but for all of them.
const ENOUGH: f32 = 0.997;
/// Of so many lists one is the fewest that is tried.
const FEWEST: u32 = 64;
/// Times as much as of its own vertices that a walk misses of queries that are none: on sentence
/// embeddings 1.5 to 1.8 times were measured.
const OUTSIDERS: f32 = 2.0;
/// The same of lists, whose centres lie where their own vectors are: 1.4 to 1.6 times.
const LIST_OUTSIDERS: f32 = 1.4;
/// Estimates that cost as much as computing the score of one candidate, about.
const ESTIMATES_PER_CANDIDATE: u64 = 12;

/// What a segment found with all lists looked into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seen {
    /// Share of the exact answer.
    pub(crate) recall: f32,
    /// Queries that it is of.
    pub(crate) queries: u32,
}

/// The effort that finds a share, as lists and candidates for each hit, or else the one that finds
/// most; and the share that it found. Nothing measured: all lists, and many candidates.
pub(super) fn effort(segment: &Segment, wanted: f32) -> (usize, usize, Option<f32>) {
    let lists = segment.lists().max(1) as usize;
    match segment.steps().find(|step| step.recall >= wanted).or(segment.steps().last()) {
        Some(step) => (step.probes as usize, step.factor as usize, Some(step.recall)),
        None => (lists, flat::factor(wanted).max(FULL as usize), None),
    }
}

/// A query of the sample with its exact answer.
struct Sample {
    row: u32,
    vector: Vec<f32>,
    padded: Rows<f32>,
    tables: QueryTables,
    truth: Vec<u32>,
}

impl Sample {
    fn probe<'a>(&'a self, only: &'a Only<'a>, effort: Effort) -> Probe<'a> {
        Probe {
            padded: self.padded.row(0),
            tables: &self.tables,
            k: K + 1,
            least: f32::NEG_INFINITY,
            effort,
            only,
            moment: ALL,
        }
    }

    /// How many of the exact answer are among what was found, best first.
    fn common(&self, found: impl Iterator<Item = u32>) -> usize {
        let others = found.filter(|row| *row != self.row).take(K);
        others.filter(|row| self.truth.contains(row)).count()
    }
}

/// Measures a segment that has vectors; `None` when it has none, or too few rows to tell.
pub(super) fn measure(segment: &Segment) -> Result<Option<([Step; STEPS], Seen)>, Damage> {
    if segment.mapped.footer.raw == 3 || segment.rows() < 4 * K as u32 {
        return Ok(None);
    }
    let samples = samples(segment)?;
    let mut tried: Vec<(u64, Step)> = Vec::new();
    let full = if segment.mapped.footer.extra > 0 {
        try_lists(segment, &samples, &mut tried)?
    } else {
        let factors = if segment.has_graph() { &WIDTHS[..] } else { &FACTORS };
        for &factor in factors {
            let before = tried.iter().map(|(_, step)| step.recall).fold(f32::MIN, f32::max);
            let step = try_step(segment, &samples, factor)?;
            tried.push(step);
            // A graph's beam finds next to nothing until it is wide enough.
            let found = step.1.recall;
            if found >= 1.0 || !segment.has_graph() && found < before + GAIN {
                break;
            }
        }
        try_step(segment, &samples, FULL)?
    };
    tried.push(full);
    let seen = Seen { recall: full.1.recall, queries: samples.len() as u32 };
    Ok(Some((cheapest(tried), seen)))
}

/// Of what was tried the cheapest for each share, and behind them what found most where that is less than
/// the greatest share.
fn cheapest(mut tried: Vec<(u64, Step)>) -> [Step; STEPS] {
    tried.sort_by_key(|(cost, _)| *cost);
    let (mut steps, mut kept) = ([Step::default(); STEPS], 0);
    let most = tried.iter().map(|(_, step)| step.recall).fold(f32::MIN, f32::max);
    for share in SHARES {
        let step = tried.iter().map(|(_, step)| step).find(|step| step.recall >= share.min(most));
        if let Some(step) = step.filter(|step| kept == 0 || steps[kept - 1] != **step) {
            steps[kept] = *step;
            kept += 1;
        }
    }
    steps
}

fn samples(segment: &Segment) -> Result<Vec<Sample>, Damage> {
    let (rows, settings) = (segment.rows(), &segment.shape.settings);
    let every = (rows / SAMPLE).max(1);
    let mut samples = Vec::new();
    // Rows of a list follow each other, so that equal steps meet all lists.
    for row in (0..rows).step_by(every as usize).take(SAMPLE as usize) {
        let (mut logged, mut vector) = (Vec::new(), vec![0.0; settings.dim]);
        segment.logged(row, &mut logged)?;
        raw::read(settings.raw.logged(), &logged, &mut vector);
        let (padded, tables) = (pad(&vector), segment.shape.quantizer.query(&vector));
        samples.push(Sample { row, vector, padded, tables, truth: Vec::new() });
    }
    find_truth(segment, &mut samples)?;
    Ok(samples)
}

/// Searches exactly: by dot product for all of them together.
fn find_truth(segment: &Segment, samples: &mut [Sample]) -> Result<(), Damage> {
    let (shape, only) = (&segment.shape, Only::default());
    if shape.measure() != Measure::Dot {
        for sample in samples {
            let hits = segment.search(shape, &sample.probe(&only, Effort::Exact))?;
            let others = hits.rows.iter().map(|hit| hit.0).filter(|row| *row != sample.row);
            sample.truth = others.take(K).collect();
        }
        return Ok(());
    }
    let mut queries = Rows::new(shape.settings.dim);
    samples.iter().for_each(|sample| queries.push(&sample.vector));
    let mut best: Vec<TopK> = samples.iter().map(|_| TopK::new(K + 1, f32::NEG_INFINITY)).collect();
    let select = Select::new(shape, segment, &only, ALL)?;
    search_together(shape, segment, &select, &queries, &mut best)?;
    for (sample, best) in samples.iter_mut().zip(&best) {
        let others = best.sorted().into_iter().map(|hit| hit.at).filter(|row| *row != sample.row);
        sample.truth = others.take(K).collect();
    }
    Ok(())
}

/// What one list, or a graph, finds with so many candidates for each hit, and what that costs.
fn try_step(segment: &Segment, samples: &[Sample], factor: u32) -> Result<(u64, Step), Damage> {
    let (mut tally, only) = (Tally::default(), Only::default());
    let candidates = (factor as usize * K).max(segment.least_candidates(K));
    let effort = Effort::Probes { probes: 1, candidates };
    for sample in samples {
        let hits = segment.search(&segment.shape, &sample.probe(&only, effort))?;
        tally.add(sample, hits.rows.iter().map(|hit| hit.0), (hits.estimated, hits.computed));
    }
    let outsiders = if segment.has_graph() { OUTSIDERS } else { 1.0 };
    Ok(tally.step((1, factor), outsiders))
}

/// What was found of all queries' answers.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    common: usize,
    wanted: usize,
    cost: u64,
}

impl Tally {
    fn add(
        &mut self,
        sample: &Sample,
        found: impl Iterator<Item = u32>,
        (estimated, computed): (u64, u64),
    ) {
        self.common += sample.common(found);
        self.wanted += sample.truth.len();
        self.cost += estimated + ESTIMATES_PER_CANDIDATE * computed;
    }

    fn share(&self) -> f32 {
        self.common as f32 / self.wanted.max(1) as f32
    }

    fn step(&self, (probes, factor): (u32, u32), outsiders: f32) -> (u64, Step) {
        let recall = (1.0 - outsiders * (1.0 - self.share())).max(0.0);
        (self.cost, Step { probes, factor, recall, zero: 0 })
    }
}

/// Tries growing numbers of lists, each with all numbers of candidates that find more; returns what is
/// found with all effort.
fn try_lists(
    segment: &Segment,
    samples: &[Sample],
    tried: &mut Vec<(u64, Step)>,
) -> Result<(u64, Step), Damage> {
    let all = segment.lists().max(1);
    let (mut probes, mut most) = (all.div_ceil(FEWEST), 1);
    loop {
        // One more than found more with fewer lists.
        let factors = &FACTORS[..(most + 1).min(FACTORS.len())];
        let tallies = tally_lists(segment, samples, probes, factors)?;
        tried.extend(
            factors.iter().zip(&tallies).map(|(f, tally)| tally.step((probes, *f), LIST_OUTSIDERS)),
        );
        let gains = |at: &usize| *at == 0 || tallies[*at].share() >= tallies[at - 1].share() + GAIN;
        most = (0..tallies.len()).take_while(gains).count();
        let share = tallies.iter().map(Tally::share).fold(0.0, f32::max);
        if probes == all || share >= ENOUGH {
            break;
        }
        // Steps are wider where they cost more, and less is left to be found.
        let step = if probes > all / 4 { probes } else { probes.div_ceil(2) };
        probes = (probes + step).min(all);
    }
    let tallies = tally_lists(segment, samples, all, &[FULL])?;
    // All lists miss no more of other queries than of their own.
    Ok(tallies[0].step((all, FULL), 1.0))
}

/// What so many lists find with each of some numbers of candidates for each hit. The lists are scanned
/// once: the candidates of a smaller number are the best of those of a greater one.
fn tally_lists(
    segment: &Segment,
    samples: &[Sample],
    probes: u32,
    factors: &[u32],
) -> Result<Vec<Tally>, Damage> {
    let (only, rows) = (Only::default(), segment.rows() as usize);
    let count = |factor: &u32| (*factor as usize * K).max(flat::LEAST_CANDIDATES).min(rows);
    let most = factors.iter().map(count).max().unwrap_or(0);
    let mut tallies = vec![Tally::default(); factors.len()];
    for sample in samples {
        let effort = Effort::Probes { probes: probes as usize, candidates: most };
        let probe = sample.probe(&only, effort);
        let (mut found, looked) = lists::candidates(segment, &probe, (probes as usize, most))?;
        found.sort_unstable_by(|a, b| b.estimate.total_cmp(&a.estimate));
        for (tally, factor) in tallies.iter_mut().zip(factors) {
            let mut some: Vec<Candidate> = found[..count(factor).min(found.len())].to_vec();
            let again = lists::again(K + 1, some.len()).min(some.len());
            let computed = (some.len() + again) as u64;
            some.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
            let mut best = TopK::new(K + 1, f32::NEG_INFINITY);
            for candidate in &some[..again] {
                best.offer(
                    candidate.place,
                    segment.score(&segment.shape, &probe, candidate.place)?,
                );
            }
            let hits = best.sorted();
            tally.add(sample, hits.iter().map(|hit| hit.at), (looked, computed));
        }
    }
    Ok(tallies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_of_each_share_is_kept_and_what_finds_most() {
        let tried = |all: &[(u64, f32)]| {
            let step = |(at, (cost, recall)): (u32, &(u64, f32))| {
                (*cost, Step { probes: at + 1, factor: 4, recall: *recall, zero: 0 })
            };
            let steps = cheapest((0..).zip(all).map(step).collect());
            let used = steps.iter().take_while(|step| step.probes > 0);
            used.map(|step| step.probes).collect::<Vec<_>>()
        };
        assert_eq!(tried(&[(10, 0.5), (40, 0.93), (20, 0.85), (50, 0.93)]), [3, 2]);
        assert_eq!(tried(&[(10, 0.4), (5, 0.3)]), [1], "what finds most of too little");
        assert_eq!(tried(&[(10, 0.96), (9, 0.9), (30, 1.0)]), [2, 1, 3]);
    }
}
