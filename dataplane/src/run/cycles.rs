//! Cycle counts of a run's stages.

pub(super) use crate::pcpu::cycles as now;

/// Laps between stages; when off, reads nothing and every lap is 0.
#[derive(Debug)]
pub(super) struct Stopwatch {
    on: bool,
    last: u64,
}

impl Stopwatch {
    pub(super) const fn new(on: bool) -> Self {
        Self { on, last: 0 }
    }

    #[inline]
    pub(super) const fn is_on(&self) -> bool {
        self.on
    }

    #[inline]
    pub(super) fn start(&mut self) {
        if self.on {
            self.last = now();
        }
    }

    /// Cycles since the last lap or start.
    #[inline]
    pub(super) fn lap(&mut self) -> u64 {
        if !self.on {
            return 0;
        }
        let now = now();
        now.wrapping_sub(std::mem::replace(&mut self.last, now))
    }
}
