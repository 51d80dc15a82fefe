//! Cycle counts of a run's stages.

use crate::pcpu::{Turns, cycles as now};

/// Laps between the stages of a round. Of short rounds one in seven is timed and stands for all;
/// in the others, and when off, nothing is read and every lap is 0.
#[derive(Debug)]
pub(super) struct Stopwatch {
    on: bool,
    turns: Turns,
    /// Rounds that the present one stands for; 0 when it is not timed.
    weight: u64,
    began: u64,
    last: u64,
}

impl Stopwatch {
    pub(super) const fn new(on: bool) -> Self {
        Self { on, turns: Turns::new(), weight: 0, began: 0, last: 0 }
    }

    #[inline]
    pub(super) const fn is_on(&self) -> bool {
        self.on
    }

    /// Begins a round.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.weight = if self.on { self.turns.weight() } else { 0 };
        if self.weight > 0 {
            self.last = now();
            self.began = self.last;
        }
    }

    /// Cycles since the last lap or the begin, for all rounds that this one stands for.
    #[inline]
    pub(super) fn lap(&mut self) -> u64 {
        if self.weight == 0 {
            return 0;
        }
        let now = now();
        now.wrapping_sub(std::mem::replace(&mut self.last, now)) * self.weight
    }

    /// Ends a round whose laps were counted. One that found nothing is not ended, and counts for
    /// none.
    #[inline]
    pub(super) fn end(&mut self) {
        if self.on {
            self.turns.next(self.last.wrapping_sub(self.began));
        }
    }
}
