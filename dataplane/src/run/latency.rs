//! How long packets lie between their arrival and their program.

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
    /// 99 of 100 waited no longer.
    pub p99_ns: u64,
    /// The longest wait; 4.29 s and above wrap.
    pub max_ns: u64,
}

/// Counts of waits by their length.
#[derive(Clone, Debug)]
pub(super) struct Waits {
    counts: Box<[u64; BUCKETS]>,
    turn: u64,
    max: u32,
}

impl Default for Waits {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]), turn: 0, max: 0 }
    }
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
            self.add(now().wrapping_sub(oldest.stamp));
        }
        self.turn += 1;
    }

    fn add(&mut self, ns: u32) {
        self.counts[bucket(ns)] += 1;
        self.max = self.max.max(ns);
    }

    /// The summary; `None` when no packet had a stamp.
    pub(super) fn summary(&self) -> Option<Latency> {
        let samples = self.counts.iter().sum();
        let quantile = |share: f64| {
            let rank = (samples as f64 * share).ceil() as u64;
            let mut seen = 0;
            let at = self.counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            at.map_or(0, highest).min(self.max.into())
        };
        (samples > 0).then(|| Latency {
            samples,
            p50_ns: quantile(0.5),
            p99_ns: quantile(0.99),
            max_ns: self.max.into(),
        })
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
        let mut waits = Waits::default();
        assert_eq!(waits.summary(), None);
        (1..=1000).for_each(|us| waits.add(us * 1000));
        let latency = waits.summary().expect("a thousand waits");
        assert_eq!((latency.samples, latency.max_ns), (1000, 1_000_000));
        for (got, want) in [(latency.p50_ns, 500_000), (latency.p99_ns, 990_000)] {
            assert!((want..=want * 17 / 16 + 1).contains(&got), "{got} for {want}");
        }
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
