//! What a run tells, while it goes and when it is over.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pfs_rings::RegionGranted;
use serde::{Deserialize, Serialize};

use super::latency::{Latency, WaitCounts};
use crate::books::Books;
use crate::counters::{
    CounterDef, LaneTotals, ReceiverCounters, SourceCounters, StepCounters, WorkerCounters,
};
use crate::pcpu::{EngineReport, Results, StepStats};
use crate::receivers::Granted;

/// Totals as threads last published them.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Since the run began.
    pub elapsed: Duration,
    /// One entry for each receiver: its source's counters and its own.
    pub receivers: Vec<(SourceCounters, ReceiverCounters)>,
    /// One entry for each worker; in `run_to_completion` mode for each receiver.
    pub workers: Vec<WorkerCounters>,
    /// For each worker how long packets waited for it, where stages are counted.
    pub waits: Vec<WaitCounts>,
    /// One entry for each lane; none in `run_to_completion` mode.
    pub lanes: Vec<LaneSnapshot>,
    /// One entry for each step of each rule's program on each worker.
    pub steps: Vec<StepSnapshot>,
    /// One entry for each engine op of each worker.
    pub engines: Vec<EngineSnapshot>,
}

/// What has gone through one lane.
#[derive(Clone, Debug)]
pub struct LaneSnapshot {
    /// The receiver's place.
    pub receiver: usize,
    /// The worker's place.
    pub worker: usize,
    /// Slots of its forward ring.
    pub slots: usize,
    /// Most spans that the forward ring was found to hold since the run began.
    pub high_water: u64,
    /// The totals.
    pub totals: LaneTotals,
}

/// What a step of a rule's program has cost one worker.
#[derive(Clone, Debug)]
pub struct StepSnapshot {
    /// The worker's place.
    pub worker: usize,
    /// The rule's name.
    pub rule: String,
    /// The ops that share the step, joined by `+`.
    pub ops: String,
    /// The totals.
    pub counters: StepCounters,
}

/// What an engine op of one worker last published.
#[derive(Clone, Debug)]
pub struct EngineSnapshot {
    /// The worker's place.
    pub worker: usize,
    /// The rule's name.
    pub rule: String,
    /// The op as it is written.
    pub op: String,
    /// Group of its counters.
    pub group: &'static str,
    /// Their definitions.
    pub table: &'static [CounterDef],
    /// Their totals, in the table's order.
    pub values: Vec<u64>,
}

impl Snapshot {
    /// The books over all threads. What is delivered and not yet consumed counts as in flight,
    /// so only the receiving side can show a residual before the run is over.
    #[must_use]
    pub fn books(&self) -> Books {
        let (mut sources, mut receivers) = (SourceCounters::default(), ReceiverCounters::default());
        for (source, receiver) in &self.receivers {
            sources.add(source);
            receivers.add(receiver);
        }
        let mut workers = WorkerCounters::default();
        self.workers.iter().for_each(|worker| workers.add(worker));
        Books::of_totals(&sources, &receivers, workers)
    }
}

/// A run that is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunReport {
    /// Seconds from the first thread's start to the last one's end.
    pub elapsed_s: f64,
    /// The account of all receivers together.
    pub books: Books,
    /// Results of each rule, merged over workers.
    pub results: Vec<RuleResults>,
    /// The memory that the lanes were in; left out where programs ran in the receivers' threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lanes: Option<RegionGranted>,
    /// One entry for each receiver thread.
    pub receivers: Vec<ReceiverReport>,
    /// One entry for each worker.
    pub workers: Vec<WorkerReport>,
    /// What went wrong on the way; empty when nothing did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

/// What one rule's program found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleResults {
    /// The rule's name.
    pub rule: String,
    /// Accumulators and histogram.
    pub results: Results,
    /// What each step of the program cost, in order.
    pub steps: Vec<StepStats>,
    /// What each engine op of the program counted, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub engines: Vec<EngineReport>,
}

/// What one worker wrote to one sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkReport {
    /// The sink's name.
    pub sink: String,
    /// File, or socket, that was written.
    pub path: PathBuf,
    /// Messages in the file; of ids, records.
    pub packets: u64,
    /// Their bytes; of ids, four for each.
    pub bytes: u64,
    /// Messages, or records, that could not be written.
    pub lost: u64,
}

impl RuleResults {
    /// Adds another worker's part for the same rule.
    pub(super) fn merge(&mut self, other: &Self) {
        // Workers of one run have the same programs, and nothing else can fail here.
        let merged = self.results.merge(&other.results);
        debug_assert!(merged.is_ok());
        for (sum, part) in self.steps.iter_mut().zip(&other.steps) {
            sum.messages += part.messages;
            sum.bytes += part.bytes;
            sum.cycles += part.cycles;
            sum.batches += part.batches;
        }
        for (sum, part) in self.engines.iter_mut().zip(&other.engines) {
            for (name, count) in &part.counters {
                *sum.counters.entry(name.clone()).or_default() += count;
            }
        }
    }
}

/// One receiver thread's account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiverReport {
    /// The source's name.
    pub source: String,
    /// Core that the thread was pinned to, by the kernel's id.
    pub core: u32,
    /// What the backend got.
    pub granted: Granted,
    /// What the source counted.
    pub source_counters: SourceCounters,
    /// What the thread counted.
    pub counters: ReceiverCounters,
    /// Malformed packets by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub malformed: BTreeMap<String, u64>,
    /// What a poll-mode driver has counted beside, by its own names, where it is not 0: totals of
    /// the port (DPDK's "extended statistics"), at its queue 0.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub driver: BTreeMap<String, u64>,
}

/// One worker's account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerReport {
    /// Core that the worker ran on, by the kernel's id.
    pub core: u32,
    /// What the worker counted.
    pub counters: WorkerCounters,
    /// How long packets waited for it, where they have a stamp and stages are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Results of each rule on this worker alone, chain digests included.
    pub results: Vec<RuleResults>,
    /// What this worker wrote to each sink.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<SinkReport>,
}
