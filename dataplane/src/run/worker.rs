//! A worker's thread: take descriptors, run their programs, return their frames.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pfs_rings::lane::{BURST, LaneWorker};
use pfs_rings::spsc::PeerState;
use pfs_rings::{Desc, WaitStrategy};

use super::cycles::Stopwatch;
use super::executor::{Executor, Work};
use super::lanes::Marked;
use super::latency::Waits;
use crate::counters::WorkerCells;
use crate::pcpu::AHEAD;

/// How often counters are published.
const HOUSEKEEPING: Duration = Duration::from_millis(20);
/// Longest sleep of a worker on its only lane.
const NAP: Duration = Duration::from_millis(20);
/// Longest sleep on one of several lanes, before the others are looked at.
const NAP_OF_MANY: Duration = Duration::from_micros(250);

/// Everything that one worker thread owns.
#[derive(Debug)]
pub(super) struct WorkerLoop {
    lanes: Vec<Marked<LaneWorker>>,
    executor: Executor,
    cells: Arc<WorkerCells>,
    wait: WaitStrategy,
    watch: Stopwatch,
    waits: Waits,
}

impl WorkerLoop {
    pub(super) fn new(
        lanes: Vec<Marked<LaneWorker>>,
        executor: Executor,
        cells: Arc<WorkerCells>,
        waits: Waits,
        wait: WaitStrategy,
        stage_cycles: bool,
    ) -> Self {
        let watch = Stopwatch::new(stage_cycles);
        Self { lanes, executor, cells, wait, watch, waits }
    }

    /// Runs until every receiver has hung up and every lane is empty.
    pub(super) fn run(mut self) -> Work {
        let mut due = Instant::now();
        let mut burst = [Desc::default(); BURST];
        let mut turn = 0;
        loop {
            let taken = self.round(&mut burst);
            if taken == 0 {
                self.executor.counters.empty_polls += 1;
                // Looked at before the lanes: what was pushed before closing is then seen.
                let deserted = self.lanes.iter().all(|lane| lane.end.peer() != PeerState::Open);
                if deserted && self.round(&mut burst) == 0 {
                    break;
                }
                turn = self.idle(turn);
            }
            if taken == 0 || self.executor.counters.batches.is_multiple_of(64) {
                let now = Instant::now();
                if now >= due {
                    self.executor.tick();
                    self.publish();
                    due = now + HOUSEKEEPING;
                }
            }
        }
        self.publish();
        self.executor.end(&self.waits)
    }

    fn publish(&self) {
        self.cells.publish(&self.executor.counters);
        for lane in &self.lanes {
            lane.high_water.raise(lane.end.high_water());
        }
    }

    /// One burst from each lane; returns how many descriptors were taken.
    fn round(&mut self, burst: &mut [Desc; BURST]) -> usize {
        let mut taken = 0;
        let mut next = [Desc::default(); AHEAD];
        for Marked { end: lane, .. } in &mut self.lanes {
            self.watch.begin();
            let found = lane.peek(burst);
            if found == 0 {
                continue;
            }
            let descs = &burst[..found];
            if self.watch.is_on() {
                self.waits.look(descs);
            }
            self.executor.counters.lane_cycles += self.watch.lap();
            let fetched = if self.executor.fetches() { lane.behind(found, &mut next) } else { 0 };
            self.executor.run_before(descs, &next[..fetched]);
            self.executor.counters.program_cycles += self.watch.lap();
            let mut tokens = [0; BURST];
            for (token, desc) in tokens.iter_mut().zip(descs) {
                *token = desc.frame;
            }
            lane.release(found);
            lane.give_back(&tokens[..found]);
            self.executor.counters.lane_cycles += self.watch.lap();
            self.watch.end();
            taken += found;
        }
        taken
    }

    /// Waits on one lane, the next one each time; returns whose turn comes then.
    fn idle(&mut self, turn: usize) -> usize {
        let many = self.lanes.len() > 1;
        let at = turn % self.lanes.len().max(1);
        if let Some(lane) = self.lanes.get_mut(at) {
            self.executor.counters.waits += 1;
            lane.end.wait(self.wait, if many { NAP_OF_MANY } else { NAP }, None);
        }
        at + 1
    }
}
