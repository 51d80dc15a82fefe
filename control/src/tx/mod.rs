//! `pfs tx`: sends a capture, a stream of bytes or generated frames, and says what really left.

mod args;
mod gauge;
mod input;
mod report;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use pfs_dataplane::transmitters::frames::FrameSource;
use pfs_dataplane::transmitters::pace::{HostClock, Pacer, PumpError, Pumped, pump};
use pfs_dataplane::transmitters::{SinkSpec, Transmit};

pub(crate) use args::TxArgs;

use gauge::{Gauge, Metered};
use input::Input;
use report::Report;

use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::figures::{count, rate};
use crate::run::stop_flag;

/// Frames that leave together at most: short enough to keep a pace, long enough to be cheap.
const BURST: usize = 32;
/// How often progress is looked at.
const TICK: Duration = Duration::from_millis(100);

/// Sends, reports, and fails where not everything left.
///
/// # Errors
/// What was asked cannot be, source or sink broke, or frames were refused.
pub(crate) fn tx(args: &TxArgs) -> Result<(), Failure> {
    let to = args.sink()?;
    let pace = args.pace()?;
    args.check()?;
    let stop = stop_flag()?;
    let mut input = Input::open(args, &to, &stop)?;
    let mut pacer = Pacer::new(pace, BURST).map_err(Failure::usage)?;
    let headers = report::headers(&to);
    if let SinkSpec::Udp(_) = to {
        pacer = pacer.with_headers(headers);
    }
    let sink = to.open(input.framing).map_err(Failure::failed)?;
    let gauge = Gauge::default();
    let mut sink = Metered::new(sink, &gauge);
    let quiet = args.quiet || args.json;
    let progress = (!quiet).then(|| Progress::new(input.end));
    let outcome = send(&mut input.frames, &mut sink, &mut pacer, &stop, progress.as_ref());
    if let Some(progress) = progress {
        progress.end();
    }
    let mut report = Report::new(&to, pace, headers);
    let elapsed = outcome
        .as_ref()
        .map_or_else(|_| gauge.elapsed(), |all| Duration::from_nanos(all.elapsed_ns));
    report.sent(&sink.counters(), elapsed);
    report.behind_s = Duration::from_nanos(pacer.slipped_ns()).as_secs_f64();
    (report.cut, report.skipped) = input.odd();
    report.stopped = stop.load(Relaxed);
    report.error = outcome.err().map(|error| error.to_string());
    report.print(args.json)?;
    report.verdict()
}

/// Pumps in this thread, and shows in another how it goes.
fn send(
    frames: &mut FrameSource,
    sink: &mut Metered<'_, impl Transmit>,
    pacer: &mut Pacer,
    stop: &AtomicBool,
    progress: Option<&Progress>,
) -> Result<Pumped, PumpError> {
    let gauge = sink.gauge();
    thread::scope(|scope| {
        let watcher = progress.map(|progress| scope.spawn(|| watch(gauge, progress)));
        let outcome = pump(frames, sink, pacer, &HostClock::default(), stop);
        gauge.end();
        if let Some(watcher) = watcher {
            watcher.thread().unpark();
        }
        outcome
    })
}

/// Shows the counters until the sender has ended.
fn watch(gauge: &Gauge, progress: &Progress) {
    let (mut then, mut before) = (Instant::now(), gauge.read());
    let every = if progress.is_log() { Duration::from_secs(1) } else { 2 * TICK };
    while !gauge.has_ended() {
        thread::park_timeout(TICK);
        if then.elapsed() < every {
            continue;
        }
        let (now, seconds) = (gauge.read(), then.elapsed().as_secs_f64());
        let per_second = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        let text = format!(
            "sent {}  {}  {}  failed {}",
            count(now.sent),
            rate(per_second(now.sent, before.sent), "pps"),
            rate(per_second(now.sent_bytes, before.sent_bytes) * 8.0, "bit/s"),
            count(now.failed),
        );
        progress.show(now.accepted, text);
        (then, before) = (Instant::now(), now);
    }
}
