//! How much effort finds how much: measured when a segment is built, on vectors of its own.
//!
//! Each vector of a sample is the query, and not to be found; what an exact search of all others
//! finds is the truth. Steps that are kept are the cheapest for the shares wanted. More candidates are
//! tried until they find no more, and more lists until the greatest share is found.

use super::Segment;
use super::format::{STEPS, Step};
use crate::collection::error::Damage;
use crate::collection::query::{Effort, Only};
use crate::kernels::Measure;
use crate::part::select::Select;
use crate::part::together::search_together;
use crate::part::{Moment, Part, Probe, flat};
use crate::record::raw::{self, pad};
use crate::rows::Rows;
use crate::topk::TopK;

/// Everything that was written.
const ALL: Moment = Moment { lsn: u64::MAX, as_of: None };
/// Queries of the sample.
const SAMPLE: u32 = 128;
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
/// Times as much as of its own vertices that a walk misses of queries that are none: on sentence
/// embeddings 1.5 to 1.8 times were measured.
const OUTSIDERS: f32 = 2.0;
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

/// The effort that finds a share, as lists and candidates for each hit.
pub(super) fn effort(segment: &Segment, wanted: f32) -> (usize, usize) {
    let lists = segment.lists().max(1) as usize;
    match segment.steps().find(|step| step.recall >= wanted) {
        Some(step) => (step.probes as usize, step.factor as usize),
        // Nothing measured found as much, or nothing was: all lists, and many candidates.
        None => (lists, flat::factor(wanted).max(FULL as usize)),
    }
}

/// A query of the sample with its exact answer.
struct Sample {
    row: u32,
    vector: Vec<f32>,
    truth: Vec<u32>,
}

/// Measures a segment that has vectors; `None` when it has none, or too few rows to tell.
pub(super) fn measure(segment: &Segment) -> Result<Option<([Step; STEPS], Seen)>, Damage> {
    let mut steps = [Step::default(); STEPS];
    if segment.mapped.footer.raw == 3 || segment.rows() < 4 * K as u32 {
        return Ok(None);
    }
    let samples = samples(segment)?;
    let mut tried: Vec<(u64, Step)> = Vec::new();
    let lists = segment.lists().max(1);
    let factors = if segment.has_graph() { &WIDTHS[..] } else { &FACTORS };
    let mut probes = 1;
    loop {
        let mut best = f32::NEG_INFINITY;
        for &factor in factors {
            let step = try_step(segment, &samples, probes, factor)?;
            let before = best;
            best = step.1.recall.max(before);
            tried.push(step);
            // A graph's beam finds next to nothing until it is wide enough.
            if best >= 1.0 || !segment.has_graph() && best < before + GAIN {
                break;
            }
        }
        if probes == lists || best >= 1.0 {
            break;
        }
        probes = (probes + probes.div_ceil(2)).min(lists);
    }
    let (_, full) = try_step(segment, &samples, lists, FULL)?;
    tried.sort_by_key(|(cost, _)| *cost);
    let mut kept = 0;
    for share in SHARES {
        let step = tried.iter().map(|(_, step)| step).find(|step| step.recall >= share);
        if let Some(step) = step.filter(|step| kept == 0 || steps[kept - 1] != **step) {
            steps[kept] = *step;
            kept += 1;
        }
    }
    Ok(Some((steps, Seen { recall: full.recall, queries: samples.len() as u32 })))
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
        samples.push(Sample { row, vector, truth: Vec::new() });
    }
    find_truth(segment, &mut samples)?;
    Ok(samples)
}

/// Searches exactly: by dot product for all of them together.
fn find_truth(segment: &Segment, samples: &mut [Sample]) -> Result<(), Damage> {
    let shape = &segment.shape;
    if shape.measure() != Measure::Dot {
        for sample in samples {
            (sample.truth, _) = ask(segment, sample, Effort::Exact)?;
        }
        return Ok(());
    }
    let mut queries = Rows::new(shape.settings.dim);
    samples.iter().for_each(|sample| queries.push(&sample.vector));
    let mut best: Vec<TopK> = samples.iter().map(|_| TopK::new(K + 1, f32::NEG_INFINITY)).collect();
    let select = Select::new(shape, segment, &Only::default(), ALL)?;
    search_together(shape, segment, &select, &queries, &mut best)?;
    for (sample, best) in samples.iter_mut().zip(&best) {
        let others = best.sorted().into_iter().map(|hit| hit.at).filter(|row| *row != sample.row);
        sample.truth = others.take(K).collect();
    }
    Ok(())
}

/// What a query finds beside itself, and what that took.
fn ask(segment: &Segment, sample: &Sample, effort: Effort) -> Result<(Vec<u32>, u64), Damage> {
    let (padded, only) = (pad(&sample.vector), Only::default());
    let probe = Probe {
        padded: padded.row(0),
        tables: &segment.shape.quantizer.query(&sample.vector),
        k: K + 1,
        least: f32::NEG_INFINITY,
        effort,
        only: &only,
        moment: ALL,
    };
    let hits = segment.search(&segment.shape, &probe)?;
    let others = hits.rows.iter().map(|hit| hit.0).filter(|row| *row != sample.row);
    let cost = hits.estimated + ESTIMATES_PER_CANDIDATE * hits.computed;
    Ok((others.take(K).collect(), cost))
}

fn try_step(
    segment: &Segment,
    samples: &[Sample],
    probes: u32,
    factor: u32,
) -> Result<(u64, Step), Damage> {
    let (mut common, mut wanted, mut cost) = (0, 0, 0);
    let candidates = (factor as usize * K).max(segment.least_candidates(K));
    let effort = Effort::Probes { probes: probes as usize, candidates };
    for sample in samples {
        let (found, took) = ask(segment, sample, effort)?;
        common += found.iter().filter(|row| sample.truth.contains(row)).count();
        wanted += sample.truth.len();
        cost += took;
    }
    let recall = common as f32 / wanted.max(1) as f32;
    let recall = if segment.has_graph() { 1.0 - OUTSIDERS * (1.0 - recall) } else { recall };
    Ok((cost, Step { probes, factor, recall, zero: 0 }))
}
