//! Timing of one row.

use std::time::{Duration, Instant};

use serde::Serialize;

/// One row of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Kind and place of the spans.
    pub group: &'static str,
    /// Program, or the peer's name.
    pub what: String,
    /// Instruction-set level of our kernels; `-` for peers.
    pub isa: String,
    /// Median rate in 10^9 payload bytes per second.
    pub gb_per_s: f64,
    /// Slowest trial.
    pub min: f64,
    /// Fastest trial.
    pub max: f64,
    /// Ticks of the time-stamp counter per payload byte, at the median.
    pub ticks_per_byte: f64,
    /// Whether the answer was that of the oracle.
    pub ok: bool,
    /// Each trial's rate.
    pub trials: Vec<f64>,
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trials {
    pub(super) count: usize,
    pub(super) length: Duration,
}

/// Runs `pass` (over `bytes` payload bytes) until the trials are done; gives back the row
/// without its verdict, and the number of passes made, the untimed first one included.
pub(super) fn measure(
    trials: Trials,
    group: &'static str,
    what: String,
    bytes: u64,
    mut pass: impl FnMut(),
) -> (Row, u64) {
    let start = Instant::now();
    pass();
    let one = start.elapsed();
    let repeat = (trials.length.as_nanos() / one.as_nanos().max(1)).clamp(1, 1 << 24) as u64;
    let mut rates = Vec::with_capacity(trials.count);
    let mut ticks = Vec::with_capacity(trials.count);
    for _ in 0..trials.count {
        let (start, before) = (Instant::now(), tsc());
        (0..repeat).for_each(|_| pass());
        let (time, after) = (start.elapsed(), tsc());
        let total = (bytes * repeat) as f64;
        rates.push(total / time.as_nanos() as f64);
        ticks.push((after - before) as f64 / total);
    }
    let mut sorted = rates.clone();
    sorted.sort_by(f64::total_cmp);
    ticks.sort_by(f64::total_cmp);
    let row = Row {
        group,
        what,
        isa: "-".into(),
        gb_per_s: sorted[sorted.len() / 2],
        min: sorted[0],
        max: sorted[sorted.len() - 1],
        ticks_per_byte: ticks[ticks.len() / 2],
        ok: false,
        trials: rates,
    };
    (row, 1 + repeat * trials.count as u64)
}

fn tsc() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has `rdtsc`.
    return unsafe { std::arch::x86_64::_rdtsc() };
    #[cfg(not(target_arch = "x86_64"))]
    0
}
