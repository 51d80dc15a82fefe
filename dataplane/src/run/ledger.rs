//! The account of a run that is over: what its threads counted, summed and closed.

use pfs_rings::RegionGranted;

use super::executor::Work;
use super::kit::WorkerKit;
use super::report::{ReceiverReport, RuleResults, RunReport, WorkerReport};
use super::start::{ReceiverThread, WorkerThread};
use crate::books::Books;
use crate::counters::{ReceiverCounters, SourceCounters, WorkerCounters};

/// Sums threads' accounts into the report.
#[derive(Default)]
pub(super) struct Ledger {
    names: Vec<String>,
    lanes: Option<RegionGranted>,
    sources: SourceCounters,
    received: ReceiverCounters,
    worked: WorkerCounters,
    in_flight: u64,
    receivers: Vec<ReceiverReport>,
    workers: Vec<WorkerReport>,
    /// Of each worker, to be closed when all have ended.
    kits: Vec<WorkerKit>,
    errors: Vec<String>,
}

impl Ledger {
    /// An account that is to have `names` for its rules and `lanes` for its memory.
    pub(super) fn open(names: Vec<String>, lanes: Option<RegionGranted>) -> Self {
        Self { names, lanes, ..Self::default() }
    }

    /// Waits for a receiver's thread and adds what it counted.
    pub(super) fn receiver(&mut self, receiver: ReceiverThread) {
        let end = match receiver.thread.join() {
            Ok(Some(end)) => end,
            Ok(None) => return,
            Err(_) => {
                return self.errors.push(format!("receiver {} panicked", receiver.name));
            }
        };
        self.sources.add(&end.source);
        self.received.add(&end.counters);
        self.in_flight += end.in_flight;
        if let Some(error) = end.error {
            self.errors.push(format!("receiver {}: {error}", receiver.name));
        }
        if let Some(work) = end.work {
            self.add_work(receiver.core, work);
        }
        self.receivers.push(ReceiverReport {
            source: receiver.name,
            core: receiver.core,
            granted: receiver.granted,
            source_counters: end.source,
            counters: end.counters,
            malformed: end.malformed,
            driver: end.driver,
        });
    }

    /// Waits for a worker's thread and adds what it did.
    pub(super) fn worker(&mut self, worker: WorkerThread) {
        match worker.thread.join() {
            Ok(Some(work)) => self.add_work(worker.core, work),
            Ok(None) => {}
            Err(_) => self.errors.push(format!("the worker on core {} panicked", worker.core)),
        }
    }

    fn add_work(&mut self, core: u32, work: Work) {
        let Work { counters, found, latency, kit } = work;
        self.worked.add(&counters);
        self.kits.push(kit);
        let results = self
            .names
            .iter()
            .zip(found)
            .map(|(rule, (results, steps, engines))| RuleResults {
                rule: rule.clone(),
                results,
                steps,
                engines,
            })
            .collect();
        let sinks = Vec::new();
        self.workers.push(WorkerReport { core, counters, latency, results, sinks });
    }

    /// Closes the books.
    pub(super) fn close(mut self, elapsed_s: f64) -> RunReport {
        for (worker, kit) in self.workers.iter_mut().zip(self.kits) {
            worker.sinks = kit.close(&mut self.errors);
        }
        RunReport {
            elapsed_s,
            books: Books::close(&self.sources, &self.received, &self.worked, self.in_flight),
            results: merge(&self.workers),
            lanes: self.lanes,
            receivers: self.receivers,
            workers: self.workers,
            errors: self.errors,
        }
    }
}

fn merge(workers: &[WorkerReport]) -> Vec<RuleResults> {
    let mut merged: Vec<RuleResults> = Vec::new();
    for worker in workers {
        for (at, part) in worker.results.iter().enumerate() {
            match merged.get_mut(at) {
                Some(sum) => sum.merge(part),
                None => merged.push(part.clone()),
            }
        }
    }
    merged
}
