//! The thread that sends: what goes out next, how fast, and what has to go out again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::flight::{Flight, Fragment};
use super::objects::Objects;
use super::planner::{Level, Planned, Task};
use super::{Compress, Wire};
use crate::transfer::error::TransferError;
use crate::transfer::frames::FrameSink;
use crate::transfer::gauge::Gauge;
use crate::transfer::link::Link;
use crate::transfer::message::{Arrived, Content, Message};
use crate::transfer::pace::{Pacer, Report};
use crate::wire::{Check, Framer, Key, Payload};

/// Frames that are made and sent together.
const BURST: usize = 176;
/// The longest pause before events are looked at again.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes on their way on a short path: the receiver says what came for every quarter of it. More would
/// only fall out of caches.
const SHORT: f64 = (8 << 20) as f64;
/// Frames that go out again when nothing was heard for long.
const PROBES: usize = 16;
/// After so much sending without any word that a frame came, none comes through.
const DEAF: Duration = Duration::from_secs(15);
/// Bursts with enough to send before packing is tried, or tried harder.
const FLUENT: u32 = 64;

/// Something that the engine waits for.
#[derive(Debug)]
pub(super) enum Event {
    /// From the receiver.
    Heard(Result<Message, TransferError>),
    /// The planner has something.
    Planned,
    /// The sync has something to say; none when it is over.
    Sync(Result<Option<Vec<u8>>, TransferError>),
}

/// What the engine is made of.
pub(super) struct Parts {
    pub(super) link: Link,
    pub(super) sink: Box<dyn FrameSink>,
    pub(super) key: Option<Arc<Key>>,
    pub(super) window: u32,
    pub(super) frame: usize,
    pub(super) room: u64,
    pub(super) port: u16,
    pub(super) rate: Option<u64>,
    /// How long a word and its answer took.
    pub(super) rtt: Duration,
    pub(super) compress: Compress,
    pub(super) events: Receiver<Event>,
    pub(super) tasks: Sender<Task>,
    pub(super) planned: Receiver<Planned>,
    pub(super) used: Sender<Vec<u8>>,
    pub(super) level: Arc<Level>,
    pub(super) gauge: Arc<Gauge>,
}

pub(super) struct Engine {
    parts: Parts,
    flight: Flight,
    pacer: Pacer,
    objects: Objects,
    /// Of each object; and whether it is the sync's.
    framers: HashMap<u32, (Framer, bool)>,
    /// The window that goes out now: its place, the next fragment, how many it has.
    current: Option<(u32, u32, u32)>,
    sequence: u64,
    frames: Vec<u8>,
    ends: Vec<usize>,
    /// Whether there was less to send than could have been, since the last report.
    idle: bool,
    fluent: u32,
    /// When the first frame went out.
    began: Option<Instant>,
    heard: Instant,
    silent: u32,
    arrived: u64,
    /// Bytes by kind.
    pub(super) wire: Wire,
}

impl Engine {
    pub(super) fn new(parts: Parts, objects: Objects) -> Self {
        let now = Instant::now();
        let level = if let Compress::Level(level) = parts.compress { level } else { 0 };
        parts.level.0.store(level, Ordering::Relaxed);
        Self {
            pacer: Pacer::new(parts.rate.map(|rate| rate as f64), parts.rtt, now),
            parts,
            flight: Flight::default(),
            objects,
            framers: HashMap::new(),
            current: None,
            sequence: 0,
            frames: Vec::new(),
            ends: Vec::new(),
            idle: false,
            fluent: 0,
            began: None,
            heard: now,
            silent: 0,
            arrived: 0,
            wire: Wire::default(),
        }
    }

