//! What a run's threads publish, for whoever watches it.

use std::sync::Arc;
use std::time::Instant;

use super::lanes::HighWater;
use super::latency::WaitCells;
use super::report::{EngineSnapshot, LaneSnapshot, Snapshot, StepSnapshot};
use crate::books::Books;
use crate::counters::{
    LaneCells, ReceiverCells, ReceiverCounters, SourceCells, SourceCounters, StepCells,
    WorkerCells, WorkerCounters,
};
use crate::pcpu::EngineCells;

/// Reads a run's counters while it goes and after it is over. Costs the run's threads nothing:
/// they publish some fifty times a second whether or not anybody looks.
#[derive(Clone, Debug)]
pub struct Watch {
    pub(super) began: Instant,
    pub(super) names: Vec<String>,
    pub(super) receivers: Vec<(Arc<SourceCells>, Arc<ReceiverCells>)>,
    pub(super) workers: Vec<WorkerWatch>,
    pub(super) lanes: Vec<LaneWatch>,
}

/// The cells of one worker.
#[derive(Clone, Debug)]
pub(super) struct WorkerWatch {
    pub(super) cells: Arc<WorkerCells>,
    pub(super) waits: Arc<WaitCells>,
    pub(super) steps: Vec<StepRow>,
    pub(super) engines: Vec<EngineRow>,
}

/// The cells of one step of a program.
#[derive(Clone, Debug)]
pub(super) struct StepRow {
    /// The rule's place.
    pub(super) rule: usize,
    /// The ops that share the step, joined by `+`.
    pub(super) ops: String,
    pub(super) cells: Arc<StepCells>,
}

/// The cells of one engine op.
#[derive(Clone, Debug)]
pub(super) struct EngineRow {
    /// The rule's place.
    pub(super) rule: usize,
    /// The op as it is written.
    pub(super) op: String,
    pub(super) cells: Arc<EngineCells>,
}

/// The cells of one lane.
#[derive(Clone, Debug)]
pub(super) struct LaneWatch {
    pub(super) receiver: usize,
    pub(super) worker: usize,
    pub(super) slots: usize,
    pub(super) cells: Arc<LaneCells>,
    pub(super) high_water: Arc<HighWater>,
}

impl Watch {
    /// Of a run that begins now.
    pub(super) fn begin(names: Vec<String>) -> Self {
        Self {
            began: Instant::now(),
            names,
            receivers: Vec::new(),
            workers: Vec::new(),
            lanes: Vec::new(),
        }
    }

    /// Totals as last published, at most some 20 ms old while the run goes. Allocates.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        // Workers first: what they have consumed was then delivered too, as far as is published.
        let workers = self.workers.iter().map(|worker| worker.cells.read()).collect();
        Snapshot {
            elapsed: self.began.elapsed(),
            workers,
            waits: self.workers.iter().map(|worker| worker.waits.read()).collect(),
            steps: self.steps().collect(),
            engines: self.engines().collect(),
            lanes: self.lanes.iter().map(LaneWatch::read).collect(),
            receivers: self.receivers.iter().map(|(of, own)| (of.read(), own.read())).collect(),
        }
    }

    /// The books alone, as [`Snapshot::books`] has them.
    #[must_use]
    pub fn books(&self) -> Books {
        let (mut sources, mut receivers) = (SourceCounters::default(), ReceiverCounters::default());
        let mut workers = WorkerCounters::default();
        self.workers.iter().for_each(|worker| workers.add(&worker.cells.read()));
        for (source, receiver) in &self.receivers {
            sources.add(&source.read());
            receivers.add(&receiver.read());
        }
        Books::of_totals(&sources, &receivers, workers)
    }

    fn name(&self, rule: usize) -> String {
        self.names.get(rule).cloned().unwrap_or_default()
    }

    fn steps(&self) -> impl Iterator<Item = StepSnapshot> + '_ {
        self.workers.iter().enumerate().flat_map(move |(worker, of)| {
            of.steps.iter().map(move |row| StepSnapshot {
                worker,
                rule: self.name(row.rule),
                ops: row.ops.clone(),
                counters: row.cells.read(),
            })
        })
    }

    fn engines(&self) -> impl Iterator<Item = EngineSnapshot> + '_ {
        self.workers.iter().enumerate().flat_map(move |(worker, of)| {
            of.engines.iter().map(move |row| EngineSnapshot {
                worker,
                rule: self.name(row.rule),
                op: row.op.clone(),
                group: row.cells.group,
                table: row.cells.table,
                values: row.cells.read(),
            })
        })
    }
}

impl LaneWatch {
    fn read(&self) -> LaneSnapshot {
        LaneSnapshot {
            receiver: self.receiver,
            worker: self.worker,
            slots: self.slots,
            high_water: self.high_water.read(),
            totals: self.cells.read(),
        }
    }
}
