//! What one member has done in the measured time.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::host::cycles;
use crate::team::Scheduled;

/// Bytes, or spans, between two looks at the clock: some microseconds of work.
const BYTES: u64 = 64 << 10;
const SPANS: u64 = 1024;

/// Work of one member, from the gate to the deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) bytes: u64,
    pub(super) spans: u64,
    pub(super) ns: u64,
    /// Of the time-stamp counter.
    pub(super) ticks: u64,
    pub(super) scheduled: Scheduled,
}

/// Counts work until the deadline; what comes after, to finish a pass, is not measured.
pub(super) struct Watch {
    since: Instant,
    ticks: u64,
    scheduled: Scheduled,
    length: Duration,
    /// Bytes and spans so far, and where the clock is looked at next.
    bytes: u64,
    spans: u64,
    next: (u64, u64),
    done: Option<Done>,
}

impl Watch {
    /// Begins now.
    pub(super) fn start(length: Duration) -> Self {
        let (since, ticks) = (Instant::now(), cycles());
        let scheduled = Scheduled::now();
        Self {
            since,
            ticks,
            scheduled,
            length,
            bytes: 0,
            spans: 0,
            next: (BYTES, SPANS),
            done: None,
        }
    }

    /// Counts a batch.
    #[inline]
    pub(super) fn count(&mut self, spans: u64, bytes: u64) {
        self.spans += spans;
        self.bytes += bytes;
        if self.bytes >= self.next.0 || self.spans >= self.next.1 {
            self.look();
        }
    }

    /// Looks at the clock.
    #[cold]
    pub(super) fn look(&mut self) {
        self.next = (self.bytes + BYTES, self.spans + SPANS);
        let elapsed = self.since.elapsed();
        if self.done.is_none() && elapsed >= self.length {
            self.done = Some(Done {
                bytes: self.bytes,
                spans: self.spans,
                ns: elapsed.as_nanos() as u64,
                ticks: cycles().wrapping_sub(self.ticks),
                scheduled: Scheduled::now().since(self.scheduled),
            });
        }
    }

    /// Whether the measured time is over.
    #[inline]
    pub(super) const fn is_over(&self) -> bool {
        self.done.is_some()
    }

    /// Waits for the deadline, if need be, and tells what was done until then.
    pub(super) fn finish(mut self) -> Done {
        loop {
            match self.done {
                Some(done) => return done,
                None => self.look(),
            }
        }
    }
}
