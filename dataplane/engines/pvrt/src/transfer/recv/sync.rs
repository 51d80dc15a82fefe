//! The receiver's half of the sync, in a thread of its own: finds what older files share with new
//! ones, and makes these in the staging folder.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use super::session::Event;
use super::shelf::{Shelf, WithShelf};
use crate::sync::{self, Reply};
use crate::transfer::error::TransferError;
use crate::transfer::send::sync::{Files, Openable};
use crate::transfer::tree::{Staging, Target};

/// Longest message of the sender that comes in parts over the control channel.
const MESSAGE_MOST: usize = 64 << 20;

/// An older file.
#[derive(Debug)]
pub(super) struct Older {
    pub(super) target: Arc<std::sync::Mutex<Target>>,
    pub(super) path: Vec<u8>,
    pub(super) size: u64,
}

impl Older {
    fn file(&self) -> io::Result<File> {
        let mut target = self.target.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        target.read(&self.path).map_err(io::Error::other)
    }
}

impl Openable for Older {
    fn open(&self) -> io::Result<(File, u64)> {
        Ok((self.file()?, self.size))
    }
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is the old file of this number; behind the last of them, an object of the blob.
    Same(usize),
    /// It is in the staging folder.
    Made,
}

/// What a group of files comes to.
pub(super) type Outcomes = HashMap<usize, Outcome>;

/// The name that new file `file` has in the staging folder.
pub(super) fn staged(file: usize) -> String {
    format!("sync-{file}")
}

/// Makes new files in the staging folder.
struct Sink {
    staging: Arc<Staging>,
    /// The last one, which the next bytes often belong to.
    open: Option<(usize, File)>,
    outcomes: Outcomes,
}

impl sync::Sink for Sink {
    fn write(&mut self, file: usize, size: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != file) {
            let failed = |error: TransferError| match error {
                TransferError::Full { .. } => io::ErrorKind::StorageFull.into(),
                error => io::Error::other(error),
            };
            let new = self.outcomes.insert(file, Outcome::Made).is_none();
            let opened = if new {
                self.staging.create(&staged(file))
            } else {
                self.staging.reopen(&staged(file))
            };
            let opened = opened.map_err(failed)?;
            if new {
                opened.set_len(size)?;
            }
            self.open = Some((file, opened));
        }
        let Some((_, open)) = &self.open else { return Ok(()) };
        open.write_all_at(bytes, offset)
    }

    fn same(&mut self, file: usize, old: usize) -> io::Result<()> {
        self.outcomes.insert(file, Outcome::Same(old));
        Ok(())
    }
}

/// Where older files are, and new ones are made.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) target: Arc<std::sync::Mutex<Target>>,
    pub(super) staging: Arc<Staging>,
    pub(super) shelf: Option<Arc<Shelf>>,
}

/// A group that is being synced.
#[derive(Debug)]
pub(super) struct Syncing {
    /// Numbers of the entries.
    pub(super) entries: Vec<u32>,
    /// The older files.
    pub(super) olds: Vec<(Vec<u8>, u64)>,
    messages: Sender<Vec<u8>>,
    /// Messages in the order that the sender said them; none is on its way as an object.
    queue: VecDeque<(u32, Option<Vec<u8>>)>,
    inbox: Vec<u8>,
    _thread: JoinHandle<()>,
}

impl Syncing {
    /// Begins with `entries`, for which the older files `olds` are at hand, of which `bases` names one
    /// for each.
    pub(super) fn begin(
        (entries, key): (Vec<u32>, [u8; 32]),
        olds: Vec<(Vec<u8>, u64)>,
        bases: Vec<Option<usize>>,
        places: Places,
        events: Sender<Event>,
    ) -> Self {
        let older = |(path, size): &(Vec<u8>, u64)| Older {
            target: Arc::clone(&places.target),
            path: path.clone(),
            size: *size,
        };
        let files = Files::new(olds.iter().map(older).collect());
        let sink = Sink { staging: places.staging, open: None, outcomes: Outcomes::new() };
        let shelf = places.shelf;
        let (messages, incoming) = mpsc::channel();
        let thread = thread::spawn(move || {
            let files = WithShelf { files, shelf: shelf.as_deref() };
            let over = listen(&files, bases, key, sink, &incoming, &events);
            // Without a session nobody wants to know.
            let _ = events.send(Event::Synced(over));
        });
        Self { entries, olds, messages, queue: VecDeque::new(), inbox: Vec::new(), _thread: thread }
    }

    /// A part of a message.
    pub(super) fn part(&mut self, last: bool, part: &[u8]) -> Result<(), TransferError> {
        if self.inbox.len() + part.len() > MESSAGE_MOST {
            return Err(TransferError::Protocol("a message of its sync is too long"));
        }
        self.inbox.extend_from_slice(part);
        if last {
            let message = std::mem::take(&mut self.inbox);
            self.queue.push_back((0, Some(message)));
        }
        self.deliver();
        Ok(())
    }

    /// A message comes as an object.
    pub(super) fn expect(&mut self, object: u32) {
        self.queue.push_back((object, None));
    }

    /// It is here.
    pub(super) fn arrived(&mut self, object: u32, message: Vec<u8>) {
        if let Some(place) = self.queue.iter_mut().find(|(id, _)| *id == object) {
            place.1 = Some(message);
        }
        self.deliver();
    }

    fn deliver(&mut self) {
        while let Some((_, Some(_))) = self.queue.front() {
            let Some((_, Some(message))) = self.queue.pop_front() else { return };
            // A thread that failed has said so.
            let _ = self.messages.send(message);
        }
    }
}

fn listen(
    files: &WithShelf<'_, Files<Older>>,
    bases: Vec<Option<usize>>,
    key: [u8; 32],
    mut sink: Sink,
    incoming: &Receiver<Vec<u8>>,
    events: &Sender<Event>,
) -> Result<Outcomes, TransferError> {
    let mut receiver = sync::Receiver::new(files, bases, key)?;
    loop {
        let Ok(message) = incoming.recv() else {
            return Err(TransferError::Closed { doing: "syncing" });
        };
        match receiver.take(&message, &mut sink)? {
            Reply::None => {}
            Reply::Send(answer) => drop(events.send(Event::SyncSays(answer))),
            Reply::Done(answer) => {
                drop(events.send(Event::SyncSays(answer)));
                return Ok(sink.outcomes);
            }
        }
    }
}
