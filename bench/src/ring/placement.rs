//! How far apart the two cores are at this moment.
//!
//! A virtual machine's cores are threads that its host moves: now on one chip, now on two. A line
//! of cache then takes 60 ns or 200 ns to cross, and every figure of two threads follows. So each
//! trial is put between two probes and counted with trials of the same placement only.

use serde::{Deserialize, Serialize};

use super::contenders::RtrbItem;
use super::item::Small;
use super::latency::ping_pong;
use super::run::Cores;

/// Round trips of a probe: a fraction of a millisecond.
const TRIPS: u64 = 2_000;
/// Between the two groups that one-way latencies of a neutral ring fall into, in nanoseconds.
const BETWEEN_NS: f64 = 130.0;
/// Trials thrown away for a move in their middle before one is taken as it is.
const PATIENCE: usize = 6;

/// Where the host has put the two cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// They share a cache: a one-way trip takes less than 130 ns.
    Near,
    /// They do not.
    Far,
}

impl Placement {
    /// The placement's name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Near => "near",
            Self::Far => "far",
        }
    }

    fn probe(cores: Cores) -> Self {
        let trip = ping_pong::<Small, RtrbItem>(TRIPS, cores);
        if trip.p50_ns < BETWEEN_NS { Self::Near } else { Self::Far }
    }

    /// Runs `trial` until the placement is the same before and after it; gives both.
    ///
    /// # Errors
    /// As `trial`.
    pub fn steady<T, E>(
        cores: Cores,
        mut trial: impl FnMut() -> Result<T, E>,
    ) -> Result<(Self, T), E> {
        let mut before = Self::probe(cores);
        for _ in 0..PATIENCE {
            let result = trial()?;
            let after = Self::probe(cores);
            if before == after {
                return Ok((after, result));
            }
            before = after;
        }
        Ok((before, trial()?))
    }
}
