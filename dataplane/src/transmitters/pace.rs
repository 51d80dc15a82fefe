//! Pacing: when each frame is due, and the loop that sends frames when they are.
//!
//! A [`Pacer`] is arithmetic alone; time comes from a [`Clock`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::frames::{Burst, FrameSource};
use super::{Transmit, TransmitError};
use crate::receivers::ReceiveError;

/// How fast to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pace {
    /// As fast as the sink takes it.
    #[default]
    TopSpeed,
    /// Packets a second.
    Pps(f64),
    /// Gigabits a second on the wire: check sequence, preamble and gap, 24 bytes a frame, counted.
    Gbps(f64),
    /// The capture's own times, this many times as fast.
    Original(f64),
}

/// A pace that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0:?} is no pace; rate and speed are above 0")]
pub struct BadPace(Pace);

/// Bytes of a frame on the wire that are not in memory: check sequence, preamble, gap.
pub const WIRE_OVERHEAD: u64 = 4 + 8 + 12;

/// Longest that a frame is held back to be sent together with those after it.
const GATHER_NS: u64 = 50_000;
/// Lag that is made up for when the times are a capture's.
const REPLAY_LAG_NS: u64 = 10_000_000;
/// Frame that a burst is reckoned in when the rate is in bits.
const FULL_FRAME_BITS: f64 = (1514 + WIRE_OVERHEAD) as f64 * 8.0;

/// Says when frames are due, in nanoseconds since the first.
///
/// No frame is due early. A sender that was held up makes up for at most `burst` frames (for
/// [`Pace::Original`], 10 ms): beyond that the schedule moves, and [`Pacer::slipped_ns`] grows.
#[derive(Clone, Debug)]
pub struct Pacer {
    pace: Pace,
    burst: usize,
    /// Lag that is made up for.
    most_lag: u64,
    gather: u64,
    frames: u64,
    bits: u64,
    slip: u64,
}

impl Pacer {
    /// A schedule at `pace`, in bursts of up to `burst` frames (at least 1).
    ///
    /// # Errors
    /// When a rate or speed is not a number above 0.
    pub fn new(pace: Pace, burst: usize) -> Result<Self, BadPace> {
        let burst = burst.max(1);
        let most_lag = match pace {
            Pace::TopSpeed => 0,
            Pace::Pps(rate) if rate > 0.0 && rate.is_finite() => (burst as f64 * 1e9 / rate) as u64,
            Pace::Gbps(rate) if rate > 0.0 && rate.is_finite() => {
                (burst as f64 * FULL_FRAME_BITS / rate) as u64
            }
            Pace::Original(speed) if speed > 0.0 && speed.is_finite() => REPLAY_LAG_NS,
            bad => return Err(BadPace(bad)),
        };
        let gather = GATHER_NS.min(most_lag / 2);
        Ok(Self { pace, burst, most_lag, gather, frames: 0, bits: 0, slip: 0 })
    }

    /// When the next frame in order is due: one of `bytes` in memory, first seen at `stamp_ns`.
    /// Without slip, which may still grow; see [`Self::due`].
    #[inline]
    pub fn schedule(&mut self, bytes: usize, stamp_ns: u64) -> u64 {
        let due = match self.pace {
            Pace::TopSpeed => 0,
            Pace::Pps(rate) => (self.frames as f64 * 1e9 / rate) as u64,
            Pace::Gbps(rate) => (self.bits as f64 / rate) as u64,
            Pace::Original(speed) => (stamp_ns as f64 / speed) as u64,
        };
        self.frames += 1;
        self.bits += (bytes as u64 + WIRE_OVERHEAD) * 8;
        due
    }

    /// A scheduled time with all slip so far.
    #[must_use]
    pub const fn due(&self, scheduled: u64) -> u64 {
        scheduled.saturating_add(self.slip)
    }

    /// When to send next, given the scheduled times of the frames at hand: when a burst of them
    /// is due, but none held back for more than 50 µs.
    #[must_use]
    pub fn next_at(&self, scheduled: &[u64]) -> u64 {
        let Some(&first) = scheduled.first() else { return 0 };
        let last = scheduled[scheduled.len().min(self.burst) - 1];
        self.due(last.min(first.saturating_add(self.gather)))
    }

    /// How many of the frames at hand may go at `now`. Moves the schedule when they are too late
    /// for the lag to be made up for.
    #[inline]
    pub fn admit(&mut self, scheduled: &[u64], now: u64) -> usize {
        let most = scheduled.len().min(self.burst);
        if matches!(self.pace, Pace::TopSpeed) {
            return most;
        }
        if let Some(&first) = scheduled.first() {
            let lag = now.saturating_sub(self.due(first));
            self.slip += lag.saturating_sub(self.most_lag);
        }
        scheduled[..most].iter().take_while(|&&due| self.due(due) <= now).count()
    }

