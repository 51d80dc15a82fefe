//! Which pairs of neighbours become tokens.

use std::collections::HashSet;

use foldhash::fast::FixedState;

use super::count::Counts;
use super::length::gain_of_join;

/// A pair that may be joined.
struct Candidate {
    gain: f64,
    left: u32,
    right: u32,
    count: u32,
}

/// What a new token must keep to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes that it has at most.
    pub(super) longest: usize,
    /// Stretches of the text that its parts are neighbours in, at least.
    pub(super) spread: u32,
    /// It may lengthen the text, and `spread` does not matter.
    pub(super) any: bool,
}

/// Up to `most` new tokens, each the join of two of `tokens` that stand side by side; the best first.
///
/// A pair is judged by what remains of its parts after the pairs before it, and waits for the next
/// round when less than half of it does.
pub(super) fn joins(
    tokens: &[Vec<u8>],
    counts: &Counts,
    most: usize,
    limits: Limits,
) -> Vec<Vec<u8>> {
    let any = limits.any;
    let candidates = ranked(tokens, counts, limits);
    let known: HashSet<&[u8], FixedState> = tokens.iter().map(Vec::as_slice).collect();
    let mut left_over: Vec<f64> = counts.tokens.iter().map(|&c| c as f64).collect();
    let mut all: f64 = left_over.iter().sum();
    let mut made: HashSet<Vec<u8>, FixedState> = HashSet::default();
    let mut joins = Vec::new();
    for candidate in candidates {
        if joins.len() == most {
            break;
        }
        let (left, right) = (candidate.left as usize, candidate.right as usize);
        let same = left == right;
        let share =
            if same { left_over[left] / 2.0 } else { left_over[left].min(left_over[right]) };
        let count = f64::from(candidate.count).min(share);
        let gain = gain_of_join(all, left_over[left], left_over[right], same, count);
        let worth = count * 2.0 >= f64::from(candidate.count) && gain * 2.0 >= candidate.gain;
        if !any && !worth {
            continue;
        }
        let joined = [tokens[left].as_slice(), &tokens[right]].concat();
        if known.contains(joined.as_slice()) || !made.insert(joined.clone()) {
            continue;
        }
        left_over[left] -= count;
        left_over[right] -= count;
        all -= count;
        joins.push(joined);
    }
    joins
}

/// All pairs that are worth a token, by descending gain, then by their bytes.
fn ranked(tokens: &[Vec<u8>], counts: &Counts, limits: Limits) -> Vec<Candidate> {
    let Limits { longest, spread, any } = limits;
    let all: u64 = counts.tokens.iter().sum();
    let fits = |left: usize, right: usize| tokens[left].len() + tokens[right].len() <= longest;
    let mut candidates: Vec<Candidate> = counts
        .pairs
        .iter()
        .filter(|&(_, pair)| any || (pair.count > 1 && pair.spread >= spread))
        .map(|(&key, pair)| ((key >> 32) as u32, key as u32, pair.count))
        .filter(|&(left, right, _)| fits(left as usize, right as usize))
        .map(|(left, right, count)| {
            let of = |id: u32| counts.tokens[id as usize] as f64;
            let same = left == right;
            let gain = gain_of_join(all as f64, of(left), of(right), same, count.into());
            Candidate { gain, left, right, count }
        })
        .filter(|candidate| any || candidate.gain > 0.0)
        .collect();
    let text =
        |c: &Candidate| [tokens[c.left as usize].as_slice(), &tokens[c.right as usize]].concat();
    candidates.sort_unstable_by(|a, b| {
        b.gain
            .total_cmp(&a.gain)
            .then_with(|| text(a).cmp(&text(b)))
            .then_with(|| a.left.cmp(&b.left))
    });
    candidates
}
