//! The thread that takes frames: puts windows together, keeps the journals, and tells the sender
//! what came.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::verify::Check;
use crate::transfer::error::TransferError;
use crate::transfer::frames::FrameSource;
use crate::transfer::gauge::Gauge;
use crate::transfer::link::Link;
use crate::transfer::message::{Arrived, Message};
use crate::transfer::tree::Part;
use crate::wire::{Header, Lane, Transfer, wanted};

/// How often the sender is told while frames come, and how soon when they pause.
const TELL: Duration = Duration::from_millis(10);
const PAUSED: Duration = Duration::from_millis(1);
/// Told at once when so many bytes have come: what waits unread, and what the sender keeps, stays small
/// enough for caches.
const TOLD_BYTES: usize = 2 << 20;
/// Runs of sequences that are told at once.
const RUNS: usize = 16 << 10;
/// After this long without a new frame an object is looked at for what is missing.
const STUCK: Duration = Duration::from_millis(400);
/// Stretches asked for at once.
const ASKED: usize = 256;

/// An object whose windows arrive.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) transfer: Arc<Transfer>,
    /// The journal; none for what is kept in memory.
    pub(super) part: Option<Part>,
    windows: u64,
    frames: u64,
    since: Instant,
}

/// The objects whose windows arrive, shared with the thread that adds and removes them.
pub(super) type Watch = Arc<Mutex<Vec<Watched>>>;

impl Watched {
    pub(super) fn new(transfer: Arc<Transfer>, part: Option<Part>) -> Self {
        let windows = transfer.progress().windows;
        Self { transfer, part, windows, frames: 0, since: Instant::now() }
    }
}

/// Takes an object off the watch, and with it its journal.
pub(super) fn unwatch(watch: &Watch, id: u32) -> Option<Watched> {
    let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
    let at = watch.iter().position(|watched| watched.transfer.spec().id == id)?;
    Some(watch.swap_remove(at))
}

pub(super) struct Data {
    pub(super) source: Box<dyn FrameSource>,
    pub(super) lane: Lane,
    pub(super) link: Link,
    pub(super) watch: Watch,
    pub(super) check: SyncSender<Check>,
    pub(super) gauge: Arc<Gauge>,
    pub(super) stop: Arc<AtomicBool>,
}

/// What came since the sender was told.
struct News {
    began: Instant,
    arrived: Arrived,
    /// Frames that were no good when it was last looked at.
    bad: u64,
    /// Numbers of the objects under way: words about others mean nothing.
    known: Vec<u32>,
}

impl News {
    fn micros(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_micros() as u64
    }

    /// Notes a frame, which is the sender's `sequence`.
    fn note(runs: &mut Vec<Range<u64>>, sequence: u64) {
        match runs.last_mut() {
            Some(run) if run.end == sequence => run.end += 1,
            _ => runs.push(sequence..sequence.saturating_add(1)),
        }
    }
}

