//! A receiver's thread: poll, classify, steer, take frames back; then housekeeping.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pfs_rings::{Desc, RegionView, WaitStrategy};

use super::cycles::Stopwatch;
use super::executor::Work;
use super::outlet::Outlet;
use crate::counters::{ReceiverCells, ReceiverCounters, SourceCells, SourceCounters};
use crate::packet::{Alike, Classifier, ClassifyCounters, Malformed, RuleSet, Verdict};
use crate::receivers::{BATCH, Batch, Receive, ReceiveError, Receiver};

/// How often counters are published and the source's own are read.
const HOUSEKEEPING: Duration = Duration::from_millis(20);
/// Longest sleep of an idle receiver: frames that come back meanwhile wait this long.
const NAP: Duration = Duration::from_millis(5);
/// Empty polls before an adaptive receiver sleeps.
const SPINS: u32 = 64;
/// How long a frame on loan is waited for, after the last that came, once the source has ended.
const DRAIN: Duration = Duration::from_secs(5);

/// Everything that one receiver thread owns.
#[derive(Debug)]
pub(super) struct ReceiverLoop {
    source: Receiver,
    view: RegionView,
    region: u16,
    classifier: Classifier,
    outlet: Outlet,
    sampled: u32,
    wait: WaitStrategy,
    stop: Arc<AtomicBool>,
    cells: Arc<ReceiverCells>,
    source_cells: Arc<SourceCells>,
    counters: ReceiverCounters,
    back: Vec<u32>,
    watch: Stopwatch,
}

/// What is left when a receiver's thread has ended.
#[derive(Debug)]
pub(super) struct ReceiverEnd {
    pub(super) source: SourceCounters,
    pub(super) counters: ReceiverCounters,
    pub(super) work: Option<Work>,
    /// Malformed packets by kind.
    pub(super) malformed: BTreeMap<String, u64>,
    /// The driver's own totals.
    pub(super) driver: BTreeMap<String, u64>,
    /// Descriptors whose frames never came back.
    pub(super) in_flight: u64,
    pub(super) error: Option<ReceiveError>,
    /// To be closed by whoever joins the thread: a driver that takes its XDP program off again needs
    /// the capabilities that the thread has given up.
    pub(super) _opened: Receiver,
}

/// The parts of a [`ReceiverLoop`] that the run shares or chooses.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) region: u16,
    pub(super) rules: RuleSet,
    pub(super) sampled: u32,
    pub(super) wait: WaitStrategy,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) cells: Arc<ReceiverCells>,
    pub(super) source_cells: Arc<SourceCells>,
    pub(super) stage_cycles: bool,
}

impl ReceiverLoop {
    pub(super) fn new(source: Receiver, outlet: Outlet, settings: Settings) -> Self {
        // Never more than this, so that no batch allocates.
        let back = Vec::with_capacity(BATCH + outlet.most_returned());
        Self {
            view: source.region(),
            classifier: Classifier::new(source.framing(), settings.rules),
            source,
            outlet,
            region: settings.region,
            sampled: settings.sampled,
            wait: settings.wait,
            stop: settings.stop,
            cells: settings.cells,
            source_cells: settings.source_cells,
            counters: ReceiverCounters::default(),
            back,
            watch: Stopwatch::new(settings.stage_cycles),
        }
    }

    /// Runs until the source has ended, or was told to stop and is drained. A source that breaks
    /// is stopped too: what had arrived before is still delivered.
    pub(super) fn run(mut self) -> ReceiverEnd {
        let mut batch = Batch::default();
        let mut detached = false;
        let mut broken = None;
        let mut due = Instant::now();
        let mut idle = 0;
        loop {
            if !detached && (broken.is_some() || self.stop.load(Relaxed)) {
                self.source.detach();
                detached = true;
            }
            match self.step(&mut batch) {
                Ok(0) if self.source.finished() => break,
                Ok(0) => idle += 1,
                Ok(_) => idle = 0,
                Err(_) if broken.is_some() => break,
                Err(error) => broken = Some(error),
            }
            // A clock read per batch would show; one per full round of idleness does not.
            if idle > 0 || self.counters.polls.is_multiple_of(64) {
                let now = Instant::now();
                if now >= due {
                    self.publish();
                    due = now + HOUSEKEEPING;
                }
            }
            if idle > SPINS && self.wait != WaitStrategy::Spin {
                self.counters.waits += 1;
                match self.source.wait(NAP) {
                    Ok(()) => {}
                    Err(_) if broken.is_some() => break,
                    Err(error) => broken = Some(error),
                }
            }
        }
        self.close(broken)
    }

    /// One batch through the stages; returns how many descriptors were polled.
    fn step(&mut self, batch: &mut Batch) -> Result<usize, ReceiveError> {
        self.watch.begin();
        batch.clear();
        let polled = self.source.poll(batch);
        let found = batch.len();
        if found == 0 {
            self.counters.empty_polls += 1;
            self.take_back(&[], true);
            return polled;
        }
        // What was polled before an error is delivered all the same.
        self.counters.polls += 1;
        self.counters.lent += found as u64;
        self.counters.poll_cycles += self.watch.lap();
        let common = batch.common();
        self.counters.packets += common.packets;
        self.counters.bytes += common.bytes;
        let delivered = self.deliver(batch);
        let done = if self.outlet.is_inline() { delivered } else { 0 };
        self.take_back(&batch.descs()[..done], false);
        self.counters.recycle_cycles += self.watch.lap();
        self.watch.end();
        polled.map(|_| found)
    }

