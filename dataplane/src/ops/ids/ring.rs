//! Ids in a ring in shared memory, and the reader for another process.
//!
//! The region is a memfd: nothing is left behind however either process ends. A Unix socket with a
//! path hands it to whoever connects; the reader then claims the ring's popping side, which one
//! process at a time may hold. A record goes in whole or not at all; see `words` for its layout.

use std::fs;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pfs_rings::spsc::{Consumer, MappedRing, Producer, RingError};
use pfs_rings::{Region, RegionRequest, WaitStrategy, Waited, attach};
use thiserror::Error;

use super::sink::{Lost, Write};
use super::words::{self, BadRecord, HEAD};
use super::{IdRecord, IdSinkError, IdSinkSpec, WhenFull};

/// How often the thread at the socket looks whether it is to end.
const LOOK_UP: Duration = Duration::from_millis(20);
/// How long a writer that may wait does so for a first reader, or for one that takes nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pushes records.
#[derive(Debug)]
pub(super) struct RingWriter {
    producer: Producer<u32>,
    when_full: WhenFull,
    lost: u64,
    _door: Door,
}

impl RingWriter {
    pub(super) fn create(
        socket: &Path,
        slots: u32,
        when_full: WhenFull,
    ) -> Result<Self, IdSinkError> {
        if !slots.is_power_of_two() || !IdSinkSpec::RING_WORDS.contains(&slots) {
            return Err(IdSinkError::Unsupported {
                what: format!("an id ring of {slots} words"),
                fix: "give it a power of two from 131072 to 268435456".into(),
            });
        }
        let bytes = MappedRing::<u32>::bytes(slots as usize).unwrap_or(u64::MAX);
        let region = Region::create(&RegionRequest::new(bytes))?;
        let ring = MappedRing::<u32>::create(&region.view(), 0, slots as usize)?;
        let producer = ring.producer()?;
        Ok(Self { producer, when_full, lost: 0, _door: Door::open(socket, region)? })
    }

    /// Waits for room, where that may be; whether there is some.
    fn has_room(&mut self, words: usize) -> bool {
        if self.producer.has_room(words) {
            return true;
        }
        if self.when_full == WhenFull::Drop || words > self.producer.capacity() {
            return false;
        }
        self.wait_for(words)
    }

    /// Waits until `words` are free, as long as the reader takes any.
    #[cold]
    fn wait_for(&mut self, words: usize) -> bool {
        let (mut left, mut since) = (self.producer.len(), Instant::now());
        while since.elapsed() < PATIENCE {
            match self.producer.wait(words, WaitStrategy::Adaptive, LOOK_UP * 5, None) {
                Waited::Ready => return true,
                Waited::TimedOut if self.producer.peer_died() => return false,
                Waited::TimedOut => {}
                _ => return false,
            }
            let now = self.producer.len();
            if now < left {
                (left, since) = (now, Instant::now());
            }
        }
        // Not again for every record.
        self.when_full = WhenFull::Drop;
        false
    }
}

impl Write for RingWriter {
    fn write(&mut self, records: &[IdRecord], mut ids: &[u32]) -> Result<Lost, IdSinkError> {
        let mut lost = Lost::default();
        for record in records {
            let (mine, rest) = ids.split_at(ids.len().min(record.count as usize));
            ids = rest;
            let words = HEAD + mine.len();
            if !self.has_room(words) {
                lost.records += 1;
                lost.ids += mine.len() as u64;
                self.lost += 1;
                continue;
            }
            let head = words::encode(record, self.lost);
            let mut chunk = self.producer.reserve(words);
            let (front, back) = chunk.as_mut_slices();
            let places = front.iter_mut().chain(back);
            places.zip(head.iter().chain(mine)).for_each(|(place, word)| *place = *word);
            chunk.commit(words);
        }
        Ok(lost)
    }

    /// What a reader has not popped yet it still can. One that may be waited for is, since the
    /// socket goes now.
    fn close(mut self: Box<Self>) -> Result<(), IdSinkError> {
        if self.when_full == WhenFull::Wait && !self.producer.is_empty() {
            self.wait_for(self.producer.capacity());
        }
        Ok(())
    }
}

