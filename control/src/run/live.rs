//! The live line of a run, on a terminal or as lines in a log.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use pfs_dataplane::books::Books;
use pfs_dataplane::run::Snapshot;

use super::figures::{count, rate};

/// Prints rates, drops by cause and the residual, once a second.
#[derive(Debug)]
pub(super) struct LiveLine {
    terminal: bool,
    last: Option<(Duration, Books, Vec<u64>)>,
}

impl LiveLine {
    pub(super) fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), last: None }
    }

    pub(super) fn show(&mut self, snapshot: &Snapshot) {
        let books = snapshot.books();
        let lanes: Vec<u64> = snapshot.workers.iter().map(|worker| worker.consumed).collect();
        if let Some((then, before, lanes_before)) = &self.last {
            let seconds = (snapshot.elapsed.saturating_sub(*then)).as_secs_f64().max(1e-3);
            let text = line(snapshot.elapsed, seconds, &books, before, &lanes, lanes_before);
            self.print(&text);
        }
        self.last = Some((snapshot.elapsed, books, lanes));
    }

    fn print(&self, text: &str) {
        let mut out = io::stderr().lock();
        // A closed standard error must not end the run.
        let _ = if self.terminal {
            write!(out, "\r\x1b[K{text}").and_then(|()| out.flush())
        } else {
            writeln!(out, "{text}")
        };
    }

    /// Ends the line, so that what follows starts on its own.
    pub(super) fn end(&self) {
        if self.terminal && self.last.is_some() {
            eprint!("\r\x1b[K");
        }
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
    let all = [
        ("dropped_nic", books.dropped_nic),
        ("dropped_kernel", books.dropped_kernel),
        ("dropped_no_frame", books.dropped_no_frame),
        ("dropped_ring_full", books.dropped_ring_full),
        ("dropped_malformed", books.dropped_malformed),
    ];
    all.into_iter().filter(|(_, lost)| *lost > 0).collect()
}
