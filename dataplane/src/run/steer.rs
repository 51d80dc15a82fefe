//! Steering: each flow to one lane, in order.

use std::time::Duration;

use pfs_rings::Desc;
use pfs_rings::WaitStrategy;
use pfs_rings::lane::LaneReceiver;
use pfs_rings::spsc::PeerState;

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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use pfs_rings::lane::{BURST, LaneWorker, lane};
    use proptest::prelude::*;

    use super::*;

    /// Batches of packets, each a flow and its buffers, and how many descriptors every worker
    /// takes after each batch.
    fn script() -> impl Strategy<Value = Vec<(Vec<(u32, usize)>, usize)>> {
        let packet = (any::<u32>().prop_map(|flow| flow & 0xf000_0007), 1..9usize);
        prop::collection::vec((prop::collection::vec(packet, 0..24), 0..150usize), 1..30)
    }

    /// Stages one batch; frames are numbered from `next` on.
    fn stage(steer: &mut Steer, packets: &[(u32, usize)], next: &mut u32) -> u64 {
        let (mut room, mut staged) = (BATCH, 0);
        for &(flow, buffers) in packets {
            if buffers > room {
                break;
            }
            room -= buffers;
            staged += 1;
            for at in 0..buffers {
                let som = if at == 0 { Desc::SOM } else { 0 };
                let eom = if at + 1 == buffers { Desc::EOM } else { 0 };
                steer.stage(Desc { flow, flags: som | eom, frame: *next, ..Desc::default() });
                *next += 1;
            }
        }
        staged
    }

    /// Takes up to about `most` descriptors, in whole chains, and returns their tokens.
    fn take(worker: &mut LaneWorker, most: usize) -> Vec<Desc> {
        let (mut taken, mut burst) = (Vec::new(), [Desc::default(); BURST]);
        while taken.len() < most {
            let found = worker.peek(&mut burst);
            if found == 0 {
                break;
            }
            worker.release(found);
            worker.give_back(&burst[..found].iter().map(|desc| desc.frame).collect::<Vec<_>>());
            taken.extend_from_slice(&burst[..found]);
        }
        taken
    }

    /// What a lane got: whole chains, each flow in this lane alone and in its order.
    fn check(lane: usize, got: &[Desc], seen: &mut HashMap<u32, (usize, u32)>) {
        let mut inside = false;
        for desc in got {
            assert_eq!(desc.is_som(), !inside, "chains are whole");
            inside = !desc.is_eom();
            let (first, last) = seen.entry(desc.flow).or_insert((lane, desc.frame));
            assert_eq!(*first, lane, "one lane for a flow");
            assert!(*last <= desc.frame, "order within a flow");
            *last = desc.frame;
        }
        assert!(!inside, "chains are whole");
    }

    proptest! {
        #[test]
        fn flows_keep_their_lane_and_order_and_every_frame_comes_back(
            lanes in 1..9usize, script in script(),
        ) {
            let (receivers, mut workers): (Vec<_>, Vec<_>) = (0..lanes).map(|_| lane(64)).unzip();
            let mut steer = Steer::new(receivers);
            let (mut back, mut seen, mut next) = (Vec::new(), HashMap::new(), 0);
            let (mut staged, mut sum) = (0, Steered::default());
            for (packets, most) in &script {
                staged += stage(&mut steer, packets, &mut next);
                let steered = steer.flush(&mut back, false);
                sum.delivered += steered.delivered;
                sum.ring_full += steered.ring_full;
                for (at, worker) in workers.iter_mut().enumerate() {
                    check(at, &take(worker, *most), &mut seen);
                }
                steer.returned(&mut back);
            }
            prop_assert_eq!(sum.delivered + sum.ring_full, staged);
            for (at, worker) in workers.iter_mut().enumerate() {
                check(at, &take(worker, usize::MAX), &mut seen);
            }
            while steer.in_flight() > 0 {
                let before = steer.in_flight();
                steer.returned(&mut back);
                prop_assert!(steer.in_flight() < before, "tokens are there");
            }
            back.sort_unstable();
            prop_assert_eq!(back, (0..next).collect::<Vec<_>>());
        }
    }
}
