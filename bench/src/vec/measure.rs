//! Rates per second of this thread's time.

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::data::Data;

/// Seconds that this thread has run.
fn thread_seconds() -> f64 {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map_or(0.0, |time| time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}

/// What `work` gives, and how many seconds this thread ran for it.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let begin = thread_seconds();
    let made = work();
    (made, (thread_seconds() - begin).max(1e-9))
}

/// One figure of one thing that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What was measured.
    pub what: String,
    /// Vectors a second that were added, encoded or built in; 0 where it was not measured.
    pub added: f64,
    /// Vectors a second that were looked at; 0 where it was not measured.
    pub scanned: f64,
    /// Queries a second; 0 where it was not measured.
    pub queries: f64,
    /// Share of the ten nearest that were found; 0 where it was not measured.
    pub recall: f64,
    /// What was set for it.
    pub setting: String,
    /// Bytes a vector that were allocated; 0 where it was not measured.
    pub bytes: f64,
}

impl Line {
    /// Nothing measured yet.
    #[must_use]
    pub fn new(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            added: 0.0,
            scanned: 0.0,
            queries: 0.0,
            recall: 0.0,
            setting: String::new(),
            bytes: 0.0,
        }
    }

    /// With `count` queries answered by `search`, the fastest of three passes.
    #[must_use]
    pub fn searched(
        mut self,
        data: &Data,
        count: usize,
        search: impl Fn(&[f32]) -> Vec<u32>,
    ) -> Self {
        for _ in 0..3 {
            let all = || (0..count).map(|at| search(data.query(at))).collect::<Vec<_>>();
            let (found, seconds) = timed(all);
            self.recall = data.recall(&found);
            self.queries = self.queries.max(count as f64 / seconds);
        }
        self
    }

    /// With vectors a second that a search of all of them looks at.
    #[must_use]
    pub fn scanning(mut self, data: &Data) -> Self {
        self.scanned = self.queries * data.base.len() as f64;
        self
    }
}