    /// Nanoseconds by which the schedule has moved: time that was not made up for.
    #[must_use]
    pub const fn slipped_ns(&self) -> u64 {
        self.slip
    }
}

/// Where time comes from.
pub trait Clock {
    /// Nanoseconds since the clock began; never goes back.
    fn now_ns(&self) -> u64;

    /// Waits until `now_ns` is at least `ns`, or, when that is far off, for a part of it.
    fn wait_until(&self, ns: u64);
}

/// The host's monotonic clock. Sleeps through long waits and spins through the last 80 µs, which
/// is what a sleep may oversleep.
#[derive(Clone, Copy, Debug)]
pub struct HostClock(Instant);

impl HostClock {
    const SPIN_NS: u64 = 80_000;
    /// Longest sleep at a stretch, so that a stop is seen.
    const NAP_NS: u64 = 50_000_000;
}

impl Default for HostClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for HostClock {
    fn now_ns(&self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }

    fn wait_until(&self, ns: u64) {
        let gap = ns.saturating_sub(self.now_ns());
        if gap > Self::SPIN_NS {
            thread::sleep(Duration::from_nanos((gap - Self::SPIN_NS).min(Self::NAP_NS)));
            return;
        }
        while self.now_ns() < ns {
            std::hint::spin_loop();
        }
    }
}

/// Sending that ended early.
#[derive(Debug, thiserror::Error)]
pub enum PumpError {
    /// The source broke.
    #[error(transparent)]
    Source(#[from] ReceiveError),
    /// The sink broke.
    #[error(transparent)]
    Sink(#[from] TransmitError),
}

/// How sending went; what really left is in the sink's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pumped {
    /// Frames given to the sink.
    pub frames: u64,
    /// Nanoseconds from the first frame until the sink had sent all.
    pub elapsed_ns: u64,
    /// Nanoseconds by which the sender fell behind its pace for good.
    pub slipped_ns: u64,
}

/// How long a full sink is left alone.
const FULL_NAP: Duration = Duration::from_micros(20);

/// Sends all of `source` to `sink` at `pacer`'s pace, until it ends or `stop` is set; then
/// flushes.
///
/// # Errors
/// When source or sink break. Frames before that were sent; the sink is flushed where it can be.
pub fn pump(
    source: &mut FrameSource,
    sink: &mut impl Transmit,
    pacer: &mut Pacer,
    clock: &impl Clock,
    stop: &AtomicBool,
) -> Result<Pumped, PumpError> {
    let mut pumped = Pumped::default();
    // Time runs from the first frame, not from before a source was there to read.
    let mut start = None;
    while !stop.load(Ordering::Relaxed) {
        let burst = match source.next_burst() {
            Ok(burst) => burst,
            Err(error) => {
                sink.flush()?;
                return Err(error.into());
            }
        };
        if burst.frames().is_empty() {
            break;
        }
        let start = *start.get_or_insert_with(|| clock.now_ns());
        pumped.frames += send_burst(&burst, sink, pacer, &Since { clock, start }, stop)?;
    }
    sink.flush()?;
    pumped.elapsed_ns = start.map_or(0, |start| clock.now_ns() - start);
    pumped.slipped_ns = pacer.slipped_ns();
    Ok(pumped)
}

/// Time since the first frame.
struct Since<'a, C> {
    clock: &'a C,
    start: u64,
}

fn send_burst<C: Clock>(
    burst: &Burst<'_>,
    sink: &mut impl Transmit,
    pacer: &mut Pacer,
    time: &Since<'_, C>,
    stop: &AtomicBool,
) -> Result<u64, TransmitError> {
    let frames = burst.frames();
    let mut scheduled = [0; crate::receivers::BATCH];
    for ((due, frame), &stamp) in scheduled.iter_mut().zip(frames).zip(burst.stamps()) {
        *due = pacer.schedule(frame.len(), stamp);
    }
    let scheduled = &scheduled[..frames.len()];
    let mut at = 0;
    while at < frames.len() && !stop.load(Ordering::Relaxed) {
        let next = pacer.next_at(&scheduled[at..]);
        let now = time.clock.now_ns() - time.start;
        if now < next {
            time.clock.wait_until(time.start + next);
            continue;
        }
        let count = pacer.admit(&scheduled[at..], now);
        let taken = sink.send(&frames[at..at + count])?;
        at += taken;
        if taken == 0 {
            thread::sleep(FULL_NAP);
        }
    }
    Ok(at as u64)
}
