//! What `pfs send` and `pfs recv` show while they work: bytes, rate, time left, bytes saved.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pfs_pvrt::transfer::Gauge;

use crate::progress::Progress;
use crate::run::figures::rate;

/// How often a terminal and a log are told.
const TERMINAL: Duration = Duration::from_millis(100);
const LOG: Duration = Duration::from_secs(1);

/// A thread that shows a gauge, and passes a signal on to who keeps it.
#[derive(Debug)]
pub(super) struct Show {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Show {
    /// Shows `gauge` unless it is to be quiet, and stops it when `stop` is set.
    pub(super) fn start(gauge: &Arc<Gauge>, stop: &Arc<AtomicBool>, quiet: bool) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (gauge, stop, ended) = (Arc::clone(gauge), Arc::clone(stop), Arc::clone(&over));
        let thread = thread::spawn(move || run(&gauge, &stop, &ended, quiet));
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // What it panicked with was printed.
            let _ = thread.join();
        }
    }
}

fn run(gauge: &Gauge, stop: &AtomicBool, over: &AtomicBool, quiet: bool) {
    let (mut bar, mut end) = (None, 0);
    let (mut last, mut shown) = ((Instant::now(), 0), Instant::now());
    let mut speed = 0.0_f64;
    while !over.load(Ordering::Relaxed) {
        if stop.load(Ordering::Relaxed) {
            gauge.stop.store(true, Ordering::Relaxed);
        }
        thread::park_timeout(TERMINAL);
        let (done, all) = (gauge.done.load(Ordering::Relaxed), gauge.bytes.load(Ordering::Relaxed));
        if quiet || all == 0 {
            continue;
        }
        if bar.is_none() || all != end {
            end = all;
            bar = Some(Progress::new(Some(all)));
        }
        let Some(bar) = &bar else { continue };
        let every = if bar.is_log() { LOG } else { TERMINAL };
        if shown.elapsed() < every {
            continue;
        }
        shown = Instant::now();
        let passed = last.0.elapsed().as_secs_f64().max(1e-6);
        speed = speed * 0.7 + (done.saturating_sub(last.1)) as f64 / passed * 0.3;
        last = (shown, done);
        bar.show(done, line(gauge, done, all, speed));
    }
    if let Some(bar) = bar {
        bar.end();
    }
}

fn line(gauge: &Gauge, done: u64, all: u64, speed: f64) -> String {
    let wire = gauge.wire.load(Ordering::Relaxed);
    let saved = done.saturating_sub(wire);
    let left = if speed > 1.0 { all.saturating_sub(done) as f64 / speed } else { f64::INFINITY };
    let left = if left < 360_000.0 { clock(left as u64) } else { "-:--".to_owned() };
    format!(
        "{} of {}  {}  {left} left  {} saved",
        bytes(done),
        bytes(all),
        rate(speed, "B/s"),
        bytes(saved)
    )
}

/// `1:02:03`.
fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// `1.23 MB`.
pub(super) fn bytes(bytes: u64) -> String {
    rate(bytes as f64, "B")
}
