//! Search for the highest load that meets goals of loss, in the manner of MLRsearch (RFC 9971).
//!
//! Pure: what a trial is, the caller says. A load is judged by the trials that it had: it is a
//! *lower bound* of a goal when, whatever the trials still missing of the goal's duration sum gave,
//! the share of trial time that lost more than the goal allows cannot exceed the goal's exceed
//! ratio; an *upper bound* when it must. The search brings the two bounds that face each other to
//! within the goal's width. All trials serve all goals. One bad second of a noisy host so costs
//! more trials, not the result.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a load must keep to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// Its name: `NDR`, `PDR`.
    pub name: String,
    /// Share of a trial's frames that may be lost, from 0 to below 1.
    pub loss_ratio: f64,
    /// Share of the trial time at a load that may lose more, from 0 to below 1.
    pub exceed_ratio: f64,
    /// Seconds of a trial.
    pub trial_s: f64,
    /// Seconds of trials that a load is judged by, at least `trial_s`.
    pub sum_s: f64,
    /// Distance of the bounds at the end, as a share of the lower one; above 0.
    pub width: f64,
}

/// Where to search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Lowest load, above 0.
    pub least: f64,
    /// Highest load: what the sender can do.
    pub most: f64,
    /// Trials after which the search gives up, over all goals.
    pub trials: usize,
}

/// One trial.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Frames a second that were asked for.
    pub load: f64,
    /// Seconds.
    pub seconds: f64,
    /// Share of the frames sent that was lost.
    pub loss_ratio: f64,
}

/// How the search for one goal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Both bounds were found.
    Found,
    /// The highest load meets the goal: the sender is the limit.
    AtMost,
    /// The lowest load does not meet the goal.
    BelowLeast,
    /// Trials ran out before the bounds were close enough.
    OutOfTrials,
}

/// What was found for one goal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The goal.
    pub goal: Goal,
    /// How it ended.
    pub outcome: Outcome,
    /// Highest load below `upper` that meets the goal.
    pub lower: Option<f64>,
    /// Lowest load that does not.
    pub upper: Option<f64>,
    /// Frames a second that came through at `lower`: the load less the loss that the exceed ratio's
    /// quantile of its trials had (the RFC's conditional throughput).
    pub throughput: Option<f64>,
}

/// All that a search gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Searched {
    /// One entry for each goal, in the order given.
    pub found: Vec<Found>,
    /// Every trial, in the order in which they were made.
    pub trials: Vec<Trial>,
}

/// How a load stands to a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Lower,
    Upper,
    Undecided,
}

/// Widths of the first step away from a bound; each further step in one direction is this many
/// times as long.
const EXPANSION: f64 = 4.0;
/// Trials this much shorter than a goal's still count as full: senders round.
const ROUNDING: f64 = 0.99;

impl Goal {
    /// The share of trial time above the goal's loss decides, whatever is still missing.
    fn classify(&self, trials: &[Trial]) -> Class {
        let sum = |full: bool, high: bool| -> f64 {
            let counts =
                |trial: &&Trial| self.is_full(trial) == full && self.is_high(trial) == high;
            trials.iter().filter(counts).map(|trial| trial.seconds).sum()
        };
        // A short trial's loss counts as far as short trials without loss do not balance it.
        let balanced = sum(false, false) * self.exceed_ratio / (1.0 - self.exceed_ratio);
        let high = sum(true, true) + (sum(false, true) - balanced).max(0.0);
        let full = high + sum(true, false);
        let whole = full.max(self.sum_s);
        let missing = whole - full;
        // Sums of tenths are not exact; a trial's hundredth is far below one trial.
        let slack = self.trial_s / 100.0;
        if high > self.exceed_ratio * whole + slack {
            Class::Upper
        } else if high + missing <= self.exceed_ratio * whole + slack {
            Class::Lower
        } else {
            Class::Undecided
        }
    }

    fn is_full(&self, trial: &Trial) -> bool {
        trial.seconds >= self.trial_s * ROUNDING
    }

    fn is_high(&self, trial: &Trial) -> bool {
        trial.loss_ratio > self.loss_ratio
    }

    /// The loss that the trials at a lower bound stayed within, but for the exceed ratio's share.
    fn quantile_loss(&self, trials: &[Trial]) -> f64 {
        let mut full: Vec<&Trial> = trials.iter().filter(|trial| self.is_full(trial)).collect();
        full.sort_by(|a, b| a.loss_ratio.total_cmp(&b.loss_ratio));
        let whole: f64 = full.iter().map(|trial| trial.seconds).sum();
        let mut left = whole * (1.0 - self.exceed_ratio) - self.trial_s / 100.0;
        let within = full.iter().take_while(|trial| {
            let counts = left > 0.0;
            left -= trial.seconds;
            counts
        });
        within.last().map_or(0.0, |trial| trial.loss_ratio)
    }

    /// Coarse goals before this one: fewer trials and wider bounds, so that far-off loads are
    /// left quickly.
    fn phases(&self) -> [Self; 3] {
        let middle = (self.trial_s * self.sum_s).sqrt();
        [(self.trial_s, 4.0), (middle, 2.0), (self.sum_s, 1.0)].map(|(sum_s, times)| Self {
            sum_s,
            width: self.width * times,
            ..self.clone()
        })
    }
}