impl Data {
    /// Works until it is told to stop, or something fails.
    pub(super) fn run(mut self) -> Result<(), TransferError> {
        let began = Instant::now();
        let mut news = News { began, arrived: Arrived::default(), bad: 0, known: Vec::new() };
        let (mut told, mut looked) = (began, began);
        let (mut runs, mut untold) = (Vec::new(), 0);
        while !self.stop.load(Ordering::Relaxed) {
            let waiting = !news.arrived.runs.is_empty();
            let came = self.take(if waiting { PAUSED } else { TELL }, &mut news, &mut runs)?;
            untold += came;
            let now = Instant::now();
            let since = now.saturating_duration_since(told);
            let due = since >= TELL
                || untold >= TOLD_BYTES
                || (came == 0 && since >= PAUSED)
                || news.arrived.runs.len() >= RUNS;
            if !news.arrived.runs.is_empty() && due {
                self.tell(&mut news, now)?;
                (told, untold) = (now, 0);
            }
            if now.saturating_duration_since(looked) >= STUCK / 4 {
                self.lane.tick(nanos(began, now));
                self.ask(now)?;
                looked = now;
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        wait: Duration,
        news: &mut News,
        runs: &mut Vec<Range<u64>>,
    ) -> Result<usize, TransferError> {
        let (lane, watch, began) = (&mut self.lane, &self.watch, news.began);
        let known = &mut news.known;
        let arrived = &mut news.arrived;
        let mut last = None;
        let bytes = self.source.receive(wait, &mut |bytes, step| {
            runs.clear();
            let frames = || bytes.chunks(step.max(1));
            for header in frames().filter_map(|frame| Header::parse(frame).ok()) {
                if knows(known, watch, header.transfer) {
                    News::note(runs, header.sequence);
                }
            }
            lane.batch(frames(), nanos(began, *last.get_or_insert_with(Instant::now)));
            arrived.bytes += bytes.len() as u64;
            let counters = lane.counters();
            // What others send must not pass for the sender's: what came with it is not told, and so
            // comes again.
            let bad = counters.forged + counters.bad_crc + counters.protection;
            if std::mem::replace(&mut news.bad, bad) != bad {
                return;
            }
            for run in runs.drain(..) {
                let highest = run.end.saturating_sub(1);
                if highest >= arrived.highest {
                    arrived.highest = highest;
                    arrived.at = began.elapsed().as_micros() as u64;
                }
                match arrived.runs.last_mut() {
                    Some(before) if before.end == run.start => before.end = run.end,
                    _ => arrived.runs.push(run),
                }
            }
        })?;
        Gauge::add(&self.gauge.wire, bytes as u64);
        Ok(bytes)
    }

    /// Journals what is whole, then tells the sender what came: what it hears of is in the journal.
    fn tell(&mut self, news: &mut News, now: Instant) -> Result<(), TransferError> {
        {
            let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
            for watched in watch.iter_mut() {
                let windows = watched.transfer.progress().windows;
                if windows == watched.windows {
                    continue;
                }
                (watched.windows, watched.since) = (windows, now);
                if let Some(part) = &mut watched.part {
                    watched.transfer.done().iter().for_each(|run| part.set_done(run));
                }
            }
        }
        news.arrived.now = news.micros(now).max(news.arrived.at);
        self.link.say(&Message::Arrived(news.arrived.clone()))?;
        news.arrived.runs.clear();
        // Without a checker the session is over.
        let _ = self.check.send(Check::Look);
        Ok(())
    }

    /// Asks for what an object misses that gets no further: its windows came out wrong.
    fn ask(&mut self, now: Instant) -> Result<(), TransferError> {
        let mut asked = Vec::new();
        {
            let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
            for watched in watch.iter_mut() {
                let frames = watched.transfer.progress().frames;
                if std::mem::replace(&mut watched.frames, frames) != frames {
                    watched.since = now;
                }
                // One of which nothing has come waits for its turn at the sender.
                let stuck = now.saturating_duration_since(watched.since) >= STUCK && frames > 0;
                if !stuck || watched.transfer.is_complete() {
                    continue;
                }
                watched.since = now;
                asked.push(Arc::clone(&watched.transfer));
            }
        }
        for transfer in asked {
            let (id, mut list) = (transfer.spec().id, Vec::new());
            self.lane.wanted(id, (STUCK / 2).as_nanos() as u64, ASKED, &mut list);
            transfer.wanted(0..transfer.windows(), ASKED, &mut list);
            if !list.is_empty() {
                let mut bytes = Vec::new();
                wanted::write(&list, &mut bytes);
                self.link.say(&Message::Wanted { object: id, list: bytes })?;
            }
        }
        Ok(())
    }
}

/// Whether object `id` is under way; `known` is what was last.
fn knows(known: &mut Vec<u32>, watch: &Watch, id: u32) -> bool {
    if known.contains(&id) {
        return true;
    }
    let watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
    known.clear();
    known.extend(watch.iter().map(|watched| watched.transfer.spec().id));
    known.contains(&id)
}

fn nanos(began: Instant, now: Instant) -> u64 {
    now.saturating_duration_since(began).as_nanos() as u64
}
