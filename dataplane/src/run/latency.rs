//! How long packets lie between their arrival and their program.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use pfs_rings::Desc;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bursts of which one is looked at: reading the clock costs as much as a small packet.
const EVERY: u64 = 8;
/// Buckets of one power of two: a value is known to 1/16.
const FINE: usize = 16;
const FINE_BITS: u32 = FINE.trailing_zeros();
const BUCKETS: usize = (32 - FINE_BITS as usize + 1) * FINE;

/// Time from arrival (by the kernel's stamp, or the receiver's at the poll) to the worker's turn,
/// in nanoseconds, of the oldest packet of one burst in eight. Each is exact to one part in 16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Packets looked at.
    pub samples: u64,
    /// Half of them waited no longer.
    pub p50_ns: u64,
    /// 9 of 10 waited no longer.
    #[serde(default)]
    pub p90_ns: u64,
    /// 99 of 100 waited no longer.
    pub p99_ns: u64,
    /// 999 of 1,000 waited no longer.
    #[serde(default)]
    pub p999_ns: u64,
    /// The longest wait; 4.29 s and above wrap.
    pub max_ns: u64,
}

/// Counts of waits by their length, as they stood at some moment.
#[derive(Clone, Debug)]
pub struct WaitCounts {
    counts: Box<[u64; BUCKETS]>,
    max: u64,
}

impl WaitCounts {
    /// The waits since `earlier`. The longest is known to one part in 16 then.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = self.counts.clone();
        for (now, then) in counts.iter_mut().zip(earlier.counts.iter()) {
            *now = now.saturating_sub(*then);
        }
        let longest = counts.iter().rposition(|count| *count > 0).map_or(0, highest);
        Self { counts, max: longest.min(self.max) }
    }

    /// Adds another worker's waits.
    pub fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts.iter()).for_each(|(sum, more)| *sum += more);
        self.max = self.max.max(other.max);
    }

    /// The summary; `None` when no packet had a stamp.
    #[must_use]
    pub fn summary(&self) -> Option<Latency> {
        let samples = self.counts.iter().sum();
        let quantile = |share: f64| {
            let rank = (samples as f64 * share).ceil() as u64;
            let mut seen = 0;
            let at = self.counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            at.map_or(0, highest).min(self.max)
        };
        (samples > 0).then(|| Latency {
            samples,
            p50_ns: quantile(0.5),
            p90_ns: quantile(0.9),
            p99_ns: quantile(0.99),
            p999_ns: quantile(0.999),
            max_ns: self.max,
        })
    }
}

/// Counts of waits that their one writer shares with whoever watches.
#[derive(Debug)]
pub(super) struct WaitCells {
    counts: Box<[AtomicU64; BUCKETS]>,
    max: AtomicU64,
}

impl Default for WaitCells {
    fn default() -> Self {
        Self { counts: Box::new([const { AtomicU64::new(0) }; BUCKETS]), max: AtomicU64::new(0) }
    }
}

impl WaitCells {
    /// One thread only: plain loads and stores, no read-modify-write.
    fn add(&self, ns: u32) {
        let cell = &self.counts[bucket(ns)];
        cell.store(cell.load(Relaxed) + 1, Relaxed);
        self.max.store(self.max.load(Relaxed).max(ns.into()), Relaxed);
    }

    /// The counts by now.
    pub(super) fn read(&self) -> WaitCounts {
        let mut counts = Box::new([0; BUCKETS]);
        counts.iter_mut().zip(self.counts.iter()).for_each(|(to, cell)| *to = cell.load(Relaxed));
        WaitCounts { counts, max: self.max.load(Relaxed) }
    }
}

/// A worker's look at how long its packets have waited.
#[derive(Clone, Debug, Default)]
pub(super) struct Waits {
    cells: Arc<WaitCells>,
    turn: u64,
}

