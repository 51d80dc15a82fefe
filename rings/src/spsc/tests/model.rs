//! The rings under the model checker: `RUSTFLAGS="--cfg loom" cargo test -p pfs-rings --lib`.
//!
//! Each scenario runs for capacities 1, 2 and 4, beginning shortly before the indices wrap.

use std::time::Duration;

use loom::thread;

use crate::spsc::{Consumer, PeerState, Producer, ring_at};
use crate::wait::{WaitStrategy, Waited};

/// Runs `scenario` through every interleaving with up to `switches` forced switches of thread.
fn check(switches: usize, scenario: impl Fn(Producer<u64>, Consumer<u64>) + Sync + Send + 'static) {
    let scenario = std::sync::Arc::new(scenario);
    for slots in [1, 2, 4] {
        let scenario = std::sync::Arc::clone(&scenario);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(switches);
        builder.check(move || {
            let (producer, consumer) = ring_at(slots, u64::MAX - 1);
            scenario(producer, consumer);
        });
    }
}

const ITEMS: u64 = 4;

#[test]
fn items_one_by_one_arrive_in_order() {
    check(3, |mut producer, mut consumer| {
        let pushing = thread::spawn(move || {
            for item in 0..ITEMS {
                while producer.try_push(item).is_err() {
                    thread::yield_now();
                }
            }
        });
        for expected in 0..ITEMS {
            loop {
                match consumer.pop() {
                    Some(item) => break assert_eq!(item, expected),
                    None => thread::yield_now(),
                }
            }
        }
        pushing.join().expect("the producer ends");
        assert_eq!((consumer.pop(), consumer.peer()), (None, PeerState::Closed));
    });
}

#[test]
fn bursts_arrive_whole_and_in_order() {
    check(3, |mut producer, mut consumer| {
        let pushing = thread::spawn(move || {
            let items = [0, 1, 2, 3];
            let mut pushed = 0;
            while pushed < items.len() {
                match producer.push_slice(&items[pushed..]) {
                    0 => thread::yield_now(),
                    n => pushed += n,
                }
            }
        });
        let mut popped = Vec::new();
        while popped.len() < 4 {
            let mut out = [0; 3];
            match consumer.pop_into(&mut out) {
                0 => thread::yield_now(),
                n => popped.extend_from_slice(&out[..n]),
            }
        }
        assert_eq!(popped, [0, 1, 2, 3]);
        pushing.join().expect("the producer ends");
    });
}

#[test]
fn chunks_are_written_before_they_are_seen_and_read_before_they_are_reused() {
    check(3, |mut producer, mut consumer| {
        let pushing = thread::spawn(move || {
            let mut next = 0;
            while next < ITEMS {
                let mut chunk = producer.reserve(2.min((ITEMS - next) as usize));
                let (first, second) = chunk.as_mut_slices();
                for (step, slot) in first.iter_mut().chain(second).enumerate() {
                    *slot = next + step as u64;
                }
                let n = chunk.len();
                next += chunk.commit(n) as u64;
                if n == 0 {
                    thread::yield_now();
                }
            }
        });
        let mut next = 0;
        while next < ITEMS {
            let chunk = consumer.peek(2);
            let (first, second) = chunk.as_slices();
            for (step, item) in first.iter().chain(second).enumerate() {
                assert_eq!(*item, next + step as u64);
            }
            let n = chunk.len();
            next += chunk.release(n) as u64;
            if n == 0 {
                thread::yield_now();
            }
        }
        pushing.join().expect("the producer ends");
    });
}

/// What was pushed before the closing is popped after it.
#[test]
fn closing_loses_nothing() {
    check(3, |mut producer, mut consumer| {
        let pushing = thread::spawn(move || {
            producer.try_push(7).expect("an empty ring has room");
        });
        let mut popped = None;
        loop {
            let peer = consumer.peer();
            match consumer.pop() {
                Some(item) => popped = Some(item),
                None if peer == PeerState::Closed => break,
                None => thread::yield_now(),
            }
        }
        assert_eq!(popped, Some(7));
        pushing.join().expect("the producer ends");
    });
}

/// No wake-up is lost: the modelled sleep has no time-out, so a lost one would be a hang.
#[test]
fn both_sides_sleep_and_are_woken() {
    let forever = Duration::MAX;
    check(2, move |mut producer, mut consumer| {
        let pushing = thread::spawn(move || {
            for item in 0..3u64 {
                assert_eq!(producer.wait(1, WaitStrategy::Adaptive, forever, None), Waited::Ready);
                producer.try_push(item).expect("waited for room");
            }
        });
        for expected in 0..3 {
            assert_eq!(consumer.wait(WaitStrategy::Adaptive, forever, None), Waited::Ready);
            assert_eq!(consumer.pop(), Some(expected));
        }
        assert_eq!(consumer.wait(WaitStrategy::Adaptive, forever, None), Waited::Closed);
        pushing.join().expect("the producer ends");
    });
}

/// A producer that sleeps on a full ring learns that its consumer leaves.
#[test]
fn leaving_wakes_the_other_side() {
    check(3, |mut producer, consumer| {
        let leaving = thread::spawn(move || drop(consumer));
        while producer.try_push(1).is_ok() {}
        let waited = producer.wait(1, WaitStrategy::Adaptive, Duration::MAX, None);
        assert_eq!(waited, Waited::Closed);
        leaving.join().expect("the consumer ends");
    });
}
