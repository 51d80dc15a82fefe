//! Timing of one row.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::host::cycles;
use crate::interrupt;
use crate::stats::Spread;

/// One row of the report.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    /// Kind and place of the spans.
    pub(super) group: &'static str,
    /// Program, or the peer's name.
    pub(super) what: String,
    /// Instruction-set level of our kernels; `-` for peers.
    pub(super) isa: String,
    /// Rate in 10^9 payload bytes per second.
    pub(super) gb_per_s: Spread,
    /// Ticks of the time-stamp counter per payload byte.
    pub(super) ticks_per_byte: Spread,
    /// Whether the answer was that of the oracle.
    pub(super) ok: bool,
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trials {
    pub(super) count: usize,
    pub(super) length: Duration,
}

/// Runs `pass` (over `bytes` payload bytes) until the trials are done, or one when interrupted; gives back the row
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
    while rates.len() < trials.count {
        if interrupt::asked() && !rates.is_empty() {
            break;
        }
        let (start, before) = (Instant::now(), cycles());
        (0..repeat).for_each(|_| pass());
        let (time, after) = (start.elapsed(), cycles());
        let total = (bytes * repeat) as f64;
        rates.push(total / time.as_nanos() as f64);
        ticks.push((after - before) as f64 / total);
    }
    let passes = 1 + repeat * rates.len() as u64;
    let row = Row {
        group,
        what,
        isa: "-".into(),
        gb_per_s: Spread::of(rates),
        ticks_per_byte: Spread::of(ticks),
        ok: false,
    };
    (row, passes)
}
