//! Steering: each flow to one lane, in order.

use std::time::Duration;

use pfs_rings::Desc;
use pfs_rings::lane::LaneReceiver;
use pfs_rings::spsc::PeerState;
use pfs_rings::WaitStrategy;

use crate::packet::lane_of;
use crate::receivers::BATCH;

/// How long the thread of a lossless source sleeps at most before it looks at a full lane again.
const LOOK_UP: Duration = Duration::from_millis(10);
/// Tokens taken from a lane at a time: more than a batch, so that returns never pile up.
const DRAIN: usize = 4 * BATCH;

/// A receiver's ends of its lanes, and what is staged for each.
#[derive(Debug)]
pub(super) struct Steer {
    lanes: Vec<LaneReceiver>,
    stages: Vec<Stage>,
}

/// Descriptors on their way into one lane; a batch at most.
#[derive(Debug)]
pub(super) struct Stage {
    descs: [Desc; BATCH],
    len: usize,
}

impl Default for Stage {
    fn default() -> Self {
        Self { descs: [Desc::default(); BATCH], len: 0 }
    }
}

impl Stage {
    #[inline]
    pub(super) fn push(&mut self, desc: Desc) {
        self.descs[self.len] = desc;
        self.len += 1;
    }

    pub(super) fn descs(&self) -> &[Desc] {
        &self.descs[..self.len]
    }

    pub(super) const fn clear(&mut self) {
        self.len = 0;
    }
}

/// What became of one batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Steered {
    /// Packets handed over.
    pub(super) delivered: u64,
    /// Their payload bytes.
    pub(super) delivered_bytes: u64,
    /// Packets whose lane had no room.
    pub(super) ring_full: u64,
}

impl Steer {
    pub(super) fn new(lanes: Vec<LaneReceiver>) -> Self {
        let stages = lanes.iter().map(|_| Stage::default()).collect();
        Self { lanes, stages }
    }

    /// Stages one descriptor for its flow's lane. All of a chain have the same flow.
    #[inline]
    pub(super) fn stage(&mut self, desc: Desc) {
        let lane = lane_of(desc.flow, self.lanes.len() as u32);
        self.stages[lane as usize].push(desc);
    }

    /// Pushes what is staged. Without room the newest packets are dropped and their frames
    /// appended to `back`, unless the source is `lossless`: then this waits for its worker, and
    /// appends what comes back meanwhile.
    pub(super) fn flush(&mut self, back: &mut Vec<u32>, lossless: bool) -> Steered {
        let mut sum = Steered::default();
        for (lane, stage) in self.lanes.iter_mut().zip(&mut self.stages) {
            let descs = stage.descs();
            let mut pushed = lane.push_chains(descs);
            while lossless && pushed < descs.len() && lane.peer() == PeerState::Open {
                // A lane can be full of tokens that nobody has drained.
                if drain(lane, back) == 0 {
                    lane.wait(1, WaitStrategy::Adaptive, LOOK_UP, None);
                }
                pushed += lane.push_chains(&descs[pushed..]);
            }
            let (taken, left) = descs.split_at(pushed);
            for desc in taken {
                sum.delivered += u64::from(desc.is_eom());
                sum.delivered_bytes += u64::from(desc.len);
            }
            for desc in left {
                sum.ring_full += u64::from(desc.is_eom());
                back.push(desc.frame);
            }
            stage.clear();
        }
        sum
    }

    /// Appends the tokens that workers have returned.
    pub(super) fn returned(&mut self, back: &mut Vec<u32>) {
        for lane in &mut self.lanes {
            drain(lane, back);
        }
    }

    /// Closes the forward rings: workers finish what is in them and end. The return rings stay
    /// open until the lanes are dropped.
    pub(super) fn hang_up(&mut self) {
        for lane in &mut self.lanes {
            lane.hang_up();
        }
    }

    /// Whether every worker has closed its lane or died.
    pub(super) fn is_deserted(&self) -> bool {
        self.lanes.iter().all(|lane| lane.peer() != PeerState::Open)
    }

    /// Descriptors whose tokens have not come back.
    pub(super) fn in_flight(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.outstanding() as u64).sum()
    }
}

/// Moves returned tokens to `back`, a burst at most; returns how many.
#[inline]
fn drain(lane: &mut LaneReceiver, back: &mut Vec<u32>) -> usize {
    let mut tokens = [0; DRAIN];
    let drained = lane.drain(&mut tokens);
    back.extend_from_slice(&tokens[..drained]);
    drained
}
