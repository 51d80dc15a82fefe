//! The sender's half of the sync, in a thread of its own: which files the receiver has an older
//! version of, and what is new in them.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;

use memmap2::{Mmap, MmapOptions};

use super::Compress;
use super::engine::Event;
use crate::sync;
use crate::transfer::error::TransferError;
use crate::transfer::link::Link;
use crate::transfer::message::Message;
use crate::transfer::tree::{Found, Kind, scan};

/// Bytes of files that are synced together, but always one file.
const GROUP: u64 = 1 << 30;
/// Messages that may be under way at a time.
const CREDITS: usize = 3;
/// zstd's level for what is new where none is asked for.
const LEVEL: i32 = 3;
/// Longest message of the receiver.
const ANSWER_MOST: usize = 64 << 20;
/// Files from this many bytes on are mapped and not read.
const MAPPED: u64 = 4 << 20;

/// Files by number, mapped or read as they are asked for.
#[derive(Debug)]
pub(crate) struct Files<F> {
    files: Vec<F>,
    maps: Vec<OnceLock<Mmap>>,
}

impl<F> Files<F> {
    pub(crate) fn new(files: Vec<F>) -> Self {
        let maps = files.iter().map(|_| OnceLock::new()).collect();
        Self { files, maps }
    }
}

/// Something that can be opened as a file of so many bytes.
pub(crate) trait Openable {
    fn open(&self) -> io::Result<(File, u64)>;
}

impl Openable for (PathBuf, u64) {
    fn open(&self) -> io::Result<(File, u64)> {
        File::open(&self.0).map(|file| (file, self.1))
    }
}

impl<F: Openable> sync::Tree for Files<F> {
    fn count(&self) -> usize {
        self.files.len()
    }

    fn read(&self, file: usize) -> io::Result<Cow<'_, [u8]>> {
        if let Some(map) = self.maps.get(file).and_then(OnceLock::get) {
            return Ok(Cow::Borrowed(map));
        }
        let (opened, size) = self.files.get(file).ok_or(io::ErrorKind::NotFound)?.open()?;
        let length = usize::try_from(size.min(opened.metadata()?.len()))
            .map_err(|_| io::ErrorKind::OutOfMemory)?;
        if size < MAPPED {
            let mut bytes = Vec::with_capacity(length);
            opened.take(size).read_to_end(&mut bytes)?;
            return Ok(Cow::Owned(bytes));
        }
        // SAFETY: bytes of a file are valid whatever they are. Should somebody shorten it while it is
        // mapped, the kernel ends this process, as it does any that maps files; what was not whole by
        // then is not in place.
        let map = unsafe { MmapOptions::new().len(length).map(&opened)? };
        Ok(Cow::Borrowed(self.maps[file].get_or_init(|| map)))
    }
}

/// How a sync is done.
#[derive(Clone, Debug)]
pub(super) struct How {
    /// zstd's level for what is new.
    pub(super) level: i32,
    /// Older files that are here and that the receiver may have, too.
    pub(super) older: Option<Arc<Files<(PathBuf, u64)>>>,
}

impl How {
    /// As `compress` says, with what is in `older`.
    pub(super) fn new(compress: Compress, older: &[PathBuf]) -> Result<Self, TransferError> {
        let level = match compress {
            Compress::Auto => LEVEL,
            // Packing is how a sync tells what is new: at its quickest.
            Compress::Level(level) => level.clamp(1, 19) as i32,
        };
        let mut files = Vec::new();
        for path in older {
            scan(std::slice::from_ref(path), &mut |found: Found| {
                if let Kind::File { size: 1.. } = found.entry.kind {
                    files.push((found.source, found.entry.size()));
                }
                Ok(())
            })?;
        }
        let older = (!files.is_empty()).then(|| Arc::new(Files::new(files)));
        Ok(Self { level, older })
    }
}

/// What of the sync is under way.
#[derive(Debug)]
pub(super) struct Syncing {
    how: How,
    groups: VecDeque<Vec<u32>>,
    running: Option<Running>,
    events: Sender<Event>,
}

#[derive(Debug)]
struct Running {
    entries: Vec<u32>,
    answers: Sender<Vec<u8>>,
    credits: Sender<()>,
    inbox: Vec<u8>,
    ended: bool,
    placed: bool,
}

