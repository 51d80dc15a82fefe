//! Sleeping as the model checker can follow it: no clock, so that a lost wake-up is a hang, which
//! the checker reports.

use std::time::Duration;

use crate::sync::{AtomicU32, Ordering, yield_now};

pub(super) fn can_fence_others(_between_processes: bool) -> bool {
    true
}

/// Nothing: the other half is a full fence here; see `sync::light_barrier`.
pub(super) fn fence_others(_between_processes: bool) {}

pub(super) fn sleep(word: &AtomicU32, _left: Duration) {
    while word.load(Ordering::Acquire) == 1 {
        yield_now();
    }
}

/// The waker has set the word to 0, which is all that the sleeper waits for.
pub(super) fn wake(_word: &AtomicU32) {}

pub(super) struct Clock;

impl Clock {
    pub(super) fn new(_timeout: Duration) -> Self {
        Self
    }

    pub(super) fn left(&self) -> Option<Duration> {
        Some(Duration::MAX)
    }
}
