//! The search of rows that lie in no lists: codes one after the other, then vectors; or vectors
//! alone.

use super::select::Select;
use super::{Hits, Probe};
use crate::collection::error::Damage;
use crate::collection::query::Effort;
use crate::collection::shape::Shape;
use crate::index::Filter;
use crate::kernels::{BLOCK, Found};
use crate::pool::Pool;
use crate::quantize::CodesView;
use crate::record::raw::RawView;
use crate::topk::TopK;

/// Blocks that are scanned before the floor is raised.
const STRIDE: usize = 64;
/// Vectors that are compared before the floor is asked again.
const CHUNK: usize = 256;
/// Least candidates whose score is computed.
pub(crate) const LEAST_CANDIDATES: usize = 64;

/// Candidates for each hit that find this share of the exact answer, where nothing was measured:
/// on sentence embeddings of 384 components four find 0.96 of it, and eight 0.99.
pub(crate) fn factor(recall: f32) -> usize {
    match recall {
        ..=0.9 => 4,
        ..=0.95 => 8,
        ..=0.99 => 16,
        ..=0.995 => 32,
        _ => 128,
    }
}

/// Candidates that an effort means, of `rows`.
pub(crate) fn candidates(effort: Effort, k: usize, rows: usize) -> usize {
    let wanted = match effort {
        Effort::Recall(recall) => k.saturating_mul(factor(recall)).max(LEAST_CANDIDATES),
        Effort::Probes { candidates, .. } => candidates.max(k),
        Effort::Exact => rows,
    };
    wanted.min(rows)
}

/// Scans codes and computes the scores of the `candidates` best by `score`.
pub(crate) fn search(
    shape: &Shape,
    codes: &CodesView<'_>,
    select: &Select<'_>,
    probe: &Probe<'_>,
    candidates: usize,
    score: impl Fn(u32) -> Result<f32, Damage>,
) -> Result<Hits, Damage> {
    let mut pool = Pool::new(candidates);
    let mut found = Found::with_room(STRIDE);
    let filter = select.filter();
    for from in (0..codes.blocks()).step_by(STRIDE) {
        let blocks = from..codes.blocks().min(from + STRIDE);
        codes.scan(&shape.kernels, probe.tables, blocks, pool.floor(), &mut found);
        for (at, estimate) in found.iter() {
            let row = at + (from * BLOCK) as u32;
            if filter.is_none_or(|filter| filter.allows(row)) {
                pool.push(estimate, row);
            }
        }
    }
    pool.settle();
    let mut best = TopK::new(probe.k, probe.least);
    for (_, row) in pool.iter() {
        best.offer(row, score(row)?);
    }
    Ok(Hits::of(&best, codes.len as u64, pool.iter().len() as u64))
}

/// Computes the scores of those of `rows` that are selected, by `score`.
pub(crate) fn compare(
    rows: &[u32],
    select: &Select<'_>,
    probe: &Probe<'_>,
    score: impl Fn(u32) -> Result<f32, Damage>,
) -> Result<Hits, Damage> {
    let (mut best, mut computed) = (TopK::new(probe.k, probe.least), 0);
    for &row in rows.iter().filter(|row| select.allows(**row)) {
        best.offer(row, score(row)?);
        computed += 1;
    }
    Ok(Hits::exact(&best, computed))
}

/// Computes the scores of all of `rows` rows, and keeps the best of those that are selected.
pub(crate) fn exact(
    shape: &Shape,
    raw: &RawView<'_>,
    rows: u32,
    select: &Select<'_>,
    probe: &Probe<'_>,
) -> Hits {
    let mut best = TopK::new(probe.k, probe.least);
    let mut scores = [0.0; CHUNK];
    for from in (0..rows as usize).step_by(CHUNK) {
        let scores = &mut scores[..(rows as usize - from).min(CHUNK)];
        raw.scan(&shape.kernels, shape.measure(), from, probe.padded, scores);
        for (at, score) in scores.iter().enumerate() {
            let row = (from + at) as u32;
            if *score > best.floor() && select.allows(row) {
                best.offer(row, *score);
            }
        }
    }
    Hits::exact(&best, u64::from(rows))
}
