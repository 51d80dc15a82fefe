//! One timed run: a thread pushes, another pops and checks, each on its own core.

use std::hint::spin_loop;
use std::sync::Barrier;
use std::time::Instant;

use serde::Serialize;

use super::contenders::Contender;
use super::item::Item;
use crate::host::cycles;

/// Slots of every ring.
pub const SLOTS: usize = 4096;

/// One run's result.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Timing {
    /// Items that went through.
    pub items: u64,
    /// Time stamp counter cycles from the first push allowed to the last item checked.
    pub cycles: u64,
    /// The same in nanoseconds.
    pub nanoseconds: u64,
    /// Whether every item arrived, in order.
    pub right: bool,
}

/// The two cores that the sides are pinned to.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cores {
    /// Kernel's number of the producer's core.
    pub producer: usize,
    /// Kernel's number of the consumer's core.
    pub consumer: usize,
}

/// Pins this thread, and checks where it runs.
///
/// # Panics
/// When the core cannot be had: a timing from an unknown core is worth nothing.
pub fn pin(core: usize) {
    let pinned = core_affinity::set_for_current(core_affinity::CoreId { id: core });
    let there = nix::sched::sched_getcpu().is_ok_and(|now| now == core);
    assert!(pinned && there, "cannot pin to core {core}; `taskset -p $$` shows what is allowed");
}

/// Sends `items` through a ring of `C` in bursts of `BURST`.
#[must_use]
pub fn run<T: Item, C: Contender<T>, const BURST: usize>(items: u64, cores: Cores) -> Timing {
    let (mut input, mut output) = C::ring(SLOTS);
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(cores.producer);
            start.wait();
            push_all::<T, C, BURST>(&mut input, items);
        });
        let popping = scope.spawn(|| {
            pin(cores.consumer);
            start.wait();
            let (clock, from) = (Instant::now(), cycles());
            let right = pop_all::<T, C, BURST>(&mut output, items);
            let cycles = cycles() - from;
            Timing { items, cycles, nanoseconds: clock.elapsed().as_nanos() as u64, right }
        });
        popping.join().expect("a side panics only when it cannot be pinned")
    })
}

#[inline(never)]
fn push_all<T: Item, C: Contender<T>, const BURST: usize>(ring: &mut C::In, items: u64) {
    let mut buf = [T::default(); BURST];
    let mut next = 0;
    while next < items {
        let burst = BURST.min((items - next) as usize);
        match C::push(ring, next, &mut buf[..burst]) {
            0 => spin_loop(),
            n => next += n as u64,
        }
    }
}

#[inline(never)]
fn pop_all<T: Item, C: Contender<T>, const BURST: usize>(ring: &mut C::Out, items: u64) -> bool {
    let mut buf = [T::default(); BURST];
    let (mut next, mut right) = (0, true);
    while next < items {
        let burst = BURST.min((items - next) as usize);
        let (n, good) = C::pop(ring, next, &mut buf[..burst]);
        right &= good;
        next += n as u64;
        if n == 0 {
            spin_loop();
        }
    }
    right
}
