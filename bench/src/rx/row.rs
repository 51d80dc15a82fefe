//! One receiver at one frame size: all its trials, in order.

use std::collections::BTreeMap;
use std::time::Duration;

use pfs_dataplane::receivers::Granted;
use pfs_dataplane::run::RunReport;
use pfs_dataplane::transmitters::frames::FrameSize;
use serde::Serialize;

use super::contender::{Contender, Kind, What};
use super::plan::Plan;
use super::process::OurReceiver;
use super::receive::Ours;
use super::search::{Found, Limits, Outcome, Searched, search};
use super::trial::{Bench, INTERRUPTED, Trial, expect_attached, ours, peer, take_off};
use crate::stats::Spread;

/// Frames a second of the first look at a receiver: far below what any can take.
const GENTLE: f64 = 20_000.0;
/// How long that look is.
const GENTLE_TIME: Duration = Duration::from_millis(200);
/// Frames a second at no load: one on its way at a time.
const NO_LOAD: f64 = 1_000.0;
/// Loads of the latency trials as shares of PDR, beside no load.
const LOADS: [f64; 3] = [0.1, 0.5, 0.9];
/// Loads of the curve as shares of the sender's top speed.
const CURVE: [f64; 5] = [0.2, 0.4, 0.6, 0.8, 0.95];
/// The paced rate that a sender keeps, as a share of what it does when nothing is paced.
const KEPT: f64 = 0.95;
/// How often a trial is made again that the sender could not keep its load in.
const AGAIN: usize = 2;

/// One receiver at one frame size.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    /// The receiver's name.
    pub(super) name: &'static str,
    /// The test's name.
    pub(super) code: String,
    pub(super) kind: Kind,
    pub(super) size: String,
    pub(super) is_ours: bool,
    /// What the kernel gave ours.
    pub(super) granted: Option<Granted>,
    /// How its XDP program was attached, in every trial.
    pub(super) attached: Option<&'static str>,
    /// Whether every payload's digest was right in the gentle trial; none: not looked at.
    pub(super) digest_right: Option<bool>,
    /// Trials at top speed.
    pub(super) mrr: Vec<Trial>,
    /// The search, and its trials as they went.
    pub(super) searched: Option<Searched>,
    pub(super) search_trials: Vec<Trial>,
    /// Trials at shares of the top speed.
    pub(super) curve: Vec<Trial>,
    /// Trials that waits were looked at in.
    pub(super) latency: Vec<Waited>,
    /// Times that its XDP program was still attached when it had ended.
    pub(super) left_attached: usize,
    pub(super) errors: Vec<String>,
}

/// One trial's waits, from a frame's hand-over to the kernel to the receiver's poll.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Waited {
    /// `no load`, `10 % of PDR`, …
    pub(super) load: String,
    pub(super) trial: Trial,
    /// Nanoseconds, and how many frames took them; to three digits, in rising order.
    pub(super) waits: Vec<(u64, u64)>,
}

impl Waited {
    /// Frames looked at.
    pub(super) fn samples(&self) -> u64 {
        self.waits.iter().map(|(_, count)| count).sum()
    }

    /// Nanoseconds that a share of the frames did not exceed; `None` when there were too few to
    /// say.
    pub(super) fn quantile(&self, share: f64) -> Option<u64> {
        let samples = self.samples();
        let rank = (samples as f64 * share).ceil().max(1.0) as u64;
        let enough = samples as f64 * (1.0 - share) >= 1.0 || share <= 0.5 && samples > 0;
        let mut seen = 0;
        let found = self.waits.iter().find(|(_, count)| {
            seen += count;
            seen >= rank
        });
        found.filter(|_| enough).map(|(ns, _)| *ns)
    }

    /// The longest.
    pub(super) fn most(&self) -> Option<u64> {
        self.waits.last().map(|(ns, _)| *ns)
    }
}

impl Row {
    pub(super) fn new(contender: &Contender, size: FrameSize) -> Self {
        Self {
            name: contender.name,
            code: contender.code(size),
            kind: contender.kind,
            size: size.to_string(),
            is_ours: contender.is_ours(),
            granted: None,
            attached: contender.attached,
            digest_right: None,
            mrr: Vec::new(),
            searched: None,
            search_trials: Vec::new(),
            curve: Vec::new(),
            latency: Vec::new(),
            left_attached: 0,
            errors: Vec::new(),
        }
    }

