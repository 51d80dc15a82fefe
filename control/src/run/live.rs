//! The live line of a run, on a terminal or as lines in a log.

use std::time::Duration;

use pfs_dataplane::books::Books;
use pfs_dataplane::run::Snapshot;

use super::figures::{count, rate};
use crate::plan::Plan;
use crate::progress::Progress;

/// Shows rates, drops by cause and the residual, once a second; with a bar where the plan says
/// when the run ends.
#[derive(Debug)]
pub(super) struct LiveLine {
    progress: Progress,
    end: Option<End>,
    last: Option<(Duration, Books, Vec<u64>)>,
}

/// When a run ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// After so many packets were offered.
    Packets(u64),
    /// After so many milliseconds.
    Time(u64),
}

impl End {
    /// The plan's limit, or the sum of what its sources say that they hold.
    fn of(plan: &Plan) -> Option<Self> {
        if let Some(seconds) = plan.limits.seconds {
            return Some(Self::Time((seconds * 1e3) as u64));
        }
        let held = || plan.sources.iter().map(|source| source.from.packets()).sum();
        plan.limits.packets.or_else(held).map(Self::Packets)
    }
}

impl LiveLine {
    pub(super) fn new(plan: &Plan) -> Self {
        let end = End::of(plan);
        let length = end.map(|end| match end {
            End::Packets(length) | End::Time(length) => length,
        });
        Self { progress: Progress::new(length), end, last: None }
    }

    pub(super) fn show(&mut self, snapshot: &Snapshot) {
        let books = snapshot.books();
        let lanes: Vec<u64> = snapshot.workers.iter().map(|worker| worker.consumed).collect();
        if let Some((then, before, lanes_before)) = &self.last {
            let seconds = (snapshot.elapsed.saturating_sub(*then)).as_secs_f64().max(1e-3);
            let text = line(snapshot.elapsed, seconds, &books, before, &lanes, lanes_before);
            let done = match self.end {
                Some(End::Time(_)) => snapshot.elapsed.as_millis() as u64,
                Some(End::Packets(_)) | None => books.offered,
            };
            self.progress.show(done, text);
        }
        self.last = Some((snapshot.elapsed, books, lanes));
    }

    /// Ends the line, so that what follows starts on its own.
    pub(super) fn end(&self) {
        self.progress.end();
    }
}

fn line(
    elapsed: Duration,
    seconds: f64,
    books: &Books,
    before: &Books,
    lanes: &[u64],
    lanes_before: &[u64],
) -> String {
    let per_second = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
    let lanes: Vec<String> = lanes
        .iter()
        .zip(lanes_before)
        .map(|(&now, &then)| rate(per_second(now, then), "pps"))
        .collect();
    let mut text = format!(
        "{:>6.1} s  in {}  lanes {}",
        elapsed.as_secs_f64(),
        rate(per_second(books.offered, before.offered), "pps"),
        lanes.join(" "),
    );
    for (name, lost) in drops(books) {
        text += &format!("  {name} {}", count(lost));
    }
    text + &format!("  residual {}", books.residual)
}

/// Drops that have happened, by cause.
pub(super) fn drops(books: &Books) -> Vec<(&'static str, u64)> {
    books.drops().into_iter().filter(|(_, lost)| *lost > 0).collect()
}
