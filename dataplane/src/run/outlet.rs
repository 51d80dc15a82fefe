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
use crate::packet::Alike;

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
    waits: Waits,
}

impl Outlet {
    pub(super) fn lanes(lanes: Vec<Marked<LaneReceiver>>) -> Self {
        Self::Lanes(Box::new(Steer::new(lanes)))
    }

    pub(super) fn inline(executor: Executor, cells: Arc<WorkerCells>, waits: Waits) -> Self {
        Self::Inline(Box::new(Inline { executor, cells, waits }))
    }

    /// Through which each lane's totals and mark are published, in the workers' order, with its slots.
    pub(super) fn lane_cells(&self) -> Vec<(Arc<LaneCells>, Arc<HighWater>, usize)> {
        match self {
            Self::Lanes(steer) => steer.cells(),
            Self::Inline(_) => Vec::new(),
        }
    }

    /// Hands `descs` over: a batch at most, in whole chains, of which it may be known that they
    /// are `alike`. Of what goes into lanes, frames that nobody holds any more are appended to
    /// `back`, at most a batch and [`Self::most_returned`] of them.
    #[inline]
    pub(super) fn deliver(
        &mut self,
        descs: &[Desc],
        alike: Option<Alike>,
        back: &mut Vec<u32>,
        lossless: bool,
        watch: &mut Stopwatch,
    ) -> Steered {
        match self {
            Self::Lanes(steer) => steer.deliver(descs, back, lossless),
            Self::Inline(inline) => inline.deliver(descs, alike, watch),
        }
    }

    /// Whether nobody holds what was delivered when [`Self::deliver`] returns.
    #[inline]
    pub(super) const fn is_inline(&self) -> bool {
        matches!(self, Self::Inline(_))
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
    #[inline]
    fn deliver(&mut self, descs: &[Desc], alike: Option<Alike>, watch: &mut Stopwatch) -> Steered {
        if watch.is_on() {
            self.waits.look(descs);
        }
        let mut sum = Steered { steer_cycles: watch.lap(), ..Steered::default() };
        match alike {
            Some(alike) => self.executor.run_alike(descs, alike),
            None => self.executor.run(descs),
        }
        self.executor.counters.program_cycles += watch.lap();
        match alike {
            Some(alike) => {
                (sum.delivered, sum.delivered_bytes) = (descs.len() as u64, alike.bytes);
            }
            None => sum.add_delivered(descs),
        }
        sum
    }
}