    /// The rates of the trials at top speed, in kpps.
    pub(super) fn kpps(&self) -> Spread {
        Spread::of(self.mrr.iter().map(|trial| trial.rate() / 1e3).collect())
    }

    /// The same of what was sent.
    pub(super) fn sent_kpps(&self) -> Spread {
        Spread::of(self.mrr.iter().map(|trial| trial.sent_rate() / 1e3).collect())
    }

    /// The share of a core at top speed.
    pub(super) fn cpu(&self) -> Spread {
        Spread::of(self.mrr.iter().map(|trial| trial.cpu).collect())
    }

    /// All trials.
    pub(super) fn trials(&self) -> impl Iterator<Item = &Trial> {
        let waited = self.latency.iter().map(|waited| &waited.trial);
        self.mrr.iter().chain(&self.search_trials).chain(&self.curve).chain(waited)
    }

    /// Trials in which the sender did not keep its load.
    pub(super) fn short(&self) -> usize {
        self.trials().filter(|trial| trial.sender_short).count()
    }

    pub(super) fn found(&self, goal: &str) -> Option<&Found> {
        self.searched.as_ref()?.found.iter().find(|found| found.goal.name == goal)
    }

    /// Whether it was the sender that the search for `found` ended at: the highest load met the
    /// goal, or the load above the result is one that the sender did not keep, most of the time,
    /// though what it sent came through.
    pub(super) fn sender_was_limit(&self, found: &Found) -> bool {
        let Some(upper) = found.upper else { return found.outcome == Outcome::AtMost };
        let above = self.search_trials.iter().filter(|trial| trial.load == Some(upper));
        let (of_sender, of_receiver): (Vec<&Trial>, Vec<&Trial>) = above
            .filter(|trial| trial.sender_short || trial.loss_ratio() > found.goal.loss_ratio)
            .partition(|trial| trial.loss_ratio() <= found.goal.loss_ratio);
        of_sender.len() > of_receiver.len()
    }

    /// Whether ours was measured, unless a signal came before, and all that it said was right; a
    /// peer's word is taken.
    pub(super) fn is_right(&self, interrupted: bool) -> bool {
        let measured = !self.is_ours || interrupted || self.errors.is_empty();
        measured && self.digest_right != Some(false) && self.trials().all(Trial::is_right)
    }

    /// The `visit`th visit: trials at top speed, and in the last all that follows from them.
    ///
    /// # Errors
    /// What went wrong; what was measured before is in the row.
    pub(super) fn visit(
        &mut self,
        bench: &mut Bench<'_>,
        contender: &Contender,
        plan: &Plan,
        visit: usize,
    ) -> Result<(), String> {
        let visited = match &contender.what {
            What::Ours(ours) => self.visit_ours(bench, ours, contender.searched, plan, visit),
            What::Peer(peer) => self.visit_peer(bench, peer, plan, visit),
        };
        // What a trial that failed has left.
        self.left_attached += usize::from(take_off(bench.wire)?);
        visited
    }

    fn visit_ours(
        &mut self,
        bench: &mut Bench<'_>,
        what: &Ours,
        searched: bool,
        plan: &Plan,
        visit: usize,
    ) -> Result<(), String> {
        if visit == 0 {
            self.verify(bench, what)?;
        }
        let mut receiver = OurReceiver::start(what, bench.wire, bench.cores)?;
        expect_attached(bench.wire, self.attached)?;
        // The first trial warms up and is thrown away.
        ours(bench, &mut receiver, plan.trial.min(GENTLE_TIME), None, false)?;
        for _ in 0..plan.share(plan.trials, visit) {
            let (trial, _) = ours(bench, &mut receiver, plan.trial, None, false)?;
            self.mrr.push(trial);
        }
        if visit + 1 < plan.visits || !searched {
            return self.end(bench, receiver).map(drop);
        }
        let most = self.sent_kpps().median * 1e3 * KEPT;
        let trials = &mut self.search_trials;
        let measure = |load: f64, seconds: f64| {
            let time = Duration::from_secs_f64(seconds);
            kept(trials, time, load, |load| {
                ours(bench, &mut receiver, time, Some(load), false).map(|(trial, _)| trial)
            })
        };
        self.searched = Some(search(&plan.goals(), limits(most, plan), measure)?);
        for share in CURVE {
            let load = Some(most / KEPT * share);
            let (trial, _) = ours(bench, &mut receiver, plan.trial, load, false)?;
            self.curve.push(trial);
        }
        self.end(bench, receiver)?;
        self.look_at_waits(bench, what, plan)
    }

