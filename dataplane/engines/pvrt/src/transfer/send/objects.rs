//! What is to be sent, in which order, and how far each part of it is.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use nix::unistd::{Whence, lseek};

use super::planner::{Source, Task};
use super::sync::Syncing;
use crate::transfer::error::TransferError;
use crate::transfer::gauge::Gauge;
use crate::transfer::link::Link;
use crate::transfer::message::{BUNDLE_FILES, Content, EXTENTS_MOST, Message, Object};
use crate::transfer::tree::Found;

/// Files up to this many bytes travel together, up to so many in one bundle.
pub(crate) const SMALL: u64 = 256 << 10;
pub(crate) const BUNDLE: u64 = 4 << 20;
/// Holes below this many bytes in all are not worth looking for.
const HOLES: u64 = 1 << 20;
/// Objects that are announced ahead, and bytes of them, but always two.
const AHEAD: usize = 64;
const AHEAD_BYTES: u64 = 256 << 20;
/// Messages of the sync up to this long go over the control channel.
const INLINE: usize = 64 << 10;

/// Something that waits to be announced.
#[derive(Debug)]
enum Want {
    File(u32),
    Bundle(Vec<u32>),
}

#[derive(Debug)]
struct Live {
    content: Content,
    size: u64,
    source: Option<Source>,
    planned: bool,
    /// Whether it came out wrong before.
    again: bool,
}

/// All that is to be sent.
#[derive(Debug)]
pub(super) struct Objects {
    found: Arc<Vec<Found>>,
    queue: VecDeque<(Want, bool)>,
    live: HashMap<u32, Live>,
    bytes: u64,
    last: u32,
    syncing: Syncing,
    /// Messages of the sync that wait to be said.
    saying: VecDeque<Vec<u8>>,
    /// Bytes of the sync's messages in both directions over the control channel.
    pub(super) sync_bytes: u64,
}

impl Objects {
    /// Of the entries of `found` those numbered `whole` are sent as they are, by the rest of it
    /// `syncing` decides.
    pub(super) fn new(found: Arc<Vec<Found>>, whole: &[u32], syncing: Syncing) -> Self {
        let mut queue = VecDeque::new();
        let (mut bundle, mut bytes) = (Vec::new(), 0);
        for &number in whole {
            let size = found[number as usize].entry.size();
            if size > SMALL {
                queue.push_back((Want::File(number), false));
                continue;
            }
            if bytes + size > BUNDLE || bundle.len() == BUNDLE_FILES {
                queue.push_back((Want::Bundle(std::mem::take(&mut bundle)), false));
                bytes = 0;
            }
            bundle.push(number);
            bytes += size;
        }
        if !bundle.is_empty() {
            queue.push_back((Want::Bundle(bundle), false));
        }
        Self {
            found,
            queue,
            live: HashMap::new(),
            bytes: 0,
            last: 0,
            syncing,
            saying: VecDeque::new(),
            sync_bytes: 0,
        }
    }

    /// Whether the receiver has all.
    pub(super) fn is_over(&self) -> bool {
        self.queue.is_empty()
            && self.live.is_empty()
            && self.saying.is_empty()
            && self.syncing.is_over()
    }

    /// The next object to be announced, if it is time.
    pub(super) fn next(&mut self, link: &Link) -> Result<Option<Object>, TransferError> {
        self.sync_bytes += self.syncing.begin(&self.found, link)?;
        while let Some(message) = self.saying.pop_front() {
            if message.len() > INLINE {
                return Ok(Some(self.begin(
                    Content::Sync,
                    message.len() as u64,
                    Source::Memory(message),
                    false,
                )));
            }
            self.sync_bytes += link.queue(&Message::Sync { last: true, part: message })?;
            self.syncing.said();
        }
        let few = self.live.len() < 2 || (self.live.len() < AHEAD && self.bytes < AHEAD_BYTES);
        let Some((want, again)) = few.then(|| self.queue.pop_front()).flatten() else {
            return Ok(None);
        };
        let (content, size, source) = match want {
            Want::File(number) => self.file(number)?,
            Want::Bundle(entries) => self.bundle(entries),
        };
        Ok(Some(self.begin(content, size, source, again)))
    }

    fn begin(&mut self, content: Content, size: u64, source: Source, again: bool) -> Object {
        self.last += 1;
        self.bytes += size;
        let live =
            Live { content: content.clone(), size, source: Some(source), planned: false, again };
        self.live.insert(self.last, live);
        Object { id: self.last, size, content }
    }

