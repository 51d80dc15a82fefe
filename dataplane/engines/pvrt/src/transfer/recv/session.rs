//! One transfer, as the receiver sees it: what is there, what comes, what is put in place.

use std::collections::HashMap;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::data::{Watch, Watched, unwatch};
use super::place;
use super::shelf::Shelf;
use super::sync::{Outcomes, Places, Syncing};
use super::tree::Tree;
use super::verify::Check;
use crate::transfer::error::TransferError;
use crate::transfer::gauge::Gauge;
use crate::transfer::link::Link;
use crate::transfer::message::{Content, Message, Object};
use crate::transfer::send::{BUNDLE, SMALL, WINDOW};
use crate::transfer::tree::{Kind, Part, Staging, Target};
use crate::wire::assembly::DestinationError;
use crate::wire::{
    Cipher, Destination, HeldSpace, Key, Transfer, TransferSpec, Transfers, make_room,
};

/// Most objects at a time, and bytes of those that are kept in memory.
const OBJECTS: usize = 1024;
const MEMORY: u64 = 512 << 20;
/// Longest message of the sync.
const SYNC_MOST: u64 = 64 << 20;
/// How often the session looks whether it is to stop.
const TICK: Duration = Duration::from_millis(200);
/// Bytes of an answer in one message.
const PART: usize = 256 << 10;

/// Something that the session waits for.
#[derive(Debug)]
pub(super) enum Event {
    /// From the sender.
    Heard(Result<Message, TransferError>),
    /// All of an object is here.
    Digested { object: u32, digests: Vec<[u8; 32]> },
    /// The sync answers.
    SyncSays(Vec<u8>),
    /// The sync is over.
    Synced(Result<Outcomes, TransferError>),
    /// No more frames come.
    Deaf(TransferError),
}

/// An object that is under way.
#[derive(Debug)]
struct Live {
    content: Content,
    size: u64,
    transfer: Arc<Transfer>,
    /// By the sender, and by what is here.
    theirs: Option<Vec<[u8; 32]>>,
    ours: Option<Vec<[u8; 32]>>,
}

/// What a session is made of.
pub(super) struct Parts {
    pub(super) link: Link,
    pub(super) target: Arc<Mutex<Target>>,
    pub(super) staging: Arc<Staging>,
    /// The blob, if there is one.
    pub(super) shelf: Option<Arc<Shelf>>,
    pub(super) secret: Option<(Cipher, [u8; 32])>,
    pub(super) transfers: Arc<Transfers>,
    pub(super) watch: Watch,
    pub(super) check: SyncSender<Check>,
    pub(super) events: Receiver<Event>,
    pub(super) own: Sender<Event>,
    pub(super) gauge: Arc<Gauge>,
    pub(super) fsync: bool,
}

pub(super) struct Session {
    parts: Parts,
    tree: Tree,
    live: HashMap<u32, Live>,
    memory: u64,
    syncing: Option<Syncing>,
    over: bool,
}

