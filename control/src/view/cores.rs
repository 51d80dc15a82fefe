//! What the kernel says of each core's time.

use std::fs;

/// Ticks of every core since boot, by its id.
#[derive(Clone, Debug, Default)]
pub(super) struct CoreTimes(Vec<(u32, Ticks)>);

#[derive(Clone, Copy, Debug, Default)]
struct Ticks {
    idle: u64,
    steal: u64,
    all: u64,
}

impl CoreTimes {
    /// Reads `/proc/stat`; without any core where that cannot be had.
    pub(super) fn read() -> Self {
        Self::parse(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let core = |line: &str| {
            let (id, ticks) = line.strip_prefix("cpu")?.split_once(' ')?;
            let ticks: Vec<u64> =
                ticks.split_whitespace().map_while(|word| word.parse().ok()).collect();
            // user nice system idle iowait irq softirq steal; guests are in user already.
            let at = |place: usize| ticks.get(place).copied().unwrap_or(0);
            let all = ticks.iter().take(8).sum();
            Some((id.parse().ok()?, Ticks { idle: at(3) + at(4), steal: at(7), all }))
        };
        Self(text.lines().filter_map(core).collect())
    }

    fn of(&self, core: u32) -> Option<Ticks> {
        self.0.iter().find(|(id, _)| *id == core).map(|(_, ticks)| *ticks)
    }

    /// Shares of `core`'s time since `earlier` that it was busy and that others had it; `None`
    /// when less than a tick has passed.
    pub(super) fn shares(&self, earlier: &Self, core: u32) -> Option<(f64, f64)> {
        let (now, then) = (self.of(core)?, earlier.of(core)?);
        let all = now.all.checked_sub(then.all).filter(|all| *all > 0)? as f64;
        let idle = now.idle.saturating_sub(then.idle) as f64 / all;
        let steal = now.steal.saturating_sub(then.steal) as f64 / all;
        Some(((1.0 - idle - steal).clamp(0.0, 1.0), steal.min(1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_time_between() {
        let then = CoreTimes::parse("cpu  9 9 9 9\ncpu0 10 0 10 100 0 0 0 5 0 0\nintr 5\n");
        let now = CoreTimes::parse("cpu  9 9 9 9\ncpu0 60 0 10 120 5 0 0 30 7 0\n");
        let (busy, steal) = now.shares(&then, 0).expect("both know the core");
        assert!((busy - 0.5).abs() < 1e-9 && (steal - 0.25).abs() < 1e-9, "{busy} {steal}");
        assert_eq!(now.shares(&now, 0), None, "no tick has passed");
        assert_eq!(now.shares(&then, 1), None, "no such core");
        assert!(CoreTimes::parse("cpu0\ncpux 1\n\u{0}").0.is_empty());
    }
}
