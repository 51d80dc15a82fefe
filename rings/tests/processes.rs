//! Rings and lanes between processes, either of which may be killed at any moment.
//!
//! A test starts its own binary again in a role (see [`child_process`]) and passes it the region
//! over a Unix socket.

#![cfg(not(loom))]

use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pfs_rings::lane::{BURST, MappedLane};
use pfs_rings::spsc::{Consumer, MappedRing, PeerState, RingError};
use pfs_rings::{Desc, FramePool, Region, RegionRequest, WaitStrategy, Waited, attach};

const ROLE: &str = "PFS_TEST_ROLE";
const SOCKET: &str = "PFS_TEST_SOCKET";
const SLOTS: usize = 64;
const A_WHILE: Duration = Duration::from_secs(10);

fn rounds() -> u32 {
    std::env::var("PFS_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(15)
}

/// What the started processes run; does nothing in an ordinary test run.
#[test]
fn child_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let socket = UnixStream::connect(std::env::var(SOCKET).expect("set with the role"));
    let region =
        attach::receive_regions(&socket.expect("the test listens")).expect("a region").remove(0);
    match role.as_str() {
        "producer" => produce(&region),
        "consumer" => consume(&region),
        "worker" => work(&region),
        other => panic!("no role {other}"),
    }
}

/// Starts this binary in a role and hands it the region.
fn start(role: &str, region: &Region) -> Child {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("socket");
    let listener = UnixListener::bind(&path).expect("bind");
    let child = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "child_process", "--nocapture"])
        .env(ROLE, role)
        .env(SOCKET, &path)
        .stdout(Stdio::null())
        .spawn()
        .expect("start");
    let (socket, _) = listener.accept().expect("the child connects");
    attach::send_regions(&socket, &[region]).expect("sent");
    child
}

/// Numbers from where the last producer was stopped, in bursts of changing length.
fn produce(region: &Region) {
    let ring = MappedRing::<u64>::open(&region.view(), 0).expect("same build");
    let mut producer = ring.producer().expect("the last one is dead");
    loop {
        let next = producer.pushed();
        let burst = [next, next + 1, next + 2, next + 3, next + 4];
        if producer.push_slice(&burst[..1 + next as usize % 5]) == 0 {
            let waited = producer.wait(1, WaitStrategy::Adaptive, A_WHILE, None);
            if waited != Waited::Ready {
                return;
            }
        }
        // Written and never committed: the next producer's items must not show it.
        producer.reserve(3).as_mut_slices().0.fill(u64::MAX);
    }
}

fn consume(region: &Region) {
    let ring = MappedRing::<u64>::open(&region.view(), 0).expect("same build");
    let mut consumer = ring.consumer().expect("the last one is dead");
    while consumer.wait(WaitStrategy::Adaptive, A_WHILE, None) == Waited::Ready {
        check_burst(&mut consumer);
    }
}

/// Item `i` of a ring is the number `i`, whoever pushed and popped it.
fn check_burst(consumer: &mut Consumer<u64>) {
    let mut out = [0; 16];
    let first = consumer.popped();
    let n = consumer.pop_into(&mut out);
    assert!(out[..n].iter().copied().eq(first..first + n as u64), "{first}: {:?}", &out[..n]);
}

fn work(region: &Region) {
    let lane = MappedLane::open(&region.view(), 0).expect("same build");
    let mut worker = lane.worker().expect("the last one is dead");
    let mut burst = [Desc::default(); BURST];
    while worker.wait(WaitStrategy::Adaptive, A_WHILE, None) == Waited::Ready {
        let n = worker.peek(&mut burst);
        let tokens = burst.map(|desc| desc.frame);
        worker.release(n);
        worker.give_back(&tokens[..n]);
    }
}

fn kill(mut child: Child) {
    child.kill().expect("SIGKILL");
    child.wait().expect("reaped");
}

fn ring(region: &Region) -> MappedRing<u64> {
    MappedRing::create(&region.view(), 0, SLOTS).expect("fits")
}

fn region() -> Region {
    Region::create(&RegionRequest::new(64 << 10)).expect("region")
}

/// A cheap sequence of delays, different in each round.
fn delay(round: u32) -> Duration {
    Duration::from_micros(u64::from(round.wrapping_mul(2_654_435_761) % 4000))
}

#[test]
fn two_processes_share_a_ring() {
    let region = region();
    let ring = ring(&region);
    let mut producer = ring.producer().expect("free");
    let mut child = start("consumer", &region);
    for item in 0..100_000u64 {
        while producer.try_push(item).is_err() {
            let waited = producer.wait(1, WaitStrategy::Adaptive, A_WHILE, None);
            assert_eq!(waited, Waited::Ready, "item {item}");
        }
    }
    drop(producer);
    // The child ends when the ring is closed and empty, with an error when an item was wrong.
    assert!(child.wait().expect("ends").success());
    let consumer = ring.consumer().expect("the child has left");
    assert_eq!(consumer.popped(), 100_000);
}

