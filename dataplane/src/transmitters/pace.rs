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
    /// Bytes of a frame on the wire that the sink is not given.
    overhead: u64,
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
        Ok(Self {
            pace,
            burst,
            most_lag,
            gather,
            overhead: WIRE_OVERHEAD,
            frames: 0,
            bits: 0,
            slip: 0,
        })
    }

    /// Counts `bytes` of headers for each frame, where the sink is given payload alone.
    #[must_use]
    pub const fn with_headers(mut self, bytes: u64) -> Self {
        self.overhead = WIRE_OVERHEAD + bytes;
        self
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
        self.bits += (bytes as u64 + self.overhead) * 8;
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

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use proptest::prelude::*;

    use super::*;
    use crate::transmitters::TransmitCounters;
    use crate::transmitters::frames::{CaptureFrames, FrameSize, GenerateSpec, GeneratedFrames};
    use crate::transmitters::pcap::{PcapSinkSpec, PcapWriter};

    /// A clock that tests move. A wait takes as long as asked and oversleeps at times.
    #[derive(Debug, Default)]
    struct Virtual {
        now: Cell<u64>,
        /// Oversleeping, used up from the end.
        late: RefCell<Vec<u64>>,
    }

    impl Clock for Virtual {
        fn now_ns(&self) -> u64 {
            self.now.get()
        }

        fn wait_until(&self, ns: u64) {
            let late = self.late.borrow_mut().pop().unwrap_or(0);
            self.now.set(self.now.get().max(ns) + late);
        }
    }

    /// Notes when each frame left, and takes only some at a time.
    struct Log<'a> {
        clock: &'a Virtual,
        left: Vec<(u64, usize)>,
        room: usize,
        flushed: bool,
    }

    impl Transmit for Log<'_> {
        fn send(&mut self, frames: &[&[u8]]) -> Result<usize, TransmitError> {
            let taken = frames.len().min(self.room);
            let now = self.clock.now_ns();
            self.left.extend(frames[..taken].iter().map(|frame| (now, frame.len())));
            self.flushed = false;
            Ok(taken)
        }

        fn flush(&mut self) -> Result<(), TransmitError> {
            self.flushed = true;
            Ok(())
        }

        fn counters(&mut self) -> TransmitCounters {
            TransmitCounters::default()
        }
    }

    fn generated(size: FrameSize, packets: u64) -> FrameSource {
        let spec = GenerateSpec { frames: 12, ..GenerateSpec::of_size(size) };
        FrameSource::Generated(GeneratedFrames::new(&spec, Some(packets)).expect("builds"))
    }

    /// Sends and returns when frames left, and by how much the schedule moved.
    fn run(
        mut source: FrameSource,
        pace: Pace,
        burst: usize,
        late: Vec<u64>,
    ) -> (Vec<(u64, usize)>, Pumped) {
        let clock = Virtual { now: Cell::new(77), late: RefCell::new(late) };
        let mut sink = Log { clock: &clock, left: Vec::new(), room: 17, flushed: false };
        let mut pacer = Pacer::new(pace, burst).expect("a pace");
        let stop = AtomicBool::new(false);
        let pumped = pump(&mut source, &mut sink, &mut pacer, &clock, &stop).expect("sends");
        assert!(sink.flushed);
        assert_eq!(pumped.frames, sink.left.len() as u64);
        let left = sink.left.iter().map(|&(at, len)| (at - 77, len)).collect();
        (left, pumped)
    }

    proptest! {
        #[test]
        fn packets_never_leave_early_and_bursts_stay_in_bounds(
            rate in 10f64..20e6,
            burst in 1usize..100,
            late in prop::collection::vec(prop_oneof![0u64..100_000, 0u64..100_000_000], 0..20),
        ) {
            let (left, pumped) =
                run(generated(FrameSize::Bytes(64), 1000), Pace::Pps(rate), burst, late);
            prop_assert_eq!(left.len(), 1000);
            for (n, &(at, _)) in left.iter().enumerate() {
                prop_assert!(at as f64 + 1.0 >= n as f64 * 1e9 / rate, "frame {n} at {at}");
            }
            // A stretch of time holds what the rate allows, one burst made up for, and the frame
            // that begins it; times are whole nanoseconds.
            for (i, &(from, _)) in left.iter().enumerate() {
                for (j, &(to, _)) in left.iter().enumerate().skip(i).step_by(7) {
                    let most = (to - from) as f64 * rate / 1e9 + burst as f64 + 1.0 + 3e-9 * rate;
                    prop_assert!((j - i + 1) as f64 <= most, "{i}..={j} in {} ns", to - from);
                }
            }
            let ideal = 999.0 * 1e9 / rate;
            let slack = pumped.slipped_ns as f64 + burst as f64 * 1e9 / rate + 2.0;
            prop_assert!(left[999].0 as f64 <= ideal + slack + 100_000_000.0);
        }

        #[test]
        fn a_clock_that_keeps_time_gives_the_rate(rate in 10f64..20e6, burst in 1usize..100) {
            let (left, pumped) =
                run(generated(FrameSize::Bytes(64), 1000), Pace::Pps(rate), burst, vec![]);
            prop_assert_eq!(pumped.slipped_ns, 0);
            let off = left[999].0 as f64 - 999.0 * 1e9 / rate;
            prop_assert!((-1.0..=GATHER_NS as f64).contains(&off), "{off}");
        }
    }

    #[test]
    fn bits_are_counted_as_on_the_wire() {
        // IMIX: 12 frames are 4,246 bytes with check sequence, 20 bytes a frame around them.
        let (left, _) =
            run(generated("imix".parse().expect("a mix"), 1201), Pace::Gbps(10.0), 1, vec![]);
        let ideal = 100.0 * (4246.0 + 12.0 * 20.0) * 8.0 / 10.0;
        let off = left[1200].0 as f64 - ideal;
        assert!((0.0..2000.0).contains(&off), "{off}");
    }

    #[test]
    fn top_speed_waits_for_nothing() {
        let (left, pumped) = run(generated(FrameSize::Bytes(64), 500), Pace::TopSpeed, 64, vec![]);
        assert_eq!(left.last(), Some(&(0, 60)));
        assert_eq!((pumped.frames, pumped.slipped_ns), (500, 0));
    }

    /// A capture with these times, in milliseconds.
    fn capture(times: &[u64]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.pcap");
        let spec = PcapSinkSpec { path: path.clone() };
        let mut writer =
            PcapWriter::create(&spec, crate::receivers::Framing::Ethernet).expect("ok");
        for (n, &ms) in times.iter().enumerate() {
            let stamp = 1_700_000_000_000_000_000 + ms * 1_000_000;
            writer.write(&vec![n as u8; 60 + n], 60, stamp).expect("writes");
        }
        writer.flush().expect("saves");
        (folder, path)
    }

    #[test]
    fn a_capture_keeps_its_times_over_all_rounds() {
        let (_folder, path) = capture(&[0, 5, 5, 1000, 900, 4000]);
        for (speed, ms) in [(1.0, 1_000_000), (2.0, 500_000), (1000.0, 1000)] {
            let source = FrameSource::Capture(CaptureFrames::open(&path, 2).expect("opens"));
            let (left, pumped) = run(source, Pace::Original(speed), 64, vec![]);
            // The second round follows after the mean gap: 4000 / 5.
            let want: Vec<_> = [0, 5, 5, 1000, 1000, 4000, 4800, 4805, 4805, 5800, 5800, 8800]
                .map(|at| at * ms)
                .into();
            for ((n, want), &(at, len)) in want.iter().enumerate().zip(&left) {
                assert!((*want..=want + GATHER_NS).contains(&at), "frame {n} at {at}, not {want}");
                assert_eq!(len, 60 + n % 6);
            }
            assert_eq!((left.len(), pumped.slipped_ns), (12, 0));
        }
    }

    #[test]
    fn a_broken_capture_is_sent_up_to_the_break() {
        let (_folder, path) = capture(&[0, 1, 2]);
        let file = std::fs::OpenOptions::new().write(true).open(&path).expect("opens");
        file.set_len(file.metadata().expect("is there").len() - 1).expect("cuts");
        let mut source = FrameSource::Capture(CaptureFrames::open(&path, 5).expect("opens"));
        let clock = Virtual::default();
        let mut sink = Log { clock: &clock, left: Vec::new(), room: 64, flushed: false };
        let mut pacer = Pacer::new(Pace::TopSpeed, 64).expect("a pace");
        let error = pump(&mut source, &mut sink, &mut pacer, &clock, &AtomicBool::new(false))
            .expect_err("broken");
        assert!(error.to_string().contains("truncated"), "{error}");
        assert!(sink.flushed && sink.left.len() == 2);
    }

    #[test]
    fn stop_ends_an_endless_source() {
        let spec = GenerateSpec::default();
        let mut source = FrameSource::Generated(GeneratedFrames::new(&spec, None).expect("builds"));
        let clock = Virtual::default();
        let mut sink = Log { clock: &clock, left: Vec::new(), room: 64, flushed: false };
        let mut pacer = Pacer::new(Pace::TopSpeed, 64).expect("a pace");
        let stop = AtomicBool::new(true);
        let pumped = pump(&mut source, &mut sink, &mut pacer, &clock, &stop).expect("stops");
        assert_eq!((pumped.frames, sink.flushed), (0, true));
    }

    #[test]
    fn rates_that_are_no_rates_are_refused() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Pacer::new(Pace::Pps(bad), 1).is_err());
            assert!(Pacer::new(Pace::Gbps(bad), 1).is_err());
            assert!(Pacer::new(Pace::Original(bad), 1).is_err());
        }
        let pace: Pace = serde_json::from_str(r#"{"pps":5.5}"#).expect("a pace");
        assert_eq!(pace, Pace::Pps(5.5));
    }

    #[test]
    fn the_host_clock_is_never_early() {
        let clock = HostClock::default();
        for gap in [1_000, 50_000, 300_000, 2_000_000] {
            let until = clock.now_ns() + gap;
            while clock.now_ns() < until {
                clock.wait_until(until);
            }
        }
        clock.wait_until(0);
    }
}
