//! A sink that tells, while it sends, what it has sent.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pfs_dataplane::transmitters::{Transmit, TransmitCounters, TransmitError};

/// Totals that the sending thread publishes and another reads.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    accepted: AtomicU64,
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    failed: AtomicU64,
    first: OnceLock<Instant>,
    /// Nanoseconds from the first frame to the last look at the sink.
    elapsed: AtomicU64,
    ended: AtomicBool,
}

impl Gauge {
    /// The totals last published; each is exact, together they may straddle a publication.
    pub(super) fn read(&self) -> TransmitCounters {
        TransmitCounters {
            accepted: self.accepted.load(Relaxed),
            sent: self.sent.load(Relaxed),
            sent_bytes: self.sent_bytes.load(Relaxed),
            failed: self.failed.load(Relaxed),
        }
    }

    /// From the first frame until the sink was last used.
    pub(super) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed.load(Relaxed))
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Relaxed);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    fn publish(&self, counters: &TransmitCounters) {
        self.accepted.store(counters.accepted, Relaxed);
        self.sent.store(counters.sent, Relaxed);
        self.sent_bytes.store(counters.sent_bytes, Relaxed);
        self.failed.store(counters.failed, Relaxed);
        let elapsed = self.first.get().map_or(Duration::ZERO, Instant::elapsed);
        self.elapsed.store(elapsed.as_nanos() as u64, Relaxed);
    }
}

/// A sink with its gauge, which is brought up to date once a burst.
#[derive(Debug)]
pub(super) struct Metered<'a, S> {
    sink: S,
    gauge: &'a Gauge,
}

impl<'a, S: Transmit> Metered<'a, S> {
    pub(super) const fn new(sink: S, gauge: &'a Gauge) -> Self {
        Self { sink, gauge }
    }

    pub(super) const fn gauge(&self) -> &'a Gauge {
        self.gauge
    }
}

impl<S: Transmit> Transmit for Metered<'_, S> {
    fn send(&mut self, frames: &[&[u8]]) -> Result<usize, TransmitError> {
        self.gauge.first.get_or_init(Instant::now);
        let taken = self.sink.send(frames);
        self.gauge.publish(&self.sink.counters());
        taken
    }

    fn flush(&mut self) -> Result<(), TransmitError> {
        let flushed = self.sink.flush();
        self.gauge.publish(&self.sink.counters());
        flushed
    }

    fn counters(&mut self) -> TransmitCounters {
        self.sink.counters()
    }
}