#[test]
fn a_killed_producer_is_followed_and_nothing_committed_is_lost() {
    let region = region();
    let ring = ring(&region);
    let mut consumer = ring.consumer().expect("free");
    for round in 0..rounds() {
        let child = start("producer", &region);
        let at_least = consumer.popped() + 1;
        let end = Instant::now() + delay(round);
        while consumer.popped() < at_least || Instant::now() < end {
            let waited = consumer.wait(WaitStrategy::Adaptive, A_WHILE, None);
            assert_eq!(waited, Waited::Ready);
            check_burst(&mut consumer);
        }
        let pid = child.id();
        let taken =
            matches!(ring.producer(), Err(RingError::Taken { pid: holder, .. }) if holder == pid);
        assert!(taken, "a living producer keeps its side");
        kill(child);
        assert!(consumer.peer_died());
        assert_eq!(consumer.peer(), PeerState::Open);
        while !consumer.is_empty() {
            check_burst(&mut consumer);
        }
    }
}

#[test]
fn a_killed_consumer_is_followed_and_nothing_is_popped_twice_or_missed() {
    let region = region();
    let ring = ring(&region);
    let mut producer = ring.producer().expect("free");
    let mut child = start("consumer", &region);
    for round in 0..rounds() {
        let end = Instant::now() + delay(round);
        while Instant::now() < end {
            let next = producer.pushed();
            if producer.try_push(next).is_err() {
                producer.wait(1, WaitStrategy::Adaptive, Duration::from_millis(1), None);
            }
            // A consumer that met a wrong item has ended by itself.
            assert!(child.try_wait().expect("wait").is_none());
        }
        kill(child);
        child = start("consumer", &region);
    }
    drop(producer);
    assert!(child.wait().expect("ends").success());
    let consumer = ring.consumer().expect("the child has left");
    assert!(consumer.popped() > 0);
}

/// After each kill: frames still in the lane come back from the successor, all others are
/// reclaimed by stock-taking; in the end every frame is free.
#[test]
fn a_killed_worker_costs_no_frame() {
    let bytes = MappedLane::bytes(SLOTS).expect("a lane's size");
    let region = Region::create(&RegionRequest::new(bytes)).expect("region");
    let lane = MappedLane::create(&region.view(), 0, SLOTS).expect("fits");
    let mut receiver = lane.receiver().expect("free");
    let mut pool = FramePool::new(48);
    let mut tokens = [0; 128];
    for round in 0..rounds() {
        let child = start("worker", &region);
        let end = Instant::now() + delay(round);
        while Instant::now() < end {
            lend_all(&mut pool, &mut receiver);
            receiver.wait_for_tokens(WaitStrategy::Adaptive, Duration::from_millis(1), None);
            let n = receiver.drain(&mut tokens);
            take_back(&mut pool, &tokens[..n]);
        }
        kill(child);
        let n = receiver.drain(&mut tokens);
        take_back(&mut pool, &tokens[..n]);
        let pending = receiver.take_stock();
        let lost: Vec<_> = (0..48).filter(|token| !pending.contains(token)).collect();
        for token in lost {
            // Refused for those that are free anyway.
            if let Ok(frame) = pool.reclaim(token) {
                pool.put(frame);
            }
        }
        assert_eq!(pool.on_loan() as usize, pending.len());
    }
    let mut child = start("worker", &region);
    while pool.on_loan() > 0 {
        let waited = receiver.wait_for_tokens(WaitStrategy::Adaptive, A_WHILE, None);
        assert_eq!(waited, Waited::Ready);
        let n = receiver.drain(&mut tokens);
        take_back(&mut pool, &tokens[..n]);
    }
    drop(receiver);
    assert!(child.wait().expect("ends").success());
}

fn lend_all(pool: &mut FramePool, receiver: &mut pfs_rings::lane::LaneReceiver) {
    while let Some(frame) = pool.take() {
        let desc =
            Desc { frame: pool.lend(frame), flags: Desc::SOM | Desc::EOM, ..Desc::default() };
        assert!(receiver.push(&[desc]), "48 frames fit 64 slots");
    }
}

fn take_back(pool: &mut FramePool, tokens: &[u32]) {
    for &token in tokens {
        pool.reclaim(token).map(|frame| pool.put(frame)).expect("lent and not yet back");
    }
}
