//! Reads what is to be sent and makes it ready, window by window, ahead of the thread that sends.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};

use crate::program::{Piece, Window};
use crate::transfer::digests::Digests;
use crate::transfer::error::TransferError;
use crate::wire::body::{self, BodyWriter, Check};

/// Raw bytes that pack to more than this share of themselves go as they are.
const WORTH: f64 = 0.95;
/// After a window that did not pack, so many more are not tried.
const SKIPPED: u32 = 15;
/// The sender's thread is woken once for so many windows: for each it would cost more than sending it.
const WOKEN: u32 = 8;

/// Where an object's bytes come from.
#[derive(Debug)]
pub(super) enum Source {
    /// A file's, or these parts of it.
    File { path: PathBuf, extents: Vec<(u64, u64)> },
    /// Files' one after the other, each with its length.
    Files(Vec<(PathBuf, u64)>),
    /// These.
    Memory(Vec<u8>),
}

/// What the planner is asked for.
#[derive(Debug)]
pub(super) enum Task {
    /// All windows of an object but those that are done, and its digests.
    Object { id: u32, size: u64, source: Source, done: Vec<Range<u32>> },
    /// Some windows of an object once more.
    Again { id: u32, windows: Vec<u32> },
    /// The object is at the receiver.
    Forget { id: u32 },
}

/// What the planner gives.
#[derive(Debug)]
pub(super) enum Planned {
    /// A window: its bytes with their check, or its body.
    Window { object: u32, window: u32, bytes: Vec<u8>, check: Option<Check>, again: bool },
    /// All windows of an object have been given; digests of the files in it.
    End { object: u32, digests: Vec<[u8; 32]> },
    /// Something cannot be read.
    Failed(TransferError),
}

/// How hard raw bytes are packed, as the sender's queue has it: zstd's level, 0 for not at all.
#[derive(Debug, Default)]
pub(super) struct Level(pub(super) AtomicU32);

/// The planner's end of everything.
pub(super) struct Planner {
    pub(super) window: u32,
    pub(super) tasks: Receiver<Task>,
    pub(super) out: SyncSender<Planned>,
    /// Buffers that come back.
    pub(super) used: Receiver<Vec<u8>>,
    pub(super) level: std::sync::Arc<Level>,
    pub(super) stop: std::sync::Arc<AtomicBool>,
    /// Called after each thing given.
    pub(super) wake: Box<dyn Fn() + Send>,
}

struct Held {
    id: u32,
    size: u64,
    bytes: Bytes,
}

/// A source that is open.
enum Bytes {
    File { file: File, path: PathBuf, extents: Vec<(u64, u64)> },
    Files(Vec<u8>),
}

impl Bytes {
    fn open(source: Source) -> Result<(Self, Vec<u64>), TransferError> {
        match source {
            Source::File { path, extents } => {
                let file = File::open(&path).map_err(|error| reading(&path, error))?;
                let size = extents.iter().map(|(_, length)| length).sum();
                Ok((Self::File { file, path, extents }, vec![size]))
            }
            Source::Files(files) => {
                let lengths: Vec<u64> = files.iter().map(|(_, length)| *length).collect();
                let mut all = Vec::with_capacity(lengths.iter().sum::<u64>() as usize);
                for (path, length) in files {
                    let begin = all.len();
                    all.resize(begin + length as usize, 0);
                    let file = File::open(&path).map_err(|error| reading(&path, error))?;
                    file.read_exact_at(&mut all[begin..], 0)
                        .map_err(|error| reading(&path, error))?;
                }
                Ok((Self::Files(all), lengths))
            }
            Source::Memory(bytes) => Ok((Self::Files(bytes), Vec::new())),
        }
    }

    /// Fills `into` with what is at `at` of the object.
    fn read(&self, mut at: u64, into: &mut [u8]) -> Result<(), TransferError> {
        match self {
            Self::Files(bytes) => {
                let from = at as usize;
                into.copy_from_slice(&bytes[from..from + into.len()]);
                Ok(())
            }
            Self::File { file, path, extents } => {
                let mut rest = into;
                for (begin, length) in extents {
                    if at >= *length {
                        at -= length;
                        continue;
                    }
                    let take = (length - at).min(rest.len() as u64) as usize;
                    let (part, behind) = rest.split_at_mut(take);
                    file.read_exact_at(part, begin + at).map_err(|error| reading(path, error))?;
                    (rest, at) = (behind, 0);
                    if rest.is_empty() {
                        break;
                    }
                }
                Ok(())
            }
        }
    }
}

fn reading(path: &std::path::Path, error: io::Error) -> TransferError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return TransferError::Changing(path.to_owned());
    }
    TransferError::io(format!("reading {}", path.display()), error)
}

