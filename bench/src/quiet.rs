//! Whether a measurement had its cores to itself: steal time, run delay, load.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::team::Scheduled;

/// Share of the time that may be lost before a measurement counts as disturbed.
const ALLOWED: f64 = 0.01;

/// The kernel's account of some cores so far, in its ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticks {
    stolen: u64,
    all: u64,
}

impl Ticks {
    /// The sum over `cores`, from `/proc/stat`.
    #[must_use]
    pub fn of(cores: &[u32]) -> Self {
        Self::parse(&fs::read_to_string("/proc/stat").unwrap_or_default(), cores)
    }

    fn parse(text: &str, cores: &[u32]) -> Self {
        let mut sum = Self::default();
        for line in text.lines() {
            let mut fields = line.split_whitespace();
            let core = fields.next().and_then(|name| name.strip_prefix("cpu")?.parse().ok());
            if !core.is_some_and(|core| cores.contains(&core)) {
                continue;
            }
            // user nice system idle iowait irq softirq steal; guest time is in user already.
            let ticks: Vec<u64> = fields.take(8).map(|field| field.parse().unwrap_or(0)).collect();
            sum.stolen += ticks.get(7).copied().unwrap_or(0);
            sum.all += ticks.iter().sum::<u64>();
        }
        sum
    }
}

/// What was lost to others during one measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Disturbance {
    /// Share of the cores' time that the hypervisor gave to others.
    pub stolen: f64,
    /// Largest share of a member's time in which it was ready and another task ran.
    pub waited: f64,
    /// Largest share of a member's time in which it did not run, for whichever reason.
    pub away: f64,
    /// Runnable tasks over the last minute.
    pub load: f64,
}

impl Disturbance {
    /// From the cores' ticks before, and each member's account of `wall_ns` nanoseconds.
    #[must_use]
    pub fn read(cores: &[u32], before: Ticks, members: &[(Scheduled, u64)]) -> Self {
        let now = Ticks::of(cores);
        let all = now.all.saturating_sub(before.all).max(1) as f64;
        let most = |of: &dyn Fn(&Scheduled, f64) -> f64| {
            let shares = members.iter().map(|(member, wall)| of(member, (*wall).max(1) as f64));
            shares.fold(0.0, f64::max)
        };
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            stolen: now.stolen.saturating_sub(before.stolen) as f64 / all,
            waited: most(&|member, wall| member.waited_ns as f64 / wall),
            away: most(&|member, wall| (1.0 - member.ran_ns as f64 / wall).max(0.0)),
            load: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
        }
    }

    /// Whether so much was lost that the figure is another's too.
    #[must_use]
    pub fn disturbs(&self) -> bool {
        // A member is off its core for the beginning and end of its own account.
        self.stolen > ALLOWED || self.waited > ALLOWED || self.away > 2.0 * ALLOWED
    }

    /// The larger of both in each.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        Self {
            stolen: self.stolen.max(other.stolen),
            waited: self.waited.max(other.waited),
            away: self.away.max(other.away),
            load: self.load.max(other.load),
        }
    }

    /// In words: `steal 0.0 %, waited 12.1 %, load 4.0`.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { stolen, waited, load, .. } = self;
        format!("steal {:.1} %, waited {:.1} %, load {load:.1}", stolen * 100.0, waited * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_of_the_cores_asked_for() {
        let text = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu1 1 0 0 9 0 0 0 5 0 0\n\
                    cpu10 100 0 0 0 0 0 0 100 0 0\nintr 1\n";
        assert_eq!(Ticks::parse(text, &[0]), Ticks { stolen: 8, all: 36 });
        assert_eq!(Ticks::parse(text, &[0, 1]), Ticks { stolen: 13, all: 51 });
        assert_eq!(Ticks::parse("", &[0]), Ticks::default());
    }

    #[test]
    fn a_member_that_waited_disturbs() {
        let fine = Scheduled { ran_ns: 999, waited_ns: 0 };
        let waited = Scheduled { ran_ns: 900, waited_ns: 100 };
        let of = |members: &[(Scheduled, u64)]| Disturbance {
            stolen: 0.0,
            ..Disturbance::read(&[], Ticks::default(), members)
        };
        assert!(!of(&[(fine, 1000)]).disturbs());
        assert!(of(&[(fine, 1000), (waited, 1000)]).disturbs());
    }
}
