//! A ring against a `VecDeque`, and what a single thread can see of it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use crate::spsc::{PeerState, PushError, ring, ring_at};
use crate::wait::{WaitStrategy, Waited};

#[derive(Clone, Debug)]
enum Step {
    Push,
    PushSlice(usize),
    Reserve(usize, usize),
    Pop,
    PopInto(usize),
    Peek(usize, usize),
    Release(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0..20usize;
    prop_oneof![
        Just(Step::Push),
        n.clone().prop_map(Step::PushSlice),
        (n.clone(), n.clone()).prop_map(|(n, k)| Step::Reserve(n, k)),
        Just(Step::Pop),
        n.clone().prop_map(Step::PopInto),
        (n.clone(), n.clone()).prop_map(|(n, k)| Step::Peek(n, k)),
        n.prop_map(Step::Release),
    ]
}

proptest! {
    /// Any sequence of calls does what it does to a bounded queue, wherever the indices stand.
    #[test]
    fn a_ring_is_a_bounded_queue(
        slots in (0..5u32).prop_map(|bit| 1usize << bit),
        start in prop_oneof![Just(0), Just(u64::MAX - 5), any::<u64>()],
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let (mut producer, mut consumer) = ring_at::<u32>(slots, start);
        let mut queue = VecDeque::new();
        let mut items = 0u32..;
        for step in steps {
            let free = slots - queue.len();
            match step {
                Step::Push => {
                    let item = items.next().expect("endless");
                    let expected = if free > 0 { queue.push_back(item); Ok(()) } else { Err(PushError::Full(item)) };
                    prop_assert_eq!(producer.try_push(item), expected);
                }
                Step::PushSlice(n) => {
                    let burst: Vec<_> = items.by_ref().take(n).collect();
                    prop_assert_eq!(producer.push_slice(&burst), n.min(free));
                    queue.extend(&burst[..n.min(free)]);
                }
                Step::Reserve(n, k) => {
                    let mut chunk = producer.reserve(n);
                    prop_assert_eq!(chunk.len(), n.min(free));
                    let (first, second) = chunk.as_mut_slices();
                    let mut written = Vec::new();
                    for slot in first.iter_mut().chain(second) {
                        *slot = items.next().expect("endless");
                        written.push(*slot);
                    }
                    let k = chunk.commit(k);
                    queue.extend(&written[..k]);
                }
                Step::Pop => prop_assert_eq!(consumer.pop(), queue.pop_front()),
                Step::PopInto(n) => {
                    let mut out = vec![0; n];
                    let popped = consumer.pop_into(&mut out);
                    prop_assert_eq!(popped, n.min(queue.len()));
                    prop_assert!(out[..popped].iter().copied().eq(queue.drain(..popped)));
                }
                Step::Peek(n, k) => {
                    let chunk = consumer.peek(n);
                    prop_assert_eq!(chunk.len(), n.min(queue.len()));
                    let (first, second) = chunk.as_slices();
                    prop_assert!(first.iter().chain(second).eq(queue.iter().take(n)));
                    let k = chunk.release(k);
                    queue.drain(..k);
                }
                Step::Release(n) => {
                    let there = consumer.len();
                    prop_assert_eq!(there, queue.len());
                    queue.drain(..consumer.release(n.min(there)));
                }
            }
            prop_assert_eq!(producer.len(), queue.len());
            prop_assert_eq!(producer.free(), slots - queue.len());
            prop_assert_eq!(producer.pending(), queue.iter().copied().collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_closed_ring_says_so_on_both_sides() {
    let (mut producer, mut consumer) = ring::<u32>(2);
    assert_eq!((producer.peer(), consumer.peer()), (PeerState::Open, PeerState::Open));
    assert_eq!(producer.push_slice(&[1, 2, 3]), 2);
    drop(producer);
    assert_eq!(consumer.wait(WaitStrategy::Spin, Duration::ZERO, None), Waited::Ready);
    assert_eq!((consumer.pop(), consumer.pop(), consumer.pop()), (Some(1), Some(2), None));
    assert_eq!(consumer.wait(WaitStrategy::Spin, Duration::ZERO, None), Waited::Closed);

    let (mut producer, consumer) = ring::<u32>(1);
    drop(consumer);
    assert_eq!(producer.try_push(1), Ok(()));
    assert_eq!(producer.try_push(2), Err(PushError::Closed(2)));
}

#[test]
fn a_wait_ends_by_time_out_or_stop_flag() {
    let (mut producer, mut consumer) = ring::<u32>(1);
    for strategy in [WaitStrategy::Spin, WaitStrategy::Adaptive] {
        let short = Duration::from_millis(2);
        assert_eq!(consumer.wait(strategy, short, None), Waited::TimedOut);
        let stop = AtomicBool::new(true);
        assert_eq!(consumer.wait(strategy, Duration::MAX, Some(&stop)), Waited::Stopped);
        assert_eq!(producer.wait(1, strategy, short, None), Waited::Ready);
    }
    producer.try_push(1).expect("room");
    assert_eq!(producer.wait(1, WaitStrategy::Adaptive, Duration::ZERO, None), Waited::TimedOut);
}

#[test]
fn a_stop_flag_ends_a_sleep() {
    let (_producer, mut consumer) = ring::<u32>(1);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| consumer.wait(WaitStrategy::Adaptive, Duration::MAX, Some(&stop)));
        std::thread::sleep(Duration::from_millis(3));
        stop.store(true, Ordering::Release);
        assert_eq!(waiting.join().expect("ends"), Waited::Stopped);
    });
}

/// Two threads and the real futex: every burst is slept for on one side or the other.
#[test]
fn sleepers_of_two_threads_miss_nothing() {
    let rounds =
        std::env::var("PFS_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let (mut producer, mut consumer) = ring::<u64>(4);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for item in 0..rounds {
                let waited = producer.wait(1, WaitStrategy::Adaptive, Duration::MAX, None);
                assert_eq!(waited, Waited::Ready);
                producer.try_push(item).expect("waited for room");
            }
        });
        for item in 0..rounds {
            let waited = consumer.wait(WaitStrategy::Adaptive, Duration::MAX, None);
            assert_eq!(waited, Waited::Ready);
            assert_eq!(consumer.pop(), Some(item));
        }
        assert_eq!(consumer.wait(WaitStrategy::Adaptive, Duration::MAX, None), Waited::Closed);
    });
}
