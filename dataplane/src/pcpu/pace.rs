//! Whether fetching ahead pays: found out by trying both, again and again.
//!
//! Payload that comes from memory or from another core's cache is had much sooner when it is
//! fetched ahead; payload that is in this core's cache only pays for the instructions. Which it
//! is depends on the source, the core map and the load, so that it is measured.

/// Batches of each trial.
const TRIAL: u32 = 16;

/// Batches from one pair of trials to the next: trials are 1 in 128 batches of the wrong kind.
const PERIOD: u32 = 2048;

/// Fetching stays on unless going without it costs less than this part of its cost, in 64ths:
/// where it helps, it helps by much.
const BIAS: u128 = 63;

/// Cost of the batches of a trial.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    ticks: u64,
    bytes: u64,
}

/// Turns fetching ahead on and off by what batches have cost with it and without.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Place in the period, which begins with the two trials.
    at: u32,
    on: bool,
    with: Cost,
    without: Cost,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { at: 0, on: true, with: Cost::default(), without: Cost::default() }
    }

    /// Whether to fetch ahead in the next batch.
    #[inline]
    pub(super) const fn fetches(&self) -> bool {
        self.at < TRIAL || (self.at >= 2 * TRIAL && self.on)
    }

    /// Whether the next batch is one of a trial, and what it costs is wanted.
    #[inline]
    pub(super) const fn tries(&self) -> bool {
        self.at < 2 * TRIAL
    }

    /// Takes in what the batch has cost that [`Self::fetches`] was asked for; that is looked at in
    /// trials only.
    #[inline]
    pub(super) fn note(&mut self, ticks: u64, bytes: u64) {
        if self.tries() {
            self.try_out(ticks, bytes);
        }
        self.at = if self.at + 1 == PERIOD { 0 } else { self.at + 1 };
    }

    #[cold]
    fn try_out(&mut self, ticks: u64, bytes: u64) {
        // The first batch of a trial has been fetched, or not, by the last one before it.
        if !self.at.is_multiple_of(TRIAL) {
            let cost = if self.at < TRIAL { &mut self.with } else { &mut self.without };
            cost.ticks += ticks;
            cost.bytes += bytes;
        }
        if self.at + 1 == 2 * TRIAL {
            let part = |cost: Cost, of: Cost| u128::from(cost.ticks) * u128::from(of.bytes);
            let (with, without) = (self.with, self.without);
            self.on = part(without, with) * 64 >= part(with, without) * BIAS;
            (self.with, self.without) = (Cost::default(), Cost::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a period of batches that cost as given; tells how many of them fetched.
    fn period(pace: &mut Pace, with: u64, without: u64) -> u32 {
        let mut fetched = 0;
        for i in 0..PERIOD {
            let fetches = pace.fetches();
            fetched += u32::from(fetches);
            let bytes = 1000 + u64::from(i % 7);
            pace.note(if fetches { with } else { without } * bytes, bytes);
        }
        fetched
    }

    #[test]
    fn the_cheaper_way_is_taken_and_tried_again() {
        let mut pace = Pace::new();
        assert_eq!(period(&mut pace, 100, 200), PERIOD - TRIAL);
        assert_eq!(period(&mut pace, 100, 90), TRIAL);
        assert_eq!(period(&mut pace, 100, 99), PERIOD - TRIAL, "too near to give it up");
        assert_eq!(period(&mut pace, 100, 300), PERIOD - TRIAL);
    }

    #[test]
    fn batches_without_bytes_decide_nothing() {
        let mut pace = Pace::new();
        (0..PERIOD).for_each(|_| pace.note(5, 0));
        assert!(pace.on);
    }
}
