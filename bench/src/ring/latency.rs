//! One-way latency: an item goes over one ring and comes back over another; half the round trip.

use std::hint::spin_loop;
use std::sync::Barrier;
use std::time::Instant;

use serde::Serialize;

use super::contenders::Contender;
use super::item::Item;
use super::run::{Cores, pin};
use crate::host::cycles;

/// One run's one-way latencies, in nanoseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Median.
    pub p50_ns: f64,
    /// 99th percentile.
    pub p99_ns: f64,
    /// Least.
    pub least_ns: f64,
    /// Whether every item came back as sent.
    pub right: bool,
}

/// Sends `trips` items to and fro, one at a time.
#[must_use]
pub fn ping_pong<T: Item, C: Contender<T>>(trips: u64, cores: Cores) -> Latency {
    let (mut there_in, mut there_out) = C::ring(64);
    let (mut back_in, mut back_out) = C::ring(64);
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(cores.consumer);
            start.wait();
            for trip in 0..trips {
                let _ = take::<T, C>(&mut there_out, trip);
                give::<T, C>(&mut back_in, trip);
            }
        });
        let asking = scope.spawn(|| {
            pin(cores.producer);
            let mut times = vec![0; trips as usize];
            start.wait();
            let (clock, from) = (Instant::now(), cycles());
            let mut right = true;
            for (trip, time) in (0..trips).zip(&mut times) {
                let sent = cycles();
                give::<T, C>(&mut there_in, trip);
                right &= take::<T, C>(&mut back_out, trip);
                *time = cycles() - sent;
            }
            let per_cycle = clock.elapsed().as_nanos() as f64 / (cycles() - from) as f64;
            summary(&mut times, per_cycle, right)
        });
        asking.join().expect("a side panics only when it cannot be pinned")
    })
}

fn give<T: Item, C: Contender<T>>(ring: &mut C::In, number: u64) {
    while C::push(ring, number, &mut [T::default()]) == 0 {
        spin_loop();
    }
}

fn take<T: Item, C: Contender<T>>(ring: &mut C::Out, number: u64) -> bool {
    loop {
        match C::pop(ring, number, &mut [T::default()]) {
            (0, _) => spin_loop(),
            (_, right) => return right,
        }
    }
}

fn summary(times: &mut [u64], ns_per_cycle: f64, right: bool) -> Latency {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize] as f64;
    let one_way = |cycles: f64| cycles * ns_per_cycle / 2.0;
    Latency {
        p50_ns: one_way(at(0.5)),
        p99_ns: one_way(at(0.99)),
        least_ns: one_way(at(0.0)),
        right,
    }
}