impl Planner {
    /// Works until nobody asks any more.
    pub(super) fn run(self) {
        let (mut packer, mut held) = (Packer::default(), Vec::<Held>::new());
        while let Ok(task) = self.tasks.recv() {
            let done = match task {
                Task::Forget { id } => {
                    held.retain(|held| held.id != id);
                    Ok(())
                }
                Task::Again { id, windows } => match held.iter().find(|held| held.id == id) {
                    None => Ok(()),
                    Some(object) => windows.into_iter().try_for_each(|window| {
                        self.window(object, window, &mut packer, true).map(drop)
                    }),
                },
                Task::Object { id, size, source, done } => {
                    Bytes::open(source).and_then(|(bytes, lengths)| {
                        held.push(Held { id, size, bytes });
                        self.object(&held[held.len() - 1], &lengths, &done, &mut packer)
                    })
                }
            };
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            if let Err(error) = done {
                self.give(Planned::Failed(error));
                return;
            }
        }
    }

    /// Gives something on; wakes who takes it when that is more than a window, or windows enough.
    fn give(&self, planned: Planned) {
        let wake = match planned {
            Planned::Window { window, again, .. } => again || window % WOKEN == 0,
            _ => true,
        };
        let full = match self.out.try_send(planned) {
            Ok(()) => None,
            Err(TrySendError::Full(planned)) => Some(planned),
            Err(TrySendError::Disconnected(_)) => {
                self.stop.store(true, Ordering::Relaxed);
                return;
            }
        };
        if wake || full.is_some() {
            (self.wake)();
        }
        if let Some(planned) = full
            && self.out.send(planned).is_err()
        {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn object(
        &self,
        held: &Held,
        lengths: &[u64],
        done: &[Range<u32>],
        packer: &mut Packer,
    ) -> Result<(), TransferError> {
        let windows = held.size.div_ceil(u64::from(self.window)) as u32;
        let mut digests = Digests::new(lengths);
        let mut runs = done.iter().peekable();
        for window in 0..windows {
            while runs.next_if(|run| run.end <= window).is_some() {}
            let there = runs.peek().is_some_and(|run| run.contains(&window));
            if there && digests.is_over() {
                continue;
            }
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if there {
                let bytes = self.read(held, window)?;
                digests.take(&bytes);
            } else {
                self.window_with(held, window, packer, false, &mut digests)?;
            }
        }
        self.give(Planned::End { object: held.id, digests: digests.end() });
        Ok(())
    }

    fn read(&self, held: &Held, window: u32) -> Result<Vec<u8>, TransferError> {
        let at = u64::from(window) * u64::from(self.window);
        let length = (held.size - at).min(u64::from(self.window)) as usize;
        let mut bytes = self.used.try_recv().unwrap_or_default();
        bytes.resize(length, 0);
        held.bytes.read(at, &mut bytes)?;
        Ok(bytes)
    }

    fn window(
        &self,
        held: &Held,
        window: u32,
        packer: &mut Packer,
        again: bool,
    ) -> Result<(), TransferError> {
        if u64::from(window) * u64::from(self.window) >= held.size {
            return Ok(());
        }
        self.window_with(held, window, packer, again, &mut Digests::new(&[]))
    }

    fn window_with(
        &self,
        held: &Held,
        window: u32,
        packer: &mut Packer,
        again: bool,
        digests: &mut Digests,
    ) -> Result<(), TransferError> {
        let bytes = self.read(held, window)?;
        digests.take(&bytes);
        let check = body::check(&bytes);
        // What did not come out as it should goes as it is.
        let level = if again { 0 } else { self.level.0.load(Ordering::Relaxed) };
        let (bytes, check) = match packer.pack(bytes, check, level as i32) {
            Ok(body) => (body, None),
            Err(bytes) => (bytes, Some(check)),
        };
        self.give(Planned::Window { object: held.id, window, bytes, check, again });
        Ok(())
    }
}

/// Packs raw bytes where that is worth it.
#[derive(Default)]
struct Packer {
    level: i32,
    writer: Option<BodyWriter>,
    skip: u32,
}

impl Packer {
    /// The body of a window of these bytes, or they themselves.
    fn pack(&mut self, bytes: Vec<u8>, check: Check, level: i32) -> Result<Vec<u8>, Vec<u8>> {
        if level == 0 || self.skip > 0 || bytes.len() < 256 {
            self.skip = self.skip.saturating_sub(1);
            return Err(bytes);
        }
        if self.writer.is_none() || self.level != level {
            (self.writer, self.level) = (Some(BodyWriter::new(level)), level);
        }
        let Some(writer) = &mut self.writer else { return Err(bytes) };
        let window = Window { pieces: vec![Piece::Raw(bytes.len() as u32)], raw: bytes };
        let mut out = Vec::with_capacity(window.raw.len() / 2);
        let worth = (window.raw.len() as f64 * WORTH) as usize;
        match writer.write(&window, 0, check, &mut out) {
            Ok(()) if out.len() <= worth => Ok(out),
            _ => {
                self.skip = SKIPPED;
                Err(window.raw)
            }
        }
    }
}
