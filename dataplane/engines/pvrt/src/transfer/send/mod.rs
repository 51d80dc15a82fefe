//! The sender.

mod engine;
mod flight;
mod objects;
mod planner;
pub(crate) mod sync;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use engine::{Engine, Event, Parts};
use objects::Objects;
pub(crate) use objects::{BUNDLE, SMALL};
use planner::{Level, Planned, Planner, Task};
use sync::{How, Syncing};

use super::control::{PATIENCE, Security, connect};
use super::error::TransferError;
use super::frames::{FrameSink, UdpSink};
use super::gauge::Gauge;
use super::link::Link;
use super::message::{Message, State};
use super::tree::{Found, Order, scan};
use crate::wire::body::CHECK;
use crate::wire::frame::{HEADER, TAG};
use crate::wire::{Cipher, Key};

/// Bytes of a window. 60 KiB, because its frames of a common link's size then are what the kernel
/// takes as one datagram to cut: windows of 64 KiB would cost two calls each.
pub const WINDOW: u32 = 60 << 10;
/// Longest frame where the link does not set a limit.
const FRAME_MOST: usize = 8972;
/// Bytes of entries in one message.
const ENTRIES: usize = 32 << 10;
/// Windows that are planned ahead.
const PLANNED: usize = 64;

/// How raw bytes are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compress {
    /// As hard as leaves the way busy.
    #[default]
    Auto,
    /// Always at this level of zstd; 0 is not at all.
    Level(u32),
}

/// Opens the way that frames go: to the receiver's address and port.
pub type OpenSink = dyn FnOnce(SocketAddr) -> Result<Box<dyn FrameSink>, TransferError> + Send;

/// How to send.
pub struct SendOptions {
    /// How the two ends are sure of each other.
    pub security: Security,
    /// Bytes a second; none: as the path allows.
    pub rate: Option<u64>,
    /// How raw bytes are packed.
    pub compress: Compress,
    /// Send files whole even where the receiver has older ones.
    pub whole: bool,
    /// Files and folders here that hold older versions of what is sent. Where the receiver has the same
    /// older file, what is new is told by what differs from it, without asking what the receiver has.
    pub older: Vec<PathBuf>,
    /// The way that frames go; none: UDP.
    pub sink: Option<Box<OpenSink>>,
}

impl SendOptions {
    /// All but `security` by default.
    #[must_use]
    pub const fn new(security: Security) -> Self {
        Self {
            security,
            rate: None,
            compress: Compress::Auto,
            whole: false,
            older: Vec::new(),
            sink: None,
        }
    }
}

impl fmt::Debug for SendOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SendOptions");
        shown.field("security", &self.security).field("rate", &self.rate).finish_non_exhaustive()
    }
}

/// Bytes on the wire by what they were for, in both directions; headers of UDP, TCP and IP are not
/// counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// Entries of the manifest.
    pub manifest: u64,
    /// What found out what the receiver lacks of files that it has older versions of, and that.
    pub sync: u64,
    /// Frames of files' bytes as they are.
    pub raw: u64,
    /// Frames of files' bytes, packed.
    pub packed: u64,
    /// Frames that went again.
    pub repair: u64,
    /// All else that was said.
    pub control: u64,
}

impl Wire {
    /// All of it.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.manifest + self.sync + self.raw + self.packed + self.repair + self.control
    }
}

/// What was sent.
#[derive(Clone, Debug, Default)]
pub struct SendReport {
    /// Files.
    pub files: u64,
    /// Folders and links.
    pub others: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Files that the receiver had versions of.
    pub synced: u64,
    /// Bytes on the wire.
    pub wire: Wire,
    /// Seconds from the first word to the last.
    pub seconds: f64,
    /// Sockets, pipes and devices, which are not sent.
    pub skipped: Vec<PathBuf>,
}