    /// Classifies each packet and hands it on, or counts why not. What was handed on is at the
    /// batch's begin then; returns how many descriptors.
    fn deliver(&mut self, batch: &mut Batch) -> usize {
        let Totals { frames, delivered, truncated } = Totals::of(&self.classifier);
        // SAFETY: every descriptor was just polled: its frame is on loan to this thread, which
        // has not passed it on; the source's spans do not overlap and lie in its region.
        unsafe { self.classifier.classify(batch, &self.view) };
        self.counters.classify_cycles += self.watch.lap();
        let now = Totals::of(&self.classifier);
        batch.set_region(self.region);
        if self.sampled == u32::MAX && now.delivered - delivered == now.frames - frames {
            // All of them, as it is most of the time.
            self.counters.truncated += now.truncated - truncated;
            self.hand_on(batch.descs(), self.classifier.alike());
            return batch.len();
        }
        let descs = batch.descs_mut();
        let verdicts = self.classifier.verdicts(descs.len());
        // What is delivered moves up to the front, which is where it already is most of the time.
        let mut kept = 0;
        for (at, verdict) in verdicts.iter().enumerate().take(descs.len()) {
            let desc = &mut descs[at];
            let packet = u64::from(desc.is_eom());
            match verdict {
                Verdict::Deliver if in_sample(desc.flow, self.sampled) => {
                    self.counters.truncated += packet & u64::from(desc.flags & Desc::ERR != 0);
                    if kept != at {
                        descs[kept] = descs[at];
                    }
                    kept += 1;
                    continue;
                }
                Verdict::Malformed(_) => self.counters.dropped_malformed += packet,
                Verdict::Deliver | Verdict::Filtered => self.counters.filtered += packet,
            }
            self.back.push(desc.frame);
        }
        self.hand_on(&batch.descs()[..kept], None);
        kept
    }

    #[inline]
    fn hand_on(&mut self, descs: &[Desc], alike: Option<Alike>) {
        let lossless = self.source.lossless();
        let Self { outlet, back, watch, .. } = self;
        let steered = outlet.deliver(descs, alike, back, lossless, watch);
        self.counters.steer_cycles += steered.steer_cycles + self.watch.lap();
        self.counters.delivered += steered.delivered;
        self.counters.delivered_bytes += steered.delivered_bytes;
        self.counters.dropped_ring_full += steered.ring_full;
    }

    /// Gives the source back what was not delivered, what is `done` of the last poll and what
    /// workers have returned; returns how many frames. Unless `eager`, workers' frames are left to
    /// gather for some batches.
    fn take_back(&mut self, done: &[Desc], eager: bool) -> usize {
        let Self { source, outlet, counters, back, .. } = self;
        let mut given = done.len();
        let mut give = |source: &mut Receiver, tokens: &[u32]| {
            if !tokens.is_empty() {
                given += tokens.len();
                source.recycle(tokens);
            }
        };
        give(source, back);
        back.clear();
        if !done.is_empty() {
            source.recycle_all(done);
        }
        outlet.returned(eager, |tokens| give(source, tokens));
        counters.returned += given as u64;
        given
    }

    fn publish(&mut self) {
        self.cells.publish(&self.counters);
        self.source_cells.publish(&self.source.counters());
        self.outlet.publish();
    }

    fn malformed(&self) -> BTreeMap<String, u64> {
        let counted = self.classifier.counters().malformed;
        Malformed::ALL
            .iter()
            .zip(counted)
            .filter(|(_, packets)| *packets > 0)
            .map(|(kind, packets)| (kind.name().to_owned(), packets))
            .collect()
    }

    /// Takes all frames back that workers hold. A worker that has gone, or gives nothing back for
    /// long, leaves some in flight.
    fn drain(&mut self) {
        let mut since = Instant::now();
        loop {
            // Looked at before the lanes: what was returned before a worker left is then seen.
            let deserted = self.outlet.is_deserted();
            while self.take_back(&[], true) > 0 {
                since = Instant::now();
            }
            if self.outlet.in_flight() == 0 || deserted || since.elapsed() > DRAIN {
                break;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Waits for the frames that workers still hold, then counts for the last time.
    fn close(mut self, error: Option<ReceiveError>) -> ReceiverEnd {
        self.source.detach();
        self.outlet.hang_up();
        self.drain();
        self.publish();
        ReceiverEnd {
            source: self.source.counters(),
            counters: self.counters,
            malformed: self.malformed(),
            driver: self.source.driver_totals(),
            in_flight: self.outlet.in_flight(),
            work: self.outlet.into_work(),
            error,
            _opened: self.source,
        }
    }
}

/// What a classifier has counted of frames.
struct Totals {
    frames: u64,
    delivered: u64,
    truncated: u64,
}

impl Totals {
    #[inline]
    fn of(classifier: &Classifier) -> Self {
        let counters = classifier.counters();
        let &ClassifyCounters { frames, delivered, truncated, .. } = counters;
        Self { frames, delivered, truncated }
    }
}

/// Whether a flow is in the share that is delivered: `sampled` is that share of `u32::MAX`.
///
/// The hash's bits are mixed once more, because its high bits choose the lane.
#[inline]
const fn in_sample(flow: u32, sampled: u32) -> bool {
    sampled == u32::MAX || flow.wrapping_mul(0x9E37_79B1).rotate_left(15) <= sampled
}
