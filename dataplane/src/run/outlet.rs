//! Where a receiver's packets go: into lanes, or through an executor in the same thread.

use std::sync::Arc;

use pfs_rings::Desc;
use pfs_rings::lane::LaneReceiver;

use super::cycles::Stopwatch;
use super::executor::{Executor, Work};
use super::lanes::{HighWater, Marked};
use super::latency::Waits;
use super::steer::{Steer, Steered};
use crate::counters::{LaneCells, WorkerCells};

/// The two ways of a plan's `lanes.mode`, behind one set of verbs.
#[derive(Debug)]
pub(super) enum Outlet {
    /// `pipeline`: to workers, through lanes.
    Lanes(Box<Steer>),
    /// `run_to_completion`: to an executor in this thread.
    Inline(Box<Inline>),
}

/// An executor that runs each batch as it comes.
#[derive(Debug)]
pub(super) struct Inline {
    executor: Executor,
    cells: Arc<WorkerCells>,
    watch: Stopwatch,
    waits: Waits,
}

impl Outlet {
    pub(super) fn lanes(lanes: Vec<Marked<LaneReceiver>>) -> Self {
        Self::Lanes(Box::new(Steer::new(lanes)))
    }

    pub(super) fn inline(
        executor: Executor,
        cells: Arc<WorkerCells>,
        waits: Waits,
        stage_cycles: bool,
    ) -> Self {
        let watch = Stopwatch::new(stage_cycles);
        Self::Inline(Box::new(Inline { executor, cells, watch, waits }))
    }

    /// Through which each lane's totals and mark are published, in the workers' order, with its slots.
    pub(super) fn lane_cells(&self) -> Vec<(Arc<LaneCells>, Arc<HighWater>, usize)> {
        match self {
            Self::Lanes(steer) => steer.cells(),
            Self::Inline(_) => Vec::new(),
        }
    }

    /// Hands `descs` over: a batch at most, in whole chains. Frames that nobody holds any more
    /// are appended to `back`, at most a batch and [`Self::most_returned`] of them.
    #[inline]
    pub(super) fn deliver(
        &mut self,
        descs: &[Desc],
        back: &mut Vec<u32>,
        lossless: bool,
    ) -> Steered {
        match self {
            Self::Lanes(steer) => steer.deliver(descs, back, lossless),
            Self::Inline(inline) => inline.deliver(descs, back),
        }
    }

    /// Passes frames that workers have returned to `take`: at once when `eager`, else now and
    /// then.
    pub(super) fn returned(&mut self, eager: bool, take: impl FnMut(&[u32])) {
        if let Self::Lanes(steer) = self {
            steer.returned(eager, take);
        }
    }

    /// Most frames that can come back during one [`Self::deliver`] beside those delivered.
    pub(super) fn most_returned(&self) -> usize {
        match self {
            Self::Lanes(steer) => steer.most_returned(),
            Self::Inline(_) => 0,
        }
    }

    /// Tells workers that nothing more will come.
    pub(super) fn hang_up(&mut self) {
        if let Self::Lanes(steer) = self {
            steer.hang_up();
        }
    }

    /// Descriptors that workers still hold.
    pub(super) fn in_flight(&self) -> u64 {
        match self {
            Self::Lanes(steer) => steer.in_flight(),
            Self::Inline(_) => 0,
        }
    }

    /// Whether every worker has gone: nothing more will come back.
    pub(super) fn is_deserted(&self) -> bool {
        match self {
            Self::Lanes(steer) => steer.is_deserted(),
            Self::Inline(_) => false,
        }
    }

    pub(super) fn publish(&mut self) {
        match self {
            Self::Lanes(steer) => steer.publish(),
            Self::Inline(inline) => {
                inline.executor.tick();
                inline.cells.publish(&inline.executor.counters);
            }
        }
    }

    /// Totals and results, when the programs ran in this thread.
    pub(super) fn into_work(self) -> Option<Work> {
        match self {
            Self::Lanes(_) => None,
            Self::Inline(inline) => Some(inline.executor.end(&inline.waits)),
        }
    }
}

impl Inline {
    fn deliver(&mut self, descs: &[Desc], back: &mut Vec<u32>) -> Steered {
        if self.watch.is_on() {
            self.waits.look(descs);
        }
        self.watch.start();
        self.executor.run(descs);
        let mut sum = Steered { program_cycles: self.watch.lap(), ..Steered::default() };
        self.executor.counters.program_cycles += sum.program_cycles;
        sum.add_delivered(descs);
        back.extend(descs.iter().map(|desc| desc.frame));
        sum
    }
}