    /// A gentle trial from start to end, whose answer is known to the bit.
    fn verify(&mut self, bench: &mut Bench<'_>, what: &Ours) -> Result<(), String> {
        let mut receiver = OurReceiver::start(what, bench.wire, bench.cores)?;
        expect_attached(bench.wire, self.attached)?;
        let position = bench.sender.position();
        let (trial, _) = ours(bench, &mut receiver, GENTLE_TIME, Some(GENTLE), false)?;
        let report = self.end(bench, receiver)?.ok_or("it ended without a report")?;
        self.granted = report.receivers.into_iter().next().map(|receiver| receiver.granted);
        if trial.delivered == 0 {
            return Err(format!(
                "nothing of {} frames sent on {} arrived at {}; are they wired to each other?",
                trial.sent, bench.wire.from, bench.wire.to
            ));
        }
        let (digest, bytes) = bench.sender.answer(position, trial.sent);
        let results = report.results.first().map(|rule| &rule.results);
        let results = results.ok_or("it ended without results")?;
        if trial.delivered == trial.sent {
            let right =
                results.bytes == bytes && results.get("crc32c").is_none_or(|got| got == digest);
            self.digest_right = Some(right);
        }
        if report.books.residual != 0 || self.digest_right == Some(false) {
            self.digest_right = Some(false);
            return Err(format!("wrong answer: {:?}, {:?}", report.books, results));
        }
        Ok(())
    }

    fn look_at_waits(
        &mut self,
        bench: &mut Bench<'_>,
        what: &Ours,
        plan: &Plan,
    ) -> Result<(), String> {
        let Some(pdr) = self.found("PDR").and_then(|found| found.throughput) else { return Ok(()) };
        let waits = Ours { waits: true, ..what.clone() };
        let mut receiver = OurReceiver::start(&waits, bench.wire, bench.cores)?;
        let shares = LOADS.map(|share| (format!("{:.0} % of PDR", share * 100.0), pdr * share));
        for (name, load) in [("no load".to_owned(), NO_LOAD)].into_iter().chain(shares) {
            // Warm at this load.
            ours(bench, &mut receiver, GENTLE_TIME, Some(load), true)?;
            let (trial, look) = ours(bench, &mut receiver, plan.latency, Some(load), true)?;
            let mut waits: BTreeMap<u64, u64> = BTreeMap::new();
            for (ns, count) in look.waits {
                *waits.entry(ns).or_default() += count;
            }
            let waits = waits.into_iter().collect();
            self.latency.push(Waited { load: name, trial, waits });
        }
        self.end(bench, receiver).map(drop)
    }

    /// Ends a receiver of ours and leaves the wire as it was.
    fn end(
        &mut self,
        bench: &Bench<'_>,
        receiver: OurReceiver,
    ) -> Result<Option<RunReport>, String> {
        let report = receiver.end();
        self.left_attached += usize::from(take_off(bench.wire)?);
        report
    }