impl Syncing {
    /// Of these files, by the numbers of their entries.
    pub(super) fn new(how: How, entries: &[u32], found: &[Found], events: Sender<Event>) -> Self {
        let (mut groups, mut group, mut bytes) = (VecDeque::new(), Vec::new(), 0);
        for &number in entries {
            let size = found[number as usize].entry.size();
            if bytes + size > GROUP && !group.is_empty() {
                groups.push_back(std::mem::take(&mut group));
                bytes = 0;
            }
            group.push(number);
            bytes += size;
        }
        if !group.is_empty() {
            groups.push_back(group);
        }
        Self { how, groups, running: None, events }
    }

    pub(super) fn is_over(&self) -> bool {
        self.groups.is_empty() && self.running.is_none()
    }

    /// Begins with the next group when the last one is through; returns bytes said.
    pub(super) fn begin(&mut self, found: &[Found], link: &Link) -> Result<u64, TransferError> {
        if self.running.is_some() {
            return Ok(0);
        }
        let Some(entries) = self.groups.pop_front() else { return Ok(0) };
        let mut key = [0; 32];
        getrandom::fill(&mut key)
            .map_err(|error| TransferError::io("making a key", io::Error::other(error)))?;
        let said = link.queue(&Message::SyncBegin { key, entries: entries.clone() })?;
        let files = entries.iter().map(|number| &found[*number as usize]);
        let files =
            Files::new(files.map(|found| (found.source.clone(), found.entry.size())).collect());
        let (answers, answer) = mpsc::channel();
        let (credits, credit) = mpsc::channel();
        let (how, events) = (self.how.clone(), self.events.clone());
        thread::spawn(move || {
            let over = talk(&how, &files, key, &answer, &credit, &events);
            // Without an engine nobody wants to know.
            let _ = events.send(Event::Sync(over.map(|()| None)));
        });
        for _ in 0..CREDITS {
            // The thread may be through already.
            let _ = credits.send(());
        }
        self.running = Some(Running {
            entries,
            answers,
            credits,
            inbox: Vec::new(),
            ended: false,
            placed: false,
        });
        Ok(said)
    }

    /// A message has reached the receiver, or is sure to.
    pub(super) fn said(&self) {
        if let Some(running) = &self.running {
            // The thread may be through already.
            let _ = running.credits.send(());
        }
    }

    /// A part of an answer.
    pub(super) fn heard(&mut self, last: bool, part: &[u8]) -> Result<(), TransferError> {
        let running = self.running.as_mut().ok_or(TransferError::Protocol("it answers nobody"))?;
        if running.inbox.len() + part.len() > ANSWER_MOST {
            return Err(TransferError::Protocol("its answer is too long"));
        }
        running.inbox.extend_from_slice(part);
        if last {
            // A thread that failed has said so.
            let _ = running.answers.send(std::mem::take(&mut running.inbox));
        }
        Ok(())
    }

    /// The thread is through.
    pub(super) fn ended(&mut self) {
        if let Some(running) = &mut self.running {
            running.ended = true;
        }
        self.settle();
    }

    /// The receiver has put the group's files in place; which they were.
    pub(super) fn placed(&mut self) -> Result<Vec<u32>, TransferError> {
        let running = self.running.as_mut().filter(|running| !running.placed);
        let running = running.ok_or(TransferError::Protocol("it has placed what nobody sent"))?;
        running.placed = true;
        let entries = std::mem::take(&mut running.entries);
        self.settle();
        Ok(entries)
    }

    fn settle(&mut self) {
        if self.running.as_ref().is_some_and(|running| running.ended && running.placed) {
            self.running = None;
        }
    }
}

fn talk(
    how: &How,
    files: &Files<(PathBuf, u64)>,
    key: [u8; 32],
    answers: &Receiver<Vec<u8>>,
    credits: &Receiver<()>,
    events: &Sender<Event>,
) -> Result<(), TransferError> {
    let gone = TransferError::Closed { doing: "syncing" };
    let mut sender = sync::Sender::new(files, key, how.level)?;
    if let Some(older) = &how.older {
        sender = sender.with_bases(&**older);
    }
    loop {
        while let Some(message) = sender.message()? {
            if credits.recv().is_err() || events.send(Event::Sync(Ok(Some(message)))).is_err() {
                return Err(gone);
            }
        }
        if sender.is_done() {
            return Ok(());
        }
        let Ok(answer) = answers.recv() else { return Err(gone) };
        sender.answer(&answer)?;
    }
}
