//! Steering: each flow to one lane, in order.

use std::sync::Arc;
use std::time::Duration;

use pfs_rings::lane::{LaneReceiver, return_slots};
use pfs_rings::spsc::PeerState;
use pfs_rings::{Desc, WaitStrategy};

use super::lanes::{HighWater, Marked};
use crate::counters::{LaneCells, LaneTotals};
use crate::packet::lane_of;
use crate::receivers::BATCH;

/// How long the thread of a lossless source sleeps at most before it looks at a full lane again.
const LOOK_UP: Duration = Duration::from_millis(10);
/// Batches after which returned tokens are looked for: the lines that they lie in come from
/// another core, which takes longer than all else that a batch needs.
const GATHER: u32 = 4;
/// Tokens taken from a lane at a time: twice what those batches sent, so that returns do not
/// pile up.
const DRAIN: usize = 2 * GATHER as usize * BATCH;

/// A receiver's ends of its lanes, and what is staged for each.
#[derive(Debug)]
pub(super) struct Steer {
    lanes: Vec<LaneReceiver>,
    stages: Vec<Stage>,
    tokens: Box<[u32; DRAIN]>,
    /// Batches since returned tokens were looked for.
    gathered: u32,
    cells: Vec<Arc<LaneCells>>,
    high_water: Vec<Arc<HighWater>>,
}

/// Descriptors on their way into one of several lanes; a batch at most.
#[derive(Debug)]
struct Stage {
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
    const fn push(&mut self, desc: Desc) {
        self.descs[self.len] = desc;
        self.len += 1;
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
    /// Cycles before programs that ran meanwhile, in this thread; the lap before them is over.
    pub(super) steer_cycles: u64,
}

impl Steered {
    #[inline]
    pub(super) fn add_delivered(&mut self, descs: &[Desc]) {
        for desc in descs {
            self.delivered += u64::from(desc.is_eom());
            self.delivered_bytes += u64::from(desc.len);
        }
    }
}

impl Steer {
    pub(super) fn new(lanes: Vec<Marked<LaneReceiver>>) -> Self {
        let stages = lanes.iter().map(|_| Stage::default()).collect();
        let cells = lanes.iter().map(|_| Arc::default()).collect();
        let (lanes, high_water) = lanes.into_iter().map(|of| (of.end, of.high_water)).unzip();
        Self { lanes, stages, tokens: Box::new([0; DRAIN]), gathered: 0, cells, high_water }
    }

    /// Through which each lane's totals and mark are published, and the lane's slots.
    pub(super) fn cells(&self) -> Vec<(Arc<LaneCells>, Arc<HighWater>, usize)> {
        let lanes = self.cells.iter().zip(&self.high_water).zip(&self.lanes);
        let of = |((cells, mark), lane): ((&Arc<_>, &Arc<_>), &LaneReceiver)| {
            (Arc::clone(cells), Arc::clone(mark), lane.capacity())
        };
        lanes.map(of).collect()
    }

    /// Publishes what has gone through the lanes.
    pub(super) fn publish(&mut self) {
        for ((lane, cells), mark) in self.lanes.iter_mut().zip(&self.cells).zip(&self.high_water) {
            let (pushed, backlog) = (lane.pushed(), lane.backlog());
            mark.raise(backlog);
            cells.publish(&LaneTotals {
                pushed,
                taken: pushed.saturating_sub(backlog as u64),
                returned: pushed.saturating_sub(lane.outstanding() as u64),
            });
        }
    }

    /// Pushes each descriptor into its flow's lane; all of a chain have the same flow. Without
    /// room the newest packets are dropped and their frames appended to `back`, unless the source
    /// is `lossless`: then this waits for its worker, and appends what comes back meanwhile.
    pub(super) fn deliver(
        &mut self,
        descs: &[Desc],
        back: &mut Vec<u32>,
        lossless: bool,
    ) -> Steered {
        let mut sum = Steered::default();
        let Self { lanes, stages, tokens, .. } = self;
        if let [lane] = lanes.as_mut_slice() {
            let mut push = Push { tokens, back, lossless, sum: &mut sum };
            push.all(lane, descs);
            return sum;
        }
        for desc in descs {
            stages[lane_of(desc.flow, lanes.len() as u32) as usize].push(*desc);
        }
        let mut push = Push { tokens, back, lossless, sum: &mut sum };
        for (lane, stage) in lanes.iter_mut().zip(stages) {
            push.all(lane, &stage.descs[..stage.len]);
            stage.len = 0;
        }
        sum
    }