    fn visit_peer(
        &mut self,
        bench: &mut Bench<'_>,
        what: &super::contender::Peer,
        plan: &Plan,
        visit: usize,
    ) -> Result<(), String> {
        let attached = self.attached;
        for _ in 0..plan.share(plan.peer_trials, visit) {
            self.mrr.push(peer(bench, what, attached, plan.trial, None)?);
            self.left_attached += usize::from(take_off(bench.wire)?);
        }
        if visit + 1 < plan.visits || !plan.search_peers {
            return Ok(());
        }
        let most = self.sent_kpps().median * 1e3 * KEPT;
        let trials = &mut self.search_trials;
        let measure = |load: f64, seconds: f64| {
            let time = Duration::from_secs_f64(seconds);
            kept(trials, time, load, |load| {
                let trial = peer(bench, what, attached, time, Some(load))?;
                take_off(bench.wire)?;
                Ok(trial)
            })
        };
        self.searched = Some(search(&plan.goals(), limits(most, plan), measure)?);
        Ok(())
    }

    /// Writes `error` down; what a signal cut short is no error of the receiver's.
    pub(super) fn failed(&mut self, error: String) {
        if error != INTERRUPTED {
            self.errors.push(error);
        }
    }
}

fn limits(most: f64, plan: &Plan) -> Limits {
    let most = most.max(2.0 * NO_LOAD);
    Limits { least: NO_LOAD, most, trials: plan.most_trials }
}

/// Makes a trial, again when the sender did not keep the load; the loss that it had. What a sender
/// could still not send counts as lost: no load is credited that was not there.
fn kept(
    trials: &mut Vec<Trial>,
    time: Duration,
    load: f64,
    mut measure: impl FnMut(f64) -> Result<Trial, String>,
) -> Result<f64, String> {
    let mut again = AGAIN;
    loop {
        let trial = measure(load)?;
        let (short, loss) = (trial.sender_short, trial.loss_ratio());
        let unsent = 1.0 - trial.delivered as f64 / (load * time.as_secs_f64());
        trials.push(trial);
        match (short, again) {
            (false, _) => return Ok(loss),
            (true, 0) => return Ok(unsent.clamp(loss, 1.0)),
            (true, _) => again -= 1,
        }
    }
}

/// A rate that was found, in words: `412`, `≥ 689 (sender)`, `–`.
pub(super) fn in_kpps(row: &Row, goal: &str) -> String {
    let Some(found) = row.found(goal) else { return "–".to_owned() };
    let outcome = if row.sender_was_limit(found) { Outcome::AtMost } else { found.outcome };
    match (outcome, found.throughput) {
        (Outcome::Found, Some(rate)) => format!("{:.0}", rate / 1e3),
        (Outcome::AtMost, Some(rate)) => format!("≥ {:.0} (sender)", rate / 1e3),
        (Outcome::OutOfTrials, Some(rate)) => format!("{:.0} (unsettled)", rate / 1e3),
        (Outcome::BelowLeast, _) => format!("< {:.0}", NO_LOAD / 1e3),
        (_, None) => "none found".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(waits: Vec<(u64, u64)>) -> Waited {
        Waited { load: String::new(), trial: Trial::default(), waits }
    }

    #[test]
    fn quantiles_are_told_only_where_there_are_samples_for_them() {
        let waited = with((1..=1000).map(|ns| (ns, 1)).collect());
        assert_eq!(waited.quantile(0.5), Some(500));
        assert_eq!(waited.quantile(0.99), Some(990));
        assert_eq!(waited.quantile(0.999), Some(999));
        assert_eq!(waited.quantile(0.9999), None, "a thousand frames have no such quantile");
        assert_eq!(waited.most(), Some(1000));
        let none = with(Vec::new());
        assert_eq!((none.quantile(0.5), none.most()), (None, None));
    }

    #[test]
    fn a_load_that_the_sender_does_not_keep_is_not_credited() {
        let time = Duration::from_secs(1);
        let trial =
            |sent, sender_short| Trial { sent, delivered: sent, sender_short, ..Trial::default() };
        let mut made = Vec::new();
        let loss = kept(&mut made, time, 1000.0, |_| Ok(trial(900, true)));
        assert_eq!(made.len(), 3);
        assert!((loss.expect("a loss") - 0.1).abs() < 1e-9);
        let mut sent = [900, 1000].into_iter();
        let loss = kept(&mut made, time, 1000.0, |_| {
            let sent = sent.next().expect("two trials");
            Ok(trial(sent, sent < 1000))
        });
        assert_eq!((loss, made.len()), (Ok(0.0), 5));
    }
}