    /// Sends until the receiver has all.
    pub(super) fn run(&mut self) -> Result<(), TransferError> {
        loop {
            while let Ok(event) = self.parts.events.try_recv() {
                self.event(event)?;
            }
            if self.parts.gauge.stopped() {
                return Err(TransferError::Stopped);
            }
            self.announce()?;
            let now = Instant::now();
            if self.burst(now)? {
                continue;
            }
            if self.objects.is_over() {
                return Ok(());
            }
            self.overdue(now)?;
            match self.parts.events.recv_timeout(self.pause()) {
                Ok(event) => self.event(event)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(TransferError::Closed { doing: "sending" });
                }
            }
        }
    }

    /// Says that this is all, and waits for the receiver to have put everything in order.
    pub(super) fn finish(&mut self) -> Result<(), TransferError> {
        self.parts.link.say(&Message::Finish)?;
        loop {
            match self.parts.events.recv_timeout(PAUSE) {
                Ok(Event::Heard(message)) => match message? {
                    Message::Done { .. } => return Ok(()),
                    Message::Arrived(_) | Message::Wanted { .. } => {}
                    _ => {
                        return Err(TransferError::Protocol(
                            "it says what has no place at the end",
                        ));
                    }
                },
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) if self.parts.gauge.stopped() => {
                    return Err(TransferError::Stopped);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(TransferError::Closed { doing: "ending" });
                }
            }
        }
    }

    /// Bytes that the sync said and heard over the control channel.
    pub(super) const fn sync_bytes(&self) -> u64 {
        self.objects.sync_bytes
    }

    /// How long nothing can be done but wait for a word.
    fn pause(&self) -> Duration {
        let more = self.current.is_some() || !self.flight.repair.is_empty();
        let paced = if more && (self.flight.bytes() as f64) < self.cap() {
            self.pacer.pause()
        } else {
            PAUSE
        };
        paced.clamp(Duration::from_micros(20), PAUSE)
    }

    /// Bytes that may be on their way.
    fn cap(&self) -> f64 {
        let window = self.pacer.window();
        // On a short path what is on its way waits in the receiver's buffer.
        if self.pacer.rtt() < Duration::from_millis(5) {
            window.min(self.parts.room as f64).min(SHORT)
        } else {
            window
        }
    }

    fn event(&mut self, event: Event) -> Result<(), TransferError> {
        match event {
            Event::Planned => Ok(()),
            Event::Sync(said) => self.objects.sync_said(said?, &self.parts.link),
            Event::Heard(message) => match message? {
                Message::Arrived(arrived) => self.arrived(&arrived),
                Message::Ready { object, done } => {
                    let task =
                        self.objects.ready(object, done, self.parts.window, &self.parts.gauge)?;
                    self.ask(task)
                }
                Message::Placed { object } => {
                    self.objects.placed(object, &self.parts.gauge)?;
                    self.forget(object)
                }
                Message::Again { object } => {
                    self.objects.again(object)?;
                    self.forget(object)
                }
                Message::Wanted { object, list } => self.wanted(object, &list),
                other => self.objects.sync_heard(other, &self.parts.gauge),
            },
        }
    }

    fn forget(&mut self, object: u32) -> Result<(), TransferError> {
        self.framers.remove(&object);
        self.flight.forget(object);
        if self.current.is_some_and(|(place, ..)| self.flight.window(place).object == object) {
            self.current = None;
        }
        self.ask(Task::Forget { id: object })
    }

    fn ask(&self, task: Task) -> Result<(), TransferError> {
        self.parts.tasks.send(task).map_err(|_| TransferError::Closed { doing: "reading files" })
    }

    fn announce(&mut self) -> Result<(), TransferError> {
        while let Some(object) = self.objects.next(&self.parts.link)? {
            let framer = Framer::new(object.id, self.parts.frame, self.parts.key.clone());
            self.framers.insert(object.id, (framer, object.content == Content::Sync));
            self.parts.link.queue(&Message::Object(object))?;
        }
        self.parts.link.flush()
    }

    /// What the receiver misses although it seemed to have arrived: windows whose check failed.
    fn wanted(&mut self, object: u32, list: &[u8]) -> Result<(), TransferError> {
        if !self.objects.is_planned(object) {
            return Ok(());
        }
        let list = crate::wire::wanted::read(list)
            .map_err(|_| TransferError::Protocol("its list of what is missing is malformed"))?;
        let mut windows = Vec::new();
        for wanted in list {
            let (first, count) = match wanted {
                crate::wire::Wanted::Windows { first, count, .. } => (first, count.min(1 << 16)),
                crate::wire::Wanted::Fragments { window, .. } => (window, 1),
            };
            let new = (first..first.saturating_add(count))
                .filter(|window| !self.flight.has(object, *window));
            windows.extend(new);
        }
        windows.dedup();
        if windows.is_empty() { Ok(()) } else { self.ask(Task::Again { id: object, windows }) }
    }

    /// Takes the next window from the planner.
    fn take(&mut self) -> Result<bool, TransferError> {
        loop {
            match self.parts.planned.try_recv() {
                Err(_) => return Ok(false),
                Ok(Planned::Failed(error)) => return Err(error),
                Ok(Planned::End { object, digests }) => {
                    self.objects.planned(object);
                    self.parts.link.say(&Message::Digests { object, digests })?;
                }
                Ok(Planned::Window { object, window, bytes, check, again }) => {
                    let Some((framer, _)) = self.framers.get(&object) else { continue };
                    if again && self.flight.has(object, window) {
                        continue;
                    }
                    let fragments = framer.fragments(&payload(&bytes, check));
                    let place = self.flight.begin(object, window, bytes, check, fragments);
                    self.current = Some((place, 0, fragments));
                    return Ok(true);
                }
            }
        }
    }

    /// The next fragment to go out, and whether it goes again.
    fn next(&mut self) -> Result<Option<(Fragment, bool)>, TransferError> {
        if let Some(fragment) = self.flight.next_repair() {
            return Ok(Some((fragment, true)));
        }
        if self.current.is_none() && !self.take()? {
            return Ok(None);
        }
        let Some((place, next, count)) = self.current else { return Ok(None) };
        self.current = (next + 1 < count).then_some((place, next + 1, count));
        Ok(Some((self.flight.fragment(place, next), false)))
    }

    /// Sends as much as may go out now; whether that was anything.
    fn burst(&mut self, now: Instant) -> Result<bool, TransferError> {
        let allowed = self.pacer.allowance(now).min(self.cap() - self.flight.bytes() as f64);
        if allowed <= 0.0 {
            return Ok(false);
        }
        self.frames.clear();
        self.ends.clear();
        self.flight.burst(now);
        while self.ends.len() < BURST && (self.frames.len() as f64) < allowed {
            let Some((fragment, again)) = self.next()? else {
                self.idle = true;
                self.fluent = 0;
                break;
            };
            self.frame(fragment, again);
        }
        self.harder();
        if self.ends.is_empty() {
            return Ok(false);
        }
        self.began.get_or_insert(now);
        self.pacer.spent(self.frames.len());
        Gauge::add(&self.parts.gauge.wire, self.frames.len() as u64);
        self.out()?;
        Ok(true)
    }

    fn frame(&mut self, fragment: Fragment, again: bool) {
        let held = self.flight.window(fragment.place);
        // An object that is placed has no windows left that anybody wants.
        let Some((framer, sync)) = self.framers.get_mut(&held.object) else { return };
        framer.number_from(self.sequence);
        let bytes = framer.fragment(
            held.window,
            &payload(&held.bytes, held.check),
            fragment.fragment,
            &mut self.frames,
        );
        let kind = match (again, held.check) {
            (true, _) => &mut self.wire.repair,
            _ if *sync => &mut self.wire.sync,
            (false, Some(_)) => &mut self.wire.raw,
            (false, None) => &mut self.wire.packed,
        };
        *kind += bytes as u64;
        self.flight.note(self.sequence, fragment, bytes);
        self.sequence += 1;
        self.ends.push(self.frames.len());
    }

    fn out(&mut self) -> Result<(), TransferError> {
        let mut begin = 0;
        let frames: Vec<&[u8]> = self
            .ends
            .iter()
            .map(|end| &self.frames[std::mem::replace(&mut begin, *end)..*end])
            .collect();
        let mut sent = 0;
        while sent < frames.len() {
            match self.parts.sink.send(&frames[sent..])? {
                0 => self.parts.sink.wait()?,
                some => sent += some,
            }
        }
        Ok(())
    }

    /// Packs harder while the way is slower than the reading, and not at all while it is faster.
    fn harder(&mut self) {
        if self.parts.compress != Compress::Auto {
            return;
        }
        let level = &self.parts.level.0;
        if self.fluent == 0 {
            level.store(0, Ordering::Relaxed);
        }
        self.fluent += 1;
        if self.fluent.is_multiple_of(FLUENT) {
            let harder = match level.load(Ordering::Relaxed) {
                0 => 1,
                _ => 3,
            };
            level.store(harder, Ordering::Relaxed);
        }
    }

    fn arrived(&mut self, arrived: &Arrived) -> Result<(), TransferError> {
        if arrived.highest >= self.sequence {
            return Err(TransferError::Protocol("frames arrived that were never sent"));
        }
        let now = Instant::now();
        let sent = self.flight.sent_at(arrived.highest);
        let late = self.pacer.rtt() / 4 + Duration::from_millis(2);
        let told = self.flight.told(&arrived.runs, late);
        for (object, window, bytes) in told.done {
            let length = self.objects.arrived(object, window, self.parts.window);
            Gauge::add(&self.parts.gauge.done, length);
            // Without a planner nobody needs it.
            let _ = self.parts.used.send(bytes);
        }
        self.arrived += told.arrived;
        (self.heard, self.silent) = (now, 0);
        if let Some(sent) = sent {
            self.pacer.learn(&Report {
                heard: now,
                sent,
                arrived_us: arrived.at,
                held_us: arrived.now - arrived.at,
                now_us: arrived.now,
                bytes: arrived.bytes,
                arrived: told.arrived,
                lost: told.lost,
                idle: std::mem::take(&mut self.idle),
            });
        }
        self.parts.gauge.rate.store(self.pacer.rate() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Sends a few frames again when nothing was heard of any for long.
    fn overdue(&mut self, now: Instant) -> Result<(), TransferError> {
        if self.flight.bytes() == 0 {
            self.heard = now;
            return Ok(());
        }
        let deaf = self.began.is_some_and(|began| now.saturating_duration_since(began) > DEAF);
        if self.arrived == 0 && deaf {
            return Err(TransferError::NoFrames { port: self.parts.port, seconds: DEAF.as_secs() });
        }
        let patience =
            (self.pacer.rtt() * 2 + Duration::from_millis(60)) * (1 << self.silent.min(5));
        if now.saturating_duration_since(self.heard) > patience {
            self.flight.probe(PROBES);
            (self.heard, self.silent) = (now, self.silent + 1);
        }
        Ok(())
    }
}

const fn payload(bytes: &[u8], check: Option<Check>) -> Payload<'_> {
    match check {
        Some(check) => Payload::Direct(bytes, check),
        None => Payload::Part(bytes),
    }
}