    fn file(&self, number: u32) -> Result<(Content, u64, Source), TransferError> {
        let Found { entry, source: path } = &self.found[number as usize];
        let whole = entry.size();
        let extents = extents(path, whole).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound => {
                TransferError::Changing(path.clone())
            }
            _ => TransferError::io(format!("reading {}", path.display()), error),
        })?;
        let parts = extents.clone().unwrap_or_else(|| vec![(0, whole)]);
        let size = parts.iter().map(|(_, length)| length).sum();
        let source = Source::File { path: path.clone(), extents: parts };
        Ok((Content::File { entry: number, extents }, size, source))
    }

    fn bundle(&self, entries: Vec<u32>) -> (Content, u64, Source) {
        let files = entries.iter().map(|number| &self.found[*number as usize]);
        let files: Vec<_> = files.map(|found| (found.source.clone(), found.entry.size())).collect();
        let size = files.iter().map(|(_, size)| size).sum();
        (Content::Bundle { entries }, size, Source::Files(files))
    }

    fn known(&mut self, id: u32) -> Result<&mut Live, TransferError> {
        self.live
            .get_mut(&id)
            .ok_or(TransferError::Protocol("it speaks of an object that there is not"))
    }

    /// The receiver has room for an object, and these windows of it.
    pub(super) fn ready(
        &mut self,
        id: u32,
        done: Vec<Range<u32>>,
        window: u32,
        gauge: &Gauge,
    ) -> Result<Task, TransferError> {
        let live = self.known(id)?;
        let (size, sync) = (live.size, live.content == Content::Sync);
        let source =
            live.source.take().ok_or(TransferError::Protocol("an object is ready twice"))?;
        let there = done.iter().map(|run| {
            let at = |window_number: u32| (u64::from(window_number) * u64::from(window)).min(size);
            at(run.end) - at(run.start)
        });
        if !sync {
            Gauge::add(&gauge.done, there.sum());
        }
        Ok(Task::Object { id, size, source, done })
    }

    /// All windows of an object have been planned once.
    pub(super) fn planned(&mut self, id: u32) {
        if let Some(live) = self.live.get_mut(&id) {
            live.planned = true;
        }
    }

    /// Whether that is so, and it is not at the receiver yet.
    pub(super) fn is_planned(&self, id: u32) -> bool {
        self.live.get(&id).is_some_and(|live| live.planned)
    }

    /// Bytes of files that window `number` of an object holds.
    pub(super) fn arrived(&self, id: u32, number: u32, window: u32) -> u64 {
        let live = self.live.get(&id).filter(|live| live.content != Content::Sync);
        live.map_or(0, |live| {
            (live.size - u64::from(number) * u64::from(window)).min(u64::from(window))
        })
    }

    /// An object is at the receiver, in place.
    pub(super) fn placed(&mut self, id: u32, gauge: &Gauge) -> Result<(), TransferError> {
        self.known(id)?;
        let Some(live) = self.live.remove(&id) else { return Ok(()) };
        self.bytes -= live.size;
        match live.content {
            Content::Sync => self.syncing.said(),
            Content::File { entry, extents: Some(_) } => {
                let holes = self.found[entry as usize].entry.size() - live.size;
                Gauge::add(&gauge.done, holes);
            }
            _ => {}
        }
        Ok(())
    }

    /// An object came out wrong: it goes once more, whole.
    pub(super) fn again(&mut self, id: u32) -> Result<(), TransferError> {
        self.known(id)?;
        let Some(live) = self.live.remove(&id) else { return Ok(()) };
        self.bytes -= live.size;
        let want = match live.content {
            Content::File { entry, .. } if !live.again => Want::File(entry),
            Content::Bundle { entries } if !live.again => Want::Bundle(entries),
            Content::File { entry, .. } => {
                return Err(TransferError::Changing(self.found[entry as usize].source.clone()));
            }
            _ => return Err(TransferError::Protocol("an object comes out wrong again and again")),
        };
        self.queue.push_front((want, true));
        Ok(())
    }

    /// The sync has something to say, or is over.
    pub(super) fn sync_said(
        &mut self,
        said: Option<Vec<u8>>,
        _link: &Link,
    ) -> Result<(), TransferError> {
        match said {
            Some(message) => self.saying.push_back(message),
            None => self.syncing.ended(),
        }
        Ok(())
    }

    /// The receiver has said something to the sync.
    pub(super) fn sync_heard(
        &mut self,
        message: Message,
        gauge: &Gauge,
    ) -> Result<(), TransferError> {
        match message {
            Message::Sync { last, part } => {
                self.sync_bytes += part.len() as u64 + 2;
                self.syncing.heard(last, &part)
            }
            Message::SyncPlaced => {
                let entries: HashSet<u32> = self.syncing.placed()?.into_iter().collect();
                let bytes = entries.iter().map(|number| self.found[*number as usize].entry.size());
                Gauge::add(&gauge.done, bytes.sum());
                Ok(())
            }
            _ => Err(TransferError::Protocol("it says what has no place here")),
        }
    }
}

/// The parts of a file that are no holes; none where there are no holes worth it.
fn extents(path: &Path, size: u64) -> io::Result<Option<Vec<(u64, u64)>>> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    if about.len() < size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if about.blocks() * 512 + HOLES > size {
        return Ok(None);
    }
    let (mut extents, mut at) = (Vec::new(), 0_u64);
    let seek = |at: u64, whence| lseek(file.as_fd(), at as i64, whence);
    while at < size {
        let begin = match seek(at, Whence::SeekData) {
            Ok(begin) => begin as u64,
            // No more data.
            Err(nix::Error::ENXIO) => break,
            Err(nix::Error::EINVAL) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let end = (seek(begin, Whence::SeekHole)? as u64).min(size);
        if begin >= size {
            break;
        }
        extents.push((begin, end - begin));
        at = end;
        if extents.len() > EXTENTS_MOST {
            return Ok(None);
        }
    }
    if extents.is_empty() {
        // An object has bytes: the first one will do.
        extents.push((0, 1));
    }
    Ok(Some(extents))
}
