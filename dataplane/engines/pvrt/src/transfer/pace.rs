//! How fast frames are sent: no faster than they arrive, and slower where queues grow.
//!
//! A model of the path, as in BBR (Cardwell and others 2016): the highest rate at which frames
//! arrived of late, and the least time from sending to hearing of it. Frames are sent at that rate;
//! at times a little faster, to find out whether more goes through. Standing queues are drained as
//! LEDBAT does (RFC 6817): when the one-way delay is above its base by more than [`QUEUE`], the rate
//! goes down, so that others on the link get their share. Loss alone says little (a radio link loses
//! without being full), loss of more than [`LOSS`] says that it is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Queueing delay that is allowed to stand.
const QUEUE: Duration = Duration::from_millis(20);
/// Share of frames lost above which the link counts as full.
const LOSS: f64 = 0.08;
/// Bytes to begin with in the time of a word and its answer, and the rates between which that is.
const FIRST_BYTES: f64 = 256e3;
const FIRST_LEAST: f64 = 1e6;
const FIRST_MOST: f64 = 100e6;
/// Bytes a second, never less.
const LEAST: f64 = 64e3;
/// How long a measured rate is believed, and a base delay.
const RATE_AGE: Duration = Duration::from_secs(2);
const BASE_AGE: Duration = Duration::from_secs(10);
/// Rates are measured over at least this much of the receiver's time.
const SPAN_US: u64 = 5_000;
/// Growth at the start per measurement, and while it lasts how much a rate must have grown.
const STARTUP: f64 = 2.0;
const STILL_GROWING: f64 = 1.15;
/// Measurements without growth until the start is over.
const FULL_AFTER: u32 = 3;
/// What the rate is multiplied by, one measurement each.
const CYCLE: [f64; 8] = [1.25, 0.9, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
/// Bytes that may be sent at once.
const BURST: f64 = 128.0 * 1024.0;

/// What the receiver's word about arrived frames comes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    /// When it was heard.
    pub(crate) heard: Instant,
    /// When the highest frame that it names was sent.
    pub(crate) sent: Instant,
    /// When that frame arrived, in µs of the receiver's clock.
    pub(crate) arrived_us: u64,
    /// How long the receiver waited before it said so, in µs.
    pub(crate) held_us: u64,
    /// When the report was made, in µs of the receiver's clock.
    pub(crate) now_us: u64,
    /// Bytes of all frames that arrived so far.
    pub(crate) bytes: u64,
    /// Frames that it says arrived, and frames that are lost by it.
    pub(crate) arrived: u64,
    /// Frames now known to be lost.
    pub(crate) lost: u64,
    /// Whether there was less to send than the rate allowed.
    pub(crate) idle: bool,
}

/// Decides when the next bytes go out.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// Bytes a second that were asked for; none: as the path allows.
    fixed: Option<f64>,
    /// Highest first: when it was measured, and bytes a second.
    rates: VecDeque<(Instant, f64)>,
    starting: Option<(f64, u32)>,
    phase: usize,
    /// Below 1 while a queue stands or the link is full.
    brake: f64,
    /// Bytes a second to begin with.
    first: f64,
    rtt: Duration,
    /// The least of these, of late: without queues.
    least: (Instant, Duration),
    base: Option<(Instant, i64)>,
    began: Instant,
    mark: Option<(u64, u64)>,
    losses: (f64, f64),
    queue: Duration,
    /// Bytes that may go out now, and when they were counted.
    tokens: f64,
    counted: Instant,
}

impl Pacer {
    /// At `fixed` bytes a second, or as the path allows, on which a word and its answer took `rtt`.
    pub(crate) fn new(fixed: Option<f64>, rtt: Duration, now: Instant) -> Self {
        Self {
            fixed,
            rates: VecDeque::new(),
            starting: Some((0.0, 0)),
            phase: 0,
            brake: 1.0,
            first: (FIRST_BYTES / rtt.as_secs_f64().max(1e-4)).clamp(FIRST_LEAST, FIRST_MOST),
            rtt,
            least: (now, rtt),
            base: None,
            began: now,
            mark: None,
            losses: (0.0, 0.0),
            queue: Duration::ZERO,
            tokens: BURST,
            counted: now,
        }
    }