/// Whoever panicked holding it had opened a folder or not.
pub(super) fn lock(target: &Mutex<Target>) -> MutexGuard<'_, Target> {
    target.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            tree: Tree::default(),
            live: HashMap::new(),
            memory: 0,
            syncing: None,
            over: false,
        }
    }

    /// Receives until the sender says that it is through.
    pub(super) fn run(&mut self) -> Result<(), TransferError> {
        while !self.over {
            if self.parts.gauge.stop.load(Ordering::Relaxed) {
                return Err(TransferError::Stopped);
            }
            match self.parts.events.recv_timeout(TICK) {
                Ok(event) => self.event(event)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(TransferError::Closed { doing: "receiving" });
                }
            }
        }
        Ok(())
    }

    /// The entries that came, for a report.
    pub(super) const fn tree(&self) -> &Tree {
        &self.tree
    }

    fn event(&mut self, event: Event) -> Result<(), TransferError> {
        match event {
            Event::Heard(message) => self.heard(message?),
            Event::Deaf(error) => Err(error),
            Event::Digested { object, digests } => {
                if let Some(live) = self.live.get_mut(&object) {
                    live.ours = Some(digests);
                }
                self.settle(object)
            }
            Event::SyncSays(answer) => {
                let mut parts = answer.chunks(PART).peekable();
                while let Some(part) = parts.next() {
                    let last = parts.peek().is_none();
                    self.parts.link.queue(&Message::Sync { last, part: part.to_vec() })?;
                }
                self.parts.link.flush()
            }
            Event::Synced(outcomes) => self.synced(&outcomes?),
        }
    }

    fn heard(&mut self, message: Message) -> Result<(), TransferError> {
        match message {
            Message::Entries(bytes) => {
                let states =
                    self.tree.take(&bytes, &mut lock(&self.parts.target), &self.parts.gauge)?;
                self.parts.link.say(&states).map(drop)
            }
            Message::EntriesEnd { count } => {
                let similar = self.tree.end(
                    count,
                    &mut lock(&self.parts.target),
                    self.parts.shelf.is_some(),
                )?;
                self.parts.link.say(&similar).map(drop)
            }
            Message::Object(object) => self.object(object),
            Message::Digests { object, digests } => {
                if let Some(live) = self.live.get_mut(&object) {
                    live.theirs = Some(digests);
                }
                self.settle(object)
            }
            Message::SyncBegin { key, entries } => self.sync(entries, key),
            Message::Sync { last, part } => {
                let syncing = self.syncing.as_mut();
                syncing.ok_or(TransferError::Protocol("it syncs nothing"))?.part(last, &part)
            }
            Message::Finish => self.finish(),
            _ => Err(TransferError::Protocol("it says what has no place here")),
        }
    }

    /// Makes room for an object.
    fn object(&mut self, object: Object) -> Result<(), TransferError> {
        let Object { id, size, content } = object;
        let kept = !matches!(content, Content::File { .. });
        self.allow(id, size, &content)?;
        let part = match &content {
            Content::File { entry, .. } => Some(self.part(*entry, size)?),
            _ => None,
        };
        let destination = self.destination(part.as_ref(), size)?;
        let file = part.as_ref().map(|part| part.data().try_clone()).transpose();
        let file = file.map_err(|error| TransferError::io("making room", error))?;
        let done = part.as_ref().map(Part::done).unwrap_or_default();
        let transfer = self.register(id, size, destination, &done)?;
        if kept {
            self.memory += size;
        } else {
            let there = done.iter().map(|run| {
                let at = |window: u32| (u64::from(window) * u64::from(WINDOW)).min(size);
                at(run.end) - at(run.start)
            });
            Gauge::add(&self.parts.gauge.done, there.sum());
        }
        if content == Content::Sync
            && let Some(syncing) = &mut self.syncing
        {
            syncing.expect(id);
        }
        let lengths = self.lengths(&content, size);
        self.parts
            .watch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Watched::new(Arc::clone(&transfer), part));
        // Without a checker nothing comes to an end, which the events tell.
        let _ = self.parts.check.send(Check::Begin(Arc::clone(&transfer), file, lengths));
        self.live.insert(id, Live { content, size, transfer, theirs: None, ours: None });
        self.parts.link.say(&Message::Ready { object: id, done }).map(drop)
    }

    /// Whether an object can be: what a sender that is broken or hostile says is not believed.
    fn allow(&mut self, id: u32, size: u64, content: &Content) -> Result<(), TransferError> {
        let refuse = |why| Err(TransferError::Protocol(why));
        if id == 0 || size == 0 || self.live.contains_key(&id) || self.live.len() >= OBJECTS {
            return refuse("an object cannot be");
        }
        match content {
            Content::File { entry, extents } => {
                let whole = self.tree.begin(*entry)?;
                let fits = match extents {
                    None => whole == size,
                    Some(extents) => {
                        extents.last().is_some_and(|(begin, length)| begin + length <= whole)
                    }
                };
                if fits { Ok(()) } else { refuse("an object has another size than its file") }
            }
            Content::Bundle { entries } => {
                let mut sum = 0;
                for entry in entries {
                    let size = self.tree.begin(*entry)?;
                    if size > SMALL {
                        return refuse("a bundle has a large file");
                    }
                    sum += size;
                }
                if sum == size && size <= BUNDLE && self.memory + size <= MEMORY {
                    Ok(())
                } else {
                    refuse("a bundle has another size than its files")
                }
            }
            Content::Sync => {
                let fits = size <= SYNC_MOST && self.memory + size <= MEMORY;
                if fits && self.syncing.is_some() {
                    Ok(())
                } else {
                    refuse("a message of its sync is too long")
                }
            }
        }
    }

    /// Room for an object: its file's, whose windows the checker writes, or memory.
    fn destination(&self, part: Option<&Part>, size: u64) -> Result<Destination, TransferError> {
        let check = self.parts.check.clone();
        let made = match part {
            // Without a checker the window is dropped, and the session over.
            Some(part) => make_room(part.data(), size).and_then(|()| {
                Destination::stream(size, move |filled| drop(check.send(Check::Filled(filled))))
            }),
            None => Destination::memory(size),
        };
        made.map_err(|error| match error {
            DestinationError::Full { .. } => {
                TransferError::Full { doing: format!("making room for {size} bytes") }
            }
            error => TransferError::io("making room", std::io::Error::other(error)),
        })
    }

    fn part(&self, entry: u32, size: u64) -> Result<Part, TransferError> {
        let entry = self.tree.entry(entry)?;
        let name = Part::name(&entry.path, entry.size(), entry.mtime);
        self.parts.staging.part(&name, size, WINDOW)
    }

    fn lengths(&self, content: &Content, size: u64) -> Vec<u64> {
        match content {
            Content::File { .. } => vec![size],
            Content::Bundle { entries } => entries
                .iter()
                .filter_map(|entry| self.tree.entry(*entry).ok())
                .map(|entry| entry.size())
                .collect(),
            Content::Sync => Vec::new(),
        }
    }

    fn register(
        &self,
        id: u32,
        size: u64,
        destination: Destination,
        done: &[Range<u32>],
    ) -> Result<Arc<Transfer>, TransferError> {
        let spec = TransferSpec { id, size, window_bytes: WINDOW, anchor: 0 };
        let failed =
            |error| TransferError::io("beginning with an object", std::io::Error::other(error));
        let mut transfer =
            Transfer::new(spec, HeldSpace::default(), destination).map_err(failed)?;
        if let Some((cipher, secret)) = &self.parts.secret {
            transfer = transfer.with_key(Key::new(*cipher, secret));
        }
        self.parts.transfers.register(transfer.with_done(done.iter().cloned())).map_err(failed)
    }

    /// Puts an object in place once all of it is here and its digests are known.
    fn settle(&mut self, id: u32) -> Result<(), TransferError> {
        let Some(live) = self.live.get(&id) else { return Ok(()) };
        let (Some(theirs), Some(ours)) = (&live.theirs, &live.ours) else { return Ok(()) };
        let right = theirs == ours;
        let Some(live) = self.live.remove(&id) else { return Ok(()) };
        self.parts.transfers.remove(id);
        let watched = unwatch(&self.parts.watch, id);
        let part = watched.and_then(|watched| watched.part);
        if part.is_none() {
            self.memory -= live.size;
        }
        if !right {
            return self.again(id, &live, part);
        }
        match &live.content {
            Content::File { entry, extents } => self.file(*entry, extents.as_deref(), part)?,
            Content::Bundle { entries } => self.bundle(entries, &live.transfer)?,
            Content::Sync => {
                if let Some(syncing) = &mut self.syncing {
                    syncing.arrived(id, place::bytes(&live.transfer));
                }
            }
        }
        self.parts.link.say(&Message::Placed { object: id }).map(drop)
    }

    /// What an earlier run left was not what its journal said, or the file has changed at the sender
    /// without its time showing it.
    fn again(&mut self, id: u32, live: &Live, part: Option<Part>) -> Result<(), TransferError> {
        if let Some(mut part) = part {
            part.reset();
        }
        match &live.content {
            Content::File { entry, .. } => self.tree.unbegin(&[*entry]),
            Content::Bundle { entries } => self.tree.unbegin(entries),
            Content::Sync => {}
        }
        self.parts.link.say(&Message::Again { object: id }).map(drop)
    }

    fn file(
        &self,
        entry: u32,
        extents: Option<&[(u64, u64)]>,
        part: Option<Part>,
    ) -> Result<(), TransferError> {
        let part = part.ok_or(TransferError::Protocol("a file has no place"))?;
        let entry = self.tree.entry(entry)?;
        let mut target = lock(&self.parts.target);
        place::file(&mut target, &self.parts.staging, entry, &part, extents, self.parts.fsync)?;
        Gauge::add(&self.parts.gauge.done, entry.size());
        Ok(())
    }

    fn bundle(&self, entries: &[u32], transfer: &Transfer) -> Result<(), TransferError> {
        let bytes = place::bytes(transfer);
        let entries =
            entries.iter().map(|entry| self.tree.entry(*entry)).collect::<Result<Vec<_>, _>>()?;
        let mut target = lock(&self.parts.target);
        place::bundle(&mut target, &self.parts.staging, &entries, &bytes, self.parts.fsync)?;
        Gauge::add(&self.parts.gauge.done, bytes.len() as u64);
        Ok(())
    }

    fn sync(&mut self, entries: Vec<u32>, key: [u8; 32]) -> Result<(), TransferError> {
        if self.syncing.is_some() {
            return Err(TransferError::Protocol("it syncs twice at a time"));
        }
        for entry in &entries {
            self.tree.begin(*entry)?;
        }
        let (olds, mut bases) = self.tree.bases(&entries, &mut lock(&self.parts.target))?;
        if let Some(shelf) = &self.parts.shelf {
            let paths = entries.iter().map(|entry| Ok(self.tree.entry(*entry)?.path.as_slice()));
            let paths = paths.collect::<Result<Vec<_>, TransferError>>()?;
            shelf.bases(&paths, &mut bases, olds.len());
        }
        let own = self.parts.own.clone();
        let places = Places {
            target: Arc::clone(&self.parts.target),
            staging: Arc::clone(&self.parts.staging),
            shelf: self.parts.shelf.clone(),
        };
        self.syncing = Some(Syncing::begin((entries, key), olds, bases, places, own));
        Ok(())
    }

    /// Puts the group's files in place.
    fn synced(&mut self, outcomes: &Outcomes) -> Result<(), TransferError> {
        let syncing = self.syncing.take().ok_or(TransferError::Protocol("it syncs nothing"))?;
        let entries = syncing
            .entries
            .iter()
            .map(|entry| self.tree.entry(*entry))
            .collect::<Result<Vec<_>, _>>()?;
        let mut target = lock(&self.parts.target);
        place::synced(
            &mut target,
            &self.parts.staging,
            &entries,
            (&syncing.olds, self.parts.shelf.as_deref()),
            outcomes,
            self.parts.fsync,
        )?;
        let bytes = entries.iter().map(|entry| entry.size()).sum();
        Gauge::add(&self.parts.gauge.done, bytes);
        self.parts.link.say(&Message::SyncPlaced).map(drop)
    }

    fn finish(&mut self) -> Result<(), TransferError> {
        if !self.live.is_empty() || self.syncing.is_some() || !self.tree.is_whole() {
            return Err(TransferError::Protocol("it ends before its end"));
        }
        let mut target = lock(&self.parts.target);
        for entry in self.tree.empty() {
            place::bundle(&mut target, &self.parts.staging, &[entry], &[], false)?;
        }
        for entry in self.tree.entries() {
            if let Kind::Link { target: to } = &entry.kind {
                target.keep_or_make_link(
                    self.parts.staging.folder(),
                    &entry.path,
                    to,
                    entry.mtime,
                )?;
            }
        }
        for entry in self.tree.entries().iter().rev().filter(|entry| entry.kind == Kind::Folder) {
            target.dress(&entry.path, entry.mode, entry.mtime)?;
        }
        let files =
            self.tree.entries().iter().filter(|entry| matches!(entry.kind, Kind::File { .. }));
        self.parts.staging.settle(files.map(|entry| entry.path.as_slice()))?;
        if self.parts.fsync {
            place::sync_all(target.root().as_fd())?;
        }
        drop(target);
        let bytes = self.parts.gauge.wire.load(Ordering::Relaxed);
        self.parts.link.say(&Message::Done { bytes })?;
        self.over = true;
        Ok(())
    }
}