/// Sends `sources` (see [`scan`]) to the receiver at `to`.
///
/// # Errors
/// When something cannot be read, the connection is lost, or the receiver gives up. What has
/// arrived stays there: sent again, it goes on from that.
pub fn send(
    sources: &[PathBuf],
    to: SocketAddr,
    options: SendOptions,
    gauge: &Arc<Gauge>,
) -> Result<SendReport, TransferError> {
    let began = Instant::now();
    let (out, incoming) = connect(to, &options.security)?;
    let peer = out.peer();
    let (heard, events) = mpsc::channel();
    let to_engine = heard.clone();
    let (link, _listener) =
        Link::start(out, incoming, move |message| to_engine.send(Event::Heard(message)).is_ok());
    let session = Session { link: link.clone(), events, gauge: Arc::clone(gauge) };
    let done = session.run(sources, peer, options, heard);
    if let Err(error) = &done {
        link.give_up(error);
    }
    done.map(|report| SendReport { seconds: began.elapsed().as_secs_f64(), ..report })
}

struct Session {
    link: Link,
    events: Receiver<Event>,
    gauge: Arc<Gauge>,
}

/// The planner's thread, and what leads to it and from it.
struct Ahead {
    tasks: mpsc::Sender<Task>,
    planned: Receiver<Planned>,
    used: mpsc::Sender<Vec<u8>>,
    level: Arc<Level>,
    thread: thread::JoinHandle<()>,
}

impl Ahead {
    fn start(heard: mpsc::Sender<Event>) -> Self {
        let level = Arc::new(Level::default());
        let (tasks, asked) = mpsc::channel();
        let (give, planned) = mpsc::sync_channel(PLANNED);
        let (used, empty) = mpsc::channel();
        let planner = Planner {
            window: WINDOW,
            tasks: asked,
            out: give,
            used: empty,
            level: Arc::clone(&level),
            stop: Arc::new(AtomicBool::new(false)),
            wake: Box::new(move || drop(heard.send(Event::Planned))),
        };
        let thread = thread::spawn(move || planner.run());
        Self { tasks, planned, used, level, thread }
    }
}

impl Session {
    fn run(
        self,
        sources: &[PathBuf],
        peer: SocketAddr,
        mut options: SendOptions,
        heard: mpsc::Sender<Event>,
    ) -> Result<SendReport, TransferError> {
        let (key, hello) = greeting(options.security.encrypts())?;
        let asked = Instant::now();
        self.link.say(&hello)?;
        let (port, room) = match self.next("being greeted")? {
            Message::Welcome { port, room } => (port, room),
            _ => return Err(TransferError::Protocol("it does not greet")),
        };
        let rtt = asked.elapsed();
        let to = SocketAddr::new(peer.ip(), port);
        let sink = match options.sink.take() {
            Some(open) => open(to)?,
            None => Box::new(UdpSink::open(to)?),
        };
        let mut report = SendReport::default();
        let found = Arc::new(self.manifest(sources, &mut report)?);
        let (whole, older) = self.states(&found, options.whole)?;
        report.synced = older.len() as u64;
        let how = How::new(options.compress, &options.older)?;
        let syncing = Syncing::new(how, &older, &found, heard.clone());
        let objects = Objects::new(found, &whole, syncing);
        let ahead = Ahead::start(heard);
        let mut engine = Engine::new(
            Parts {
                link: self.link.clone(),
                frame: frame_bytes(sink.frame_most(), key.is_some()),
                sink,
                key,
                window: WINDOW,
                room,
                port,
                rate: options.rate,
                rtt,
                compress: options.compress,
                events: self.events,
                tasks: ahead.tasks,
                planned: ahead.planned,
                used: ahead.used,
                level: ahead.level,
                gauge: self.gauge,
            },
            objects,
        );
        let done = engine.run().and_then(|()| engine.finish());
        let (wire, sync) = (engine.wire, engine.sync_bytes());
        drop(engine);
        // What it panicked with was printed.
        let _ = ahead.thread.join();
        done?;
        let (sent, received) = self.link.bytes();
        report.wire = Wire { manifest: report.wire.manifest, sync: wire.sync + sync, ..wire };
        report.wire.control = (sent + received).saturating_sub(report.wire.manifest + sync);
        Ok(report)
    }

