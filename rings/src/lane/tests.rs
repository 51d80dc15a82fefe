use std::time::Duration;

use super::*;
use crate::spsc::PeerState;
use crate::{Desc, FramePool, Region, RegionRequest, WaitStrategy, Waited};

fn desc(frame: u32, flags: u16) -> Desc {
    Desc { frame, flags, ..Desc::default() }
}

const WHOLE: u16 = Desc::SOM | Desc::EOM;

#[test]
fn chains_go_all_or_nothing_and_come_out_whole() {
    let (mut receiver, mut worker) = lane(64);
    let chain = [desc(0, Desc::SOM), desc(1, 0), desc(2, Desc::EOM)];
    for _ in 0..21 {
        assert!(receiver.push(&chain));
    }
    assert!(!receiver.push(&chain), "one slot is left");
    let mut burst = [Desc::default(); BURST];
    assert_eq!(worker.peek(&mut burst), 63);
    worker.release(60);
    assert_eq!(worker.peek(&mut burst), 3);
    // A burst ends with the last whole chain that fits it.
    for _ in 0..20 {
        assert!(receiver.push(&chain));
    }
    assert_eq!((worker.backlog(), worker.peek(&mut burst)), (63, 63));
    assert_eq!(worker.broken_chains(), 0);
}

#[test]
fn what_comes_next_can_be_looked_at() {
    let (mut receiver, mut worker) = lane(64);
    let (mut burst, mut next) = ([Desc::default(); BURST], [Desc::default(); 4]);
    assert_eq!((worker.behind(0, &mut next), worker.behind(9, &mut next)), (0, 0));
    // Several times around the ring.
    for first in (0..400).step_by(10) {
        let descs: Vec<Desc> = (first..first + 10).map(|frame| desc(frame, WHOLE)).collect();
        assert_eq!(receiver.push_chains(&descs), 10);
        assert_eq!(worker.behind(0, &mut next), 0, "not seen yet");
        assert_eq!(worker.peek(&mut burst), 10);
        for (taken, found) in [(0, 4), (5, 4), (7, 3), (10, 0), (100, 0)] {
            assert_eq!(worker.behind(taken, &mut next), found);
            assert_eq!(next[..found], descs[taken.min(10)..][..found]);
        }
        worker.release(10);
        worker.give_back(&descs.iter().map(|desc| desc.frame).collect::<Vec<_>>());
        assert_eq!(receiver.drain(&mut [0; BURST]), 10);
    }
}

#[test]
fn of_several_chains_the_whole_ones_that_fit_go() {
    let (mut receiver, _worker) = lane(64);
    let singles = [desc(0, WHOLE); 62];
    assert_eq!(receiver.push_chains(&singles), 62);
    let mixed = [desc(1, WHOLE), desc(2, Desc::SOM), desc(3, Desc::EOM)];
    assert_eq!(receiver.push_chains(&mixed), 1);
    assert_eq!(receiver.push_chains(&mixed[1..]), 0);
}

#[test]
fn an_endless_chain_does_not_stop_the_lane() {
    let (mut receiver, mut worker) = lane(64);
    assert!(receiver.push(&[desc(0, 0); 64]));
    let mut burst = [Desc::default(); BURST];
    assert_eq!((worker.peek(&mut burst), worker.broken_chains()), (64, 1));
}

/// The invariant: whatever a worker holds, its return finds room; the receiver is the one to
/// see a full lane.
#[test]
fn a_return_always_finds_room() {
    for slots in [64, 128, 4096] {
        let (mut receiver, mut worker) = lane(slots);
        assert!(return_slots(slots) >= slots + BURST);
        let mut held = Vec::new();
        let mut burst = [Desc::default(); BURST];
        let mut pushed = 0;
        while receiver.push(&[desc(pushed, WHOLE)]) {
            pushed += 1;
            let n = worker.peek(&mut burst);
            worker.release(n);
            held.extend(burst[..n].iter().map(|desc| desc.frame));
        }
        assert_eq!(pushed as usize, return_slots(slots));
        assert_eq!(
            receiver.wait(1, WaitStrategy::Adaptive, Duration::ZERO, None),
            Waited::TimedOut
        );
        worker.give_back(&held);
        assert_eq!(worker.refused_returns(), 0);
        assert_eq!(receiver.wait(1, WaitStrategy::Adaptive, Duration::ZERO, None), Waited::Ready);
        let mut tokens = vec![0; held.len() + 1];
        assert_eq!(receiver.drain(&mut tokens), held.len());
        assert_eq!((tokens[..held.len()].to_vec(), receiver.outstanding()), (held, 0));
    }
}

#[test]
fn ends_learn_of_each_other() {
    let (receiver, mut worker) = lane(64);
    assert_eq!((receiver.peer(), worker.peer()), (PeerState::Open, PeerState::Open));
    drop(receiver);
    assert_eq!(worker.peer(), PeerState::Closed);
    assert_eq!(worker.wait(WaitStrategy::Adaptive, Duration::MAX, None), Waited::Closed);
    let (receiver, worker) = lane(64);
    drop(worker);
    assert_eq!(receiver.peer(), PeerState::Closed);
}

/// A successor sees what its predecessor had not released; stock-taking finds the rest.
#[test]
fn a_successor_goes_on_and_lost_frames_are_found() {
    let bytes = MappedLane::bytes(64).expect("a lane's size");
    let region = Region::create(&RegionRequest::new(bytes + 128)).expect("region");
    let lane = MappedLane::create(&region.view(), 128, 64).expect("fits");
    let mut receiver = lane.receiver().expect("free");
    let mut pool = FramePool::new(10);
    for _ in 0..10 {
        let token = pool.take().map(|frame| pool.lend(frame)).expect("a free frame");
        assert!(receiver.push(&[desc(token, WHOLE)]));
    }
    let lost = {
        let opened = MappedLane::open(&region.view(), 128).expect("same build");
        let mut worker = opened.worker().expect("free");
        let mut burst = [Desc::default(); BURST];
        assert_eq!(worker.peek(&mut burst), 10);
        worker.release(4);
        worker.give_back(&[burst[0].frame]);
        [burst[1].frame, burst[2].frame, burst[3].frame]
    };
    let mut tokens = [0; 16];
    assert_eq!(receiver.drain(&mut tokens), 1);
    pool.reclaim(tokens[0]).map(|frame| pool.put(frame)).expect("on loan");
    let pending = receiver.take_stock();
    assert_eq!((pending.len(), receiver.outstanding()), (6, 6));
    assert!(lost.iter().all(|token| !pending.contains(token)));
    let mut successor = lane.worker().expect("the first has left");
    let mut burst = [Desc::default(); BURST];
    let n = successor.peek(&mut burst);
    assert!(burst[..n].iter().map(|desc| desc.frame).eq(pending));
}

#[test]
fn lanes_that_do_not_fit_are_errors() {
    let region = Region::create(&RegionRequest::new(8192)).expect("region");
    let view = region.view();
    for slots in [0, 32, 100, 1 << 31, usize::MAX] {
        assert!(MappedLane::create(&view, 0, slots).is_err(), "{slots}");
    }
    assert!(MappedLane::create(&view, 0, 4096).is_err());
    assert!(MappedLane::create(&view, u64::MAX - 127, 64).is_err());
    assert!(MappedLane::open(&view, 0).is_err());
}