    /// Passes the tokens that workers have returned to `take`: when `eager` or in one call of
    /// four, a burst from each lane at most.
    pub(super) fn returned(&mut self, eager: bool, mut take: impl FnMut(&[u32])) {
        self.gathered += 1;
        if !eager && self.gathered < GATHER {
            return;
        }
        self.gathered = 0;
        for lane in &mut self.lanes {
            let drained = lane.drain(self.tokens.as_mut_slice());
            take(&self.tokens[..drained]);
        }
    }

    /// Most tokens that [`Self::deliver`] can append.
    pub(super) fn most_returned(&self) -> usize {
        self.lanes.iter().map(|lane| return_slots(lane.capacity()) + BATCH).sum()
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

/// What pushing into any lane needs.
struct Push<'a> {
    tokens: &'a mut [u32; DRAIN],
    back: &'a mut Vec<u32>,
    lossless: bool,
    sum: &'a mut Steered,
}

impl Push<'_> {
    #[inline]
    fn all(&mut self, lane: &mut LaneReceiver, descs: &[Desc]) {
        let mut pushed = lane.push_chains(descs);
        if pushed < descs.len() {
            pushed += self.rest(lane, &descs[pushed..]);
        }
        self.sum.add_delivered(&descs[..pushed]);
    }

    /// What to do with `descs`, for which there was no room; returns how many found it after all.
    #[cold]
    fn rest(&mut self, lane: &mut LaneReceiver, descs: &[Desc]) -> usize {
        let mut pushed = 0;
        while self.lossless && pushed < descs.len() && lane.peer() == PeerState::Open {
            // A lane can be full of tokens that nobody has drained.
            let drained = lane.drain(self.tokens);
            self.back.extend_from_slice(&self.tokens[..drained]);
            if drained == 0 {
                lane.wait(1, WaitStrategy::Adaptive, LOOK_UP, None);
            }
            pushed += lane.push_chains(&descs[pushed..]);
        }
        for desc in &descs[pushed..] {
            self.sum.ring_full += u64::from(desc.is_eom());
            self.back.push(desc.frame);
        }
        pushed
    }
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

    /// One batch of packets; frames are numbered from `next` on.
    fn batch(packets: &[(u32, usize)], next: &mut u32) -> Vec<Desc> {
        let mut descs = Vec::new();
        for &(flow, buffers) in packets {
            if descs.len() + buffers > BATCH {
                break;
            }
            for at in 0..buffers {
                let som = if at == 0 { Desc::SOM } else { 0 };
                let eom = if at + 1 == buffers { Desc::EOM } else { 0 };
                descs.push(Desc { flow, flags: som | eom, frame: *next, ..Desc::default() });
                *next += 1;
            }
        }
        descs
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
            let ends = (0..lanes).map(|_| lane(64));
            let (receivers, mut workers): (Vec<LaneReceiver>, Vec<_>) = ends.unzip();
            let marked = |end| Marked { end, high_water: Arc::default() };
            let mut steer = Steer::new(receivers.into_iter().map(marked).collect());
            let (mut back, mut seen, mut next) = (Vec::new(), HashMap::new(), 0);
            let (mut staged, mut sum) = (0, Steered::default());
            for (packets, most) in &script {
                let descs = batch(packets, &mut next);
                staged += descs.iter().filter(|desc| desc.is_eom()).count() as u64;
                let steered = steer.deliver(&descs, &mut back, false);
                sum.delivered += steered.delivered;
                sum.ring_full += steered.ring_full;
                for (at, worker) in workers.iter_mut().enumerate() {
                    check(at, &take(worker, *most), &mut seen);
                }
                steer.returned(true, |tokens| back.extend_from_slice(tokens));
            }
            prop_assert_eq!(sum.delivered + sum.ring_full, staged);
            for (at, worker) in workers.iter_mut().enumerate() {
                check(at, &take(worker, usize::MAX), &mut seen);
            }
            while steer.in_flight() > 0 {
                let before = steer.in_flight();
                steer.returned(true, |tokens| back.extend_from_slice(tokens));
                prop_assert!(steer.in_flight() < before, "tokens are there");
            }
            back.sort_unstable();
            prop_assert_eq!(back, (0..next).collect::<Vec<_>>());
        }
    }
}