    /// The highest rate at which frames arrived of late, in bytes a second.
    fn path(&self) -> f64 {
        self.rates.front().map_or(self.first, |(_, rate)| *rate)
    }

    /// Bytes a second.
    pub(crate) fn rate(&self) -> f64 {
        if let Some(fixed) = self.fixed {
            return fixed;
        }
        let gain = if self.starting.is_some() { STARTUP } else { CYCLE[self.phase % CYCLE.len()] };
        (self.path() * gain * self.brake).max(LEAST)
    }

    /// Smoothed time from sending to hearing of it.
    pub(crate) const fn rtt(&self) -> Duration {
        self.rtt
    }

    /// Bytes that may be on their way: twice what the path holds without queues, and what arrives
    /// between two reports; more would only stand in a queue, and that for less than [`QUEUE`].
    pub(crate) fn window(&self) -> f64 {
        let path = self.fixed.unwrap_or_else(|| self.path());
        let held = self.least.1.as_secs_f64() * 2.0 + 0.018;
        (path * held).max(4.0 * BURST)
    }

    /// Bytes that may go out now.
    pub(crate) fn allowance(&mut self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.counted).as_secs_f64();
        self.counted = now;
        let rate = self.rate();
        // What a sleeping thread did not send in time it may send late: two milliseconds of it.
        let most = BURST.max(rate * 0.002);
        self.tokens = (self.tokens + passed * rate).min(most);
        self.tokens
    }

    /// Notes that `bytes` went out.
    pub(crate) fn spent(&mut self, bytes: usize) {
        self.tokens -= bytes as f64;
    }

    /// How long until something may go out.
    pub(crate) fn pause(&self) -> Duration {
        if self.tokens > 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64((-self.tokens / self.rate()).clamp(0.0, 1.0))
        }
    }

    /// Learns from the receiver's word.
    pub(crate) fn learn(&mut self, report: &Report) {
        let way = report.heard.saturating_duration_since(report.sent);
        let way = way.saturating_sub(Duration::from_micros(report.held_us));
        self.rtt = self.rtt.mul_f64(0.875) + way.mul_f64(0.125);
        let old = report.heard.saturating_duration_since(self.least.0) > BASE_AGE;
        if way < self.least.1 || old {
            self.least = (report.heard, way);
        }
        self.delay(report);
        self.losses.0 = self.losses.0 * 0.9 + report.lost as f64;
        self.losses.1 = self.losses.1 * 0.9 + (report.arrived + report.lost) as f64;
        let (bytes, time) = *self.mark.get_or_insert((report.bytes, report.now_us));
        let span = report.now_us.saturating_sub(time);
        if span < SPAN_US {
            return;
        }
        self.mark = Some((report.bytes, report.now_us));
        let rate = report.bytes.saturating_sub(bytes) as f64 / span as f64 * 1e6;
        self.measured(rate, report);
    }

    /// The one-way delay against its base; the clocks' difference is in both.
    fn delay(&mut self, report: &Report) {
        let sent = report.sent.saturating_duration_since(self.began).as_micros() as i64;
        let way = report.arrived_us as i64 - sent;
        let fresh =
            self.base.is_some_and(|(at, _)| report.heard.saturating_duration_since(at) < BASE_AGE);
        match self.base {
            Some((_, base)) if fresh && way >= base => {}
            // An old base goes up slowly, should the path have become longer.
            Some((_, base)) if way > base => {
                self.base = Some((report.heard, base + (way - base) / 4));
            }
            _ => self.base = Some((report.heard, way)),
        }
        let base = self.base.map_or(way, |(_, base)| base);
        self.queue = Duration::from_micros((way - base).max(0) as u64);
    }

    fn measured(&mut self, rate: f64, report: &Report) {
        let best = self.path();
        let known = !self.rates.is_empty();
        // What was sent slowly says nothing about what could arrive, unless it arrived faster.
        if !report.idle || rate > best || !known {
            self.rates.retain(|(_, other)| *other > rate);
            self.rates.push_back((report.heard, rate));
        }
        while self.rates.len() > 1
            && self
                .rates
                .front()
                .is_some_and(|(at, _)| report.heard.saturating_duration_since(*at) > RATE_AGE)
        {
            self.rates.pop_front();
        }
        let full = self.losses.1 > 50.0 && self.losses.0 / self.losses.1 > LOSS;
        let queued = self.queue > QUEUE;
        if let Some((before, times)) = self.starting
            && !report.idle
        {
            let grew = rate > before * STILL_GROWING;
            let times = if grew { 0 } else { times + 1 };
            let over = times >= FULL_AFTER || full || queued;
            self.starting = (!over).then_some((if grew { rate } else { before }, times));
        }
        self.phase += 1;
        self.brake = if full || queued {
            (self.brake * 0.85).max(0.3)
        } else {
            (self.brake * 1.05).min(1.0)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link of `capacity` bytes a second with a queue, and so much loss besides; gives the rate
    /// at which bytes arrived in the last two of four seconds, and the longest queueing delay there.
    fn link(capacity: f64, loss: f64, delay_ms: u64, fixed: Option<f64>) -> (f64, Duration) {
        let start = Instant::now();
        let mut pacer = Pacer::new(fixed, Duration::from_millis(2 * delay_ms), start);
        let (mut queue, mut arrived, mut counted, mut worst) = (0.0_f64, 0.0_f64, 0.0_f64, 0.0_f64);
        let (mut reports, step) = (VecDeque::new(), 0.001);
        let (mut frames, mut lost) = (0.0_f64, 0.0_f64);
        for tick in 0..4_000_u64 {
            let now = start + Duration::from_millis(tick);
            let out = pacer.allowance(now).clamp(0.0, pacer.window());
            pacer.spent(out as usize);
            let kept = out * (1.0 - loss);
            (frames, lost) = (frames + kept / 1400.0, lost + out * loss / 1400.0);
            queue += kept;
            // A buffer of 100 ms; what does not fit is lost.
            let over = (queue - capacity * 0.1).max(0.0);
            queue -= over;
            lost += over / 1400.0;
            let passed = queue.min(capacity * step);
            queue -= passed;
            arrived += passed;
            let waiting = queue / capacity;
            if tick > 2_000 {
                counted += passed;
                worst = worst.max(waiting);
            }
            if tick % 10 == 0 {
                // What arrives now was sent before it waited.
                let (at, sent) = (
                    (tick + delay_ms) * 1000,
                    now.checked_sub(Duration::from_secs_f64(waiting)).unwrap_or(start),
                );
                reports.push_back((
                    tick + 2 * delay_ms,
                    sent,
                    at,
                    arrived as u64,
                    frames as u64,
                    lost as u64,
                ));
                (frames, lost) = (0.0, 0.0);
            }
            while reports.front().is_some_and(|report| report.0 <= tick) {
                let Some((_, sent, at, bytes, got, gone)) = reports.pop_front() else { break };
                pacer.learn(&Report {
                    heard: now,
                    sent,
                    arrived_us: at,
                    held_us: 0,
                    now_us: at,
                    bytes,
                    arrived: got,
                    lost: gone,
                    idle: false,
                });
            }
        }
        (counted / 2.0, Duration::from_secs_f64(worst))
    }

    #[test]
    fn the_link_is_filled_and_its_queue_kept_short() {
        for (capacity, delay) in [(12.5e6, 5), (125e6, 1), (1.25e9, 1), (125e6, 40)] {
            let (rate, queue) = link(capacity, 0.0, delay, None);
            assert!(rate > capacity * 0.7, "{rate} of {capacity}");
            assert!(queue < Duration::from_millis(60), "{queue:?} at {capacity}");
        }
    }

    #[test]
    fn loss_alone_does_not_slow_it() {
        let (rate, _) = link(125e6, 0.03, 5, None);
        assert!(rate > 125e6 * 0.6, "{rate}");
    }

    #[test]
    fn a_rate_that_was_asked_for_is_kept() {
        let (rate, queue) = link(125e6, 0.0, 5, Some(20e6));
        assert!((19e6..21e6).contains(&rate), "{rate}");
        assert!(queue < Duration::from_millis(10), "{queue:?}");
    }
}