/// The socket at which readers get the region, and the thread that hands it out.
#[derive(Debug)]
struct Door {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    fn open(path: &Path, region: Region) -> Result<Self, IdSinkError> {
        let fail = |source| IdSinkError::io("listening at", path, source);
        let listener = bind(path).map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let answer = move || {
            while !told.load(Relaxed) {
                match listener.accept() {
                    Ok((reader, _)) => {
                        if let Err(error) = attach::send_regions(&reader, &[&region]) {
                            tracing::warn!("a reader of ids: {error}");
                        }
                    }
                    Err(_) => thread::sleep(LOOK_UP),
                }
            }
        };
        let thread = thread::Builder::new().name("pfs-ids".into()).spawn(answer).map_err(fail)?;
        Ok(Self { path: path.to_owned(), stop, thread: Some(thread) })
    }
}

/// Binds `path`; over a socket there that nobody listens at any more.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let dead = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    match UnixListener::bind(path) {
        Err(error)
            if error.kind() == io::ErrorKind::AddrInUse
                && UnixStream::connect(path).is_err_and(|error| dead(&error)) =>
        {
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // It never panics, and there would be nothing to do about it.
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

/// A ring of ids that cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RingReadError {
    /// Nobody listens at the socket.
    #[error("connecting to {}: {source}; start `pfs run --ids ring:{}` first", path.display(), path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The region was not passed on.
    #[error(transparent)]
    Attach(#[from] attach::AttachError),
    /// The region holds no ring of ours, or another process reads it.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// What is in the ring is no record.
    #[error("the ring is broken: {0}")]
    Record(#[from] BadRecord),
    /// The writer's index is impossible, or a record is not all there.
    #[error("the ring is broken: its writer does not keep to the protocol")]
    Poisoned,
}

/// What [`RingReader::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingRead<'a> {
    /// A record with its ids, and how many records were lost before it since the run began.
    Record(IdRecord, &'a [u32], u64),
    /// Nothing within the time-out.
    Nothing,
    /// The writer has left, and all is read.
    End,
}

/// Reads records out of another process's ring.
#[derive(Debug)]
pub struct RingReader {
    consumer: Consumer<u32>,
    ids: Vec<u32>,
}

impl RingReader {
    /// Attaches to the ring behind `socket`.
    ///
    /// # Errors
    /// When nobody listens there, or another reader holds the ring.
    pub fn attach(socket: &Path) -> Result<Self, RingReadError> {
        let stream = UnixStream::connect(socket)
            .map_err(|source| RingReadError::Connect { path: socket.to_owned(), source })?;
        let regions = attach::receive_regions(&stream)?;
        let region = regions.first().ok_or(RingReadError::Poisoned)?;
        let consumer = MappedRing::<u32>::open(&region.view(), 0)?.consumer()?;
        Ok(Self { consumer, ids: Vec::new() })
    }

    /// The next record, for which it waits up to `timeout`.
    ///
    /// # Errors
    /// When the ring is broken; it is of no use then.
    pub fn next(&mut self, timeout: Duration) -> Result<RingRead<'_>, RingReadError> {
        match self.consumer.wait(WaitStrategy::Adaptive, timeout, None) {
            Waited::Ready => {}
            Waited::TimedOut if self.consumer.peer_died() => return Ok(RingRead::End),
            Waited::TimedOut | Waited::Stopped => return Ok(RingRead::Nothing),
            Waited::Closed => return Ok(RingRead::End),
            Waited::Poisoned => return Err(RingReadError::Poisoned),
        }
        // Copied before they are looked at: the writer's process could change them.
        let mut head = [0; HEAD];
        if self.consumer.pop_into(&mut head) < HEAD {
            return Err(RingReadError::Poisoned);
        }
        let (record, lost) = words::decode(&head, self.consumer.capacity() as u32)?;
        self.ids.resize(record.count as usize, 0);
        if self.consumer.pop_into(&mut self.ids) < self.ids.len() {
            return Err(RingReadError::Poisoned);
        }
        Ok(RingRead::Record(record, &self.ids, lost))
    }
}
