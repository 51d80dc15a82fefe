//! How a side waits for the other without burning a core, and at no cost to the other.
//!
//! A sleeper must not miss the item that arrives while it falls asleep. The usual remedy is a
//! full fence on both sides: *write index, fence, is somebody asleep?* against *write "asleep",
//! fence, is there an item?* The first of these runs for every burst; it would be the dearest
//! instruction of the push. So only the sleeper pays: its fence is `membarrier(2)`, which makes
//! every core that runs the other side pass a full fence, and the hot side keeps but a barrier
//! against the compiler. Where the kernel refuses `membarrier`, the hot side fences too.
//!
//! As belt and braces no sleep lasts longer than 10 ms without another look, so that an error
//! in all this, or a peer that was killed between its index and its wake-up call, costs
//! 10 ms and never a hang.
//!
//! Technique: the kernel's `Documentation/litmus-tests` pattern "store buffering", with
//! `membarrier(2)`, section EXAMPLE.

#[cfg(not(loom))]
mod linux;
#[cfg(loom)]
mod modelled;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(not(loom))]
use linux as system;
#[cfg(loom)]
use modelled as system;

use crate::sync::{AtomicU32, Ordering, fence, light_barrier, spin_loop, yield_now};

/// How to pass the time until the other side has done something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitStrategy {
    /// Look again at once, always: lowest latency, one core burnt. Needs a core per thread.
    Spin,
    /// Look again for some microseconds, then give the core up, then sleep until woken. The
    /// other side makes a system call only when somebody sleeps.
    #[default]
    Adaptive,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// What was waited for is there.
    Ready,
    /// The time-out passed.
    TimedOut,
    /// The stop flag was set.
    Stopped,
    /// The other side has left, and all it pushed was popped.
    Closed,
    /// The ring is poisoned.
    Poisoned,
}

/// Longest sleep without another look.
#[cfg(not(loom))]
const LONGEST_SLEEP: Duration = Duration::from_millis(10);

/// Looks before the core is given up. Some microseconds: a wake-up from sleep costs more.
const SPINS: u32 = if cfg!(loom) { 0 } else { 400 };
/// Times that the core is given up before sleeping.
const YIELDS: u32 = if cfg!(loom) { 0 } else { 16 };

/// The two halves of the asymmetric fence, as this process can have them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Barrier {
    /// Whether the hot side must fence because the sleeper cannot do it from afar.
    hot_side_fences: bool,
    /// Whether the other side may be another process.
    between_processes: bool,
}

impl Barrier {
    pub(crate) fn new(between_processes: bool) -> Self {
        Self { hot_side_fences: !system::can_fence_others(between_processes), between_processes }
    }

    /// The hot side's half: between its index store and its look at the sleeper's word.
    #[inline(always)]
    pub(crate) fn light(self) {
        if self.hot_side_fences { fence(Ordering::SeqCst) } else { light_barrier() }
    }

    /// The sleeper's half: between its word and its last look at the hot side's index.
    fn heavy(self) {
        fence(Ordering::SeqCst);
        system::fence_others(self.between_processes);
    }
}

/// Calls `ready` until it answers, by `strategy`, sleeping on `word`.
pub(crate) fn until(
    word: &AtomicU32,
    barrier: Barrier,
    strategy: WaitStrategy,
    timeout: Duration,
    stop: Option<&AtomicBool>,
    mut ready: impl FnMut() -> Option<Waited>,
) -> Waited {
    // The clock and the flag are looked at now and then, not between any two looks at the ring.
    if let Some(answer) = spin(&mut ready) {
        return answer;
    }
    let clock = system::Clock::new(timeout);
    let mut turns = 0u32;
    loop {
        if stop.is_some_and(|stop| stop.load(Ordering::Acquire)) {
            return ready().unwrap_or(Waited::Stopped);
        }
        let Some(left) = clock.left() else { return ready().unwrap_or(Waited::TimedOut) };
        let answer = match strategy {
            WaitStrategy::Spin => spin(&mut ready),
            WaitStrategy::Adaptive if turns < YIELDS => {
                turns += 1;
                yield_now();
                ready()
            }
            WaitStrategy::Adaptive => sleep(word, barrier, left, &mut ready),
        };
        if let Some(answer) = answer {
            return answer;
        }
    }
}

fn spin(ready: &mut impl FnMut() -> Option<Waited>) -> Option<Waited> {
    for _ in 0..SPINS {
        if let Some(answer) = ready() {
            return Some(answer);
        }
        spin_loop();
    }
    ready()
}

fn sleep(
    word: &AtomicU32,
    barrier: Barrier,
    left: Duration,
    ready: &mut impl FnMut() -> Option<Waited>,
) -> Option<Waited> {
    // Pairs with the hot side's index store, light barrier and load of this word: either it sees
    // the 1 and wakes, or this look sees its index.
    word.store(1, Ordering::Relaxed);
    barrier.heavy();
    let mut answer = ready();
    if answer.is_none() {
        system::sleep(word, left);
        answer = ready();
    }
    word.store(0, Ordering::Relaxed);
    answer
}

/// Wakes whoever sleeps on `word`.
#[cold]
pub(crate) fn wake(word: &AtomicU32) {
    if word.swap(0, Ordering::AcqRel) != 0 {
        system::wake(word);
    }
}