    /// The next message that is no word about frames.
    fn next(&self, doing: &'static str) -> Result<Message, TransferError> {
        let mut waited = Duration::ZERO;
        let step = Duration::from_millis(200);
        loop {
            if self.gauge.stopped() {
                return Err(TransferError::Stopped);
            }
            match self.events.recv_timeout(step) {
                Ok(Event::Heard(message)) => return message,
                Ok(_) => {}
                // The listener ends a silence; this is for a receiver that only says it is alive.
                Err(_) if waited > PATIENCE * 20 => {
                    return Err(TransferError::Silent { doing, seconds: waited.as_secs() });
                }
                Err(_) => waited += step,
            }
        }
    }

    fn manifest(
        &self,
        sources: &[PathBuf],
        report: &mut SendReport,
    ) -> Result<Vec<Found>, TransferError> {
        let (mut order, mut message, mut found) = (Order::default(), Vec::new(), Vec::new());
        let scanned = scan(sources, &mut |item: Found| {
            if self.gauge.stopped() {
                return Err(TransferError::Stopped);
            }
            order.write(&item.entry, &mut message)?;
            if message.len() > ENTRIES {
                report.wire.manifest +=
                    self.link.say(&Message::Entries(std::mem::take(&mut message)))?;
            }
            match item.entry.kind {
                super::tree::Kind::File { size } => {
                    report.files += 1;
                    report.bytes += size;
                    Gauge::add(&self.gauge.bytes, size);
                }
                _ => report.others += 1,
            }
            Gauge::add(&self.gauge.entries, 1);
            found.push(item);
            Ok(())
        })?;
        if !message.is_empty() {
            report.wire.manifest += self.link.queue(&Message::Entries(message))?;
        }
        report.wire.manifest +=
            self.link.say(&Message::EntriesEnd { count: found.len() as u64 })?;
        report.skipped = scanned.skipped;
        Ok(found)
    }

    /// Which files go whole, and which the receiver has something of.
    fn states(&self, found: &[Found], whole: bool) -> Result<(Vec<u32>, Vec<u32>), TransferError> {
        let mut states = vec![None; found.len()];
        let similar = loop {
            match self.next("comparing")? {
                Message::States { first, states: new } => {
                    let places =
                        states.get_mut(first as usize..).and_then(|rest| rest.get_mut(..new.len()));
                    let places =
                        places.ok_or(TransferError::Protocol("it has states of no entries"))?;
                    for (place, state) in places.iter_mut().zip(new) {
                        *place = State::from_number(state);
                    }
                }
                Message::Similar { entries } => break entries,
                _ => return Err(TransferError::Protocol("it does not say what it has")),
            }
        };
        let (mut all, mut older) = (Vec::new(), Vec::new());
        for (number, state) in (0..).zip(&states) {
            match state {
                None => {
                    return Err(TransferError::Protocol("it does not say what it has of an entry"));
                }
                Some(State::Same) => {
                    Gauge::add(&self.gauge.done, found[number as usize].entry.size());
                }
                Some(State::Older) if !whole => older.push(number),
                Some(State::Absent) if !whole && similar.binary_search(&number).is_ok() => {
                    older.push(number);
                }
                Some(_) => all.push(number),
            }
        }
        Ok((all, older))
    }
}

/// A fresh key for the frames, and the message that brings it.
fn greeting(encrypted: bool) -> Result<(Option<Arc<Key>>, Message), TransferError> {
    let mut secret = [0; 32];
    if !encrypted {
        return Ok((None, Message::Hello { secret, cipher: 0, window: WINDOW }));
    }
    getrandom::fill(&mut secret)
        .map_err(|error| TransferError::io("making a key", std::io::Error::other(error)))?;
    let cipher = Cipher::preferred();
    let key = Arc::new(Key::new(cipher, &secret));
    Ok((Some(key), Message::Hello { secret, cipher: cipher as u8, window: WINDOW }))
}

/// Bytes of a frame such that a window is cut into equal ones.
fn frame_bytes(most: usize, encrypted: bool) -> usize {
    let around = HEADER + if encrypted { TAG } else { 0 };
    let step = most.min(FRAME_MOST).saturating_sub(around).max(512);
    let total = WINDOW as usize + CHECK;
    total.div_ceil(total.div_ceil(step)) + around
}
