//! Where a receiver's packets go: into lanes, or through an executor in the same thread.

use std::sync::Arc;

use pfs_rings::Desc;
use pfs_rings::lane::LaneReceiver;

use super::executor::{Executor, Work};
use super::steer::{Stage, Steer, Steered};
use crate::counters::WorkerCells;

/// The two ways of a plan's `lanes.mode`, behind one set of verbs.
#[derive(Debug)]
pub(super) enum Outlet {
    /// `pipeline`: to workers, through lanes.
    Lanes(Steer),
    /// `run_to_completion`: to an executor in this thread.
    Inline(Box<Inline>),
}

/// An executor that runs what was staged as soon as the batch is whole.
#[derive(Debug)]
pub(super) struct Inline {
    executor: Executor,
    stage: Stage,
    cells: Arc<WorkerCells>,
}

impl Outlet {
    pub(super) fn lanes(lanes: Vec<LaneReceiver>) -> Self {
        Self::Lanes(Steer::new(lanes))
    }

    pub(super) fn inline(executor: Executor, cells: Arc<WorkerCells>) -> Self {
        Self::Inline(Box::new(Inline { executor, stage: Stage::default(), cells }))
    }

    #[inline]
    pub(super) fn stage(&mut self, desc: Desc) {
        match self {
            Self::Lanes(steer) => steer.stage(desc),
            Self::Inline(inline) => inline.stage.push(desc),
        }
    }

    /// Hands over what was staged. Frames that nobody holds any more are appended to `back`.
    pub(super) fn flush(&mut self, back: &mut Vec<u32>, lossless: bool) -> Steered {
        match self {
            Self::Lanes(steer) => steer.flush(back, lossless),
            Self::Inline(inline) => inline.flush(back),
        }
    }

    /// Appends frames that workers have returned.
    pub(super) fn returned(&mut self, back: &mut Vec<u32>) {
        if let Self::Lanes(steer) = self {
            steer.returned(back);
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

    pub(super) fn publish(&self) {
        if let Self::Inline(inline) = self {
            inline.cells.publish(&inline.executor.counters);
        }
    }

    /// Totals and results, when the programs ran in this thread.
    pub(super) fn into_work(self) -> Option<Work> {
        match self {
            Self::Lanes(_) => None,
            Self::Inline(inline) => Some(inline.executor.end()),
        }
    }
}

impl Inline {
    fn flush(&mut self, back: &mut Vec<u32>) -> Steered {
        let descs = self.stage.descs();
        self.executor.run(descs);
        let mut sum = Steered::default();
        for desc in descs {
            sum.delivered += u64::from(desc.is_eom());
            sum.delivered_bytes += u64::from(desc.len);
            back.push(desc.frame);
        }
        self.stage.clear();
        sum
    }
}