/// Searches for all `goals` within `limits`. `measure` makes a trial at a load in frames a second
/// for so many seconds, and says the share of frames lost.
///
/// # Errors
/// What `measure` fails with, at once.
pub fn search<E>(
    goals: &[Goal],
    limits: Limits,
    measure: impl FnMut(f64, f64) -> Result<f64, E>,
) -> Result<Searched, E> {
    let mut search = Search { limits, measure, by_load: BTreeMap::new(), trials: Vec::new() };
    // The loosest first: its upper bound is one for the others too.
    let mut order: Vec<&Goal> = goals.iter().collect();
    order.sort_by(|a, b| b.loss_ratio.total_cmp(&a.loss_ratio));
    let mut ended = true;
    for goal in order {
        ended &= search.goal(goal)?;
    }
    let found = goals.iter().map(|goal| search.found(goal, ended)).collect();
    Ok(Searched { found, trials: search.trials })
}

struct Search<F> {
    limits: Limits,
    measure: F,
    /// Trials by their load's bits, which for numbers above 0 are in the same order.
    by_load: BTreeMap<u64, Vec<Trial>>,
    trials: Vec<Trial>,
}

impl<E, F: FnMut(f64, f64) -> Result<f64, E>> Search<F> {
    /// Searches for one goal; false when trials ran out.
    fn goal(&mut self, goal: &Goal) -> Result<bool, E> {
        for phase in &goal.phases() {
            // The bounds of the phase before are judged by this one's sum first.
            let (lower, upper) = self.facing(phase);
            for load in [lower, upper].into_iter().flatten() {
                self.decide(phase, load)?;
            }
            if !self.narrow(phase)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Brings the bounds to within the goal's width; false when trials ran out.
    fn narrow(&mut self, goal: &Goal) -> Result<bool, E> {
        let mut step = 1.0;
        let mut last = Class::Undecided;
        loop {
            let Some(load) = self.next(goal, step, last) else { return Ok(true) };
            let class = self.decide(goal, load)?;
            step = if class == last { step * EXPANSION } else { 1.0 };
            last = class;
            if class == Class::Undecided {
                return Ok(false);
            }
        }
    }

    /// The next load to try; `None` when the bounds are close enough, or no load is left.
    fn next(&self, goal: &Goal, step: f64, last: Class) -> Option<f64> {
        let Limits { least, most, .. } = self.limits;
        let stride = (1.0 + goal.width).powf(step);
        match self.bounds(goal) {
            (Some(lower), None) => (lower < most).then(|| most.min(lower * stride.max(2.0))),
            (None, None) => Some(most),
            (None, Some(upper)) if upper <= least => None,
            (None, Some(upper)) => {
                let through = upper * (1.0 - self.loss_at(upper));
                // What came through is a good guess at once; after that, longer and longer steps.
                let guess = if last == Class::Upper && step > 1.0 { upper } else { through };
                Some((guess.min(upper) / stride).max(least))
            }
            (Some(lower), Some(upper)) if upper <= lower * (1.0 + goal.width) => None,
            (Some(lower), Some(upper)) => {
                let middle = (lower * upper).sqrt();
                Some(match last {
                    Class::Lower => middle.min(lower * stride),
                    Class::Upper => middle.max(upper / stride),
                    Class::Undecided => middle,
                })
            }
        }
    }

    /// Mean loss of the trials at `load`.
    fn loss_at(&self, load: f64) -> f64 {
        let trials = self.by_load.get(&load.to_bits()).map_or(&[][..], Vec::as_slice);
        trials.iter().map(|trial| trial.loss_ratio).sum::<f64>() / trials.len().max(1) as f64
    }

    /// Makes trials at `load` until it is a bound; undecided only when trials ran out.
    fn decide(&mut self, goal: &Goal, load: f64) -> Result<Class, E> {
        loop {
            let trials = self.by_load.entry(load.to_bits()).or_default();
            let class = goal.classify(trials);
            if class != Class::Undecided || self.trials.len() >= self.limits.trials {
                return Ok(class);
            }
            let loss_ratio = (self.measure)(load, goal.trial_s)?;
            let trial = Trial { load, seconds: goal.trial_s, loss_ratio };
            trials.push(trial);
            self.trials.push(trial);
        }
    }

    /// The lowest upper bound, and the highest lower bound below it.
    fn bounds(&self, goal: &Goal) -> (Option<f64>, Option<f64>) {
        let of = |class| {
            let is = move |trials: &Vec<Trial>| goal.classify(trials) == class;
            self.by_load.iter().filter(move |(_, trials)| is(trials)).map(|(load, _)| *load)
        };
        let upper = of(Class::Upper).next();
        let lower =
            of(Class::Lower).take_while(|&load| upper.is_none_or(|upper| load < upper)).last();
        (lower.map(f64::from_bits), upper.map(f64::from_bits))
    }

    /// The bounds of the coarser goal that this one follows: those that fewer trials decide.
    fn facing(&self, goal: &Goal) -> (Option<f64>, Option<f64>) {
        self.bounds(&Goal { sum_s: goal.trial_s, ..goal.clone() })
    }

    fn found(&self, goal: &Goal, ended: bool) -> Found {
        let (lower, upper) = self.bounds(goal);
        let outcome = match (lower, upper) {
            (Some(lower), Some(upper)) if upper <= lower * (1.0 + goal.width) => Outcome::Found,
            (Some(lower), None) if lower >= self.limits.most => Outcome::AtMost,
            (None, Some(upper)) if upper <= self.limits.least && ended => Outcome::BelowLeast,
            _ => Outcome::OutOfTrials,
        };
        let throughput = lower.map(|load| {
            let trials = self.by_load.get(&load.to_bits()).map_or(&[][..], Vec::as_slice);
            load * (1.0 - goal.quantile_loss(trials))
        });
        Found { goal: goal.clone(), outcome, lower, upper, throughput }
    }
}