impl Waits {
    /// Looks at the oldest packet of a burst, if it is this one's turn and its stamp is a time of
    /// this host's clock.
    #[inline]
    pub(super) fn look(&mut self, burst: &[Desc]) {
        let Some(oldest) = burst.first() else { return };
        let source = oldest.flags & Desc::STAMP_MASK;
        if source != Desc::STAMP_KERNEL && source != Desc::STAMP_POLL {
            return;
        }
        if self.turn.is_multiple_of(EVERY) {
            self.cells.add(now().wrapping_sub(oldest.stamp));
        }
        self.turn += 1;
    }

    /// What it counts into.
    pub(super) fn cells(&self) -> Arc<WaitCells> {
        Arc::clone(&self.cells)
    }

    /// The summary; `None` when no packet had a stamp.
    pub(super) fn summary(&self) -> Option<Latency> {
        self.cells.read().summary()
    }
}

const fn bucket(ns: u32) -> usize {
    if ns < FINE as u32 {
        return ns as usize;
    }
    let shift = ns.ilog2() - FINE_BITS;
    (shift as usize + 1) * FINE + (ns >> shift) as usize % FINE
}

/// The highest value of a bucket.
const fn highest(bucket: usize) -> u64 {
    if bucket < FINE {
        return bucket as u64;
    }
    let shift = bucket / FINE - 1;
    (((bucket % FINE + FINE + 1) as u64) << shift) - 1
}

/// Low 32 bits of the wall clock in nanoseconds, which is what stamps are.
fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket() {
        let edges = (0..32).flat_map(|bit| [1u32 << bit, (1 << bit) - 1, (1 << bit) + 1]);
        for ns in edges.chain([u32::MAX, 12_345_678]) {
            let high = highest(bucket(ns));
            assert!(high >= ns.into() && high <= u64::from(ns) * 17 / 16 + 1, "{ns} {high}");
            assert!(bucket(ns) < BUCKETS);
        }
    }

    #[test]
    fn quantiles_are_of_the_waits() {
        let waits = WaitCells::default();
        assert_eq!(waits.read().summary(), None);
        (1..=1000).for_each(|us| waits.add(us * 1000));
        let latency = waits.read().summary().expect("a thousand waits");
        assert_eq!((latency.samples, latency.max_ns), (1000, 1_000_000));
        for (got, want) in [
            (latency.p50_ns, 500_000),
            (latency.p90_ns, 900_000),
            (latency.p99_ns, 990_000),
            (latency.p999_ns, 999_000),
        ] {
            assert!((want..=want * 17 / 16 + 1).contains(&got), "{got} for {want}");
        }
    }

    #[test]
    fn waits_of_an_interval_are_told_apart() {
        let waits = WaitCells::default();
        (0..100).for_each(|_| waits.add(1_000_000));
        let before = waits.read();
        (0..10).for_each(|_| waits.add(1000));
        let now = waits.read();
        let since = now.since(&before);
        let latency = since.summary().expect("ten waits");
        assert_eq!(latency.samples, 10);
        assert!((1000..1100).contains(&latency.max_ns), "{latency:?}");
        assert_eq!(before.since(&before).summary(), None);
        let mut both = since;
        both.add(&before);
        assert_eq!(both.summary().map(|l| l.samples), Some(110));
    }

    #[test]
    fn only_stamps_of_this_hosts_clock_count() {
        let mut waits = Waits::default();
        let stamped = |flags| Desc { flags, stamp: now().wrapping_sub(5000), ..Desc::default() };
        (0..EVERY).for_each(|_| waits.look(&[stamped(Desc::STAMP_FILE)]));
        waits.look(&[stamped(0)]);
        waits.look(&[]);
        assert_eq!(waits.summary(), None);
        (0..=EVERY).for_each(|_| waits.look(&[stamped(Desc::STAMP_POLL)]));
        let latency = waits.summary().expect("stamped packets");
        assert_eq!(latency.samples, 2);
        assert!(latency.max_ns >= 5000);
    }
}
