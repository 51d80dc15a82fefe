//! The manifest as it comes, against what stands in the target.

use crate::sync;
use crate::transfer::codec::{Malformed, Reader};
use crate::transfer::error::TransferError;
use crate::transfer::gauge::Gauge;
use crate::transfer::message::{Message, State};
use crate::transfer::tree::{Entry, Kind, Order, Standing, Target, as_path};

/// Most entries: what their numbers are for.
const ENTRIES_MOST: usize = 1 << 28;
/// Names in the target that are looked at for files like those that are absent.
const NAMES_MOST: usize = 1 << 18;

/// Where a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Bytes of it have to come.
    Due,
    /// It is under way or in place.
    Begun,
    /// Nothing has to come.
    Settled,
}

/// An older file: its path and size.
pub(super) type Old = (Vec<u8>, u64);

/// All entries of a manifest.
#[derive(Debug, Default)]
pub(super) struct Tree {
    order: Order,
    entries: Vec<Entry>,
    progress: Vec<Progress>,
    /// Sizes of the older files by entry.
    older: Vec<Option<u64>>,
    /// Of absent files, the one that they are like.
    like: Vec<(u32, Old)>,
    ended: bool,
}

impl Tree {
    /// Takes entries; gives what is there of each.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        target: &mut Target,
        gauge: &Gauge,
    ) -> Result<Message, TransferError> {
        if self.ended {
            return Err(TransferError::Protocol("entries come after their end"));
        }
        let first = self.entries.len() as u32;
        let (mut from, mut states) = (Reader::new(bytes), Vec::new());
        while !from.is_empty() {
            let entry = self.order.read(&mut from)?;
            if self.entries.len() == ENTRIES_MOST {
                return Err(Malformed("it has too many entries").into());
            }
            let (state, older) = compare(&entry, target)?;
            Gauge::add(&gauge.entries, 1);
            Gauge::add(&gauge.bytes, entry.size());
            let due = state != State::Same;
            self.progress.push(if due { Progress::Due } else { Progress::Settled });
            self.older.push(older);
            self.entries.push(entry);
            states.push(state as u8);
        }
        Ok(Message::States { first, states })
    }

    /// Ends the manifest; says which absent files are like others in the target, or may be in a blob
    /// that is at hand.
    pub(super) fn end(
        &mut self,
        count: u64,
        target: &mut Target,
        blob: bool,
    ) -> Result<Message, TransferError> {
        if self.ended || count != self.entries.len() as u64 {
            return Err(TransferError::Protocol("its manifest has other entries than it says"));
        }
        self.ended = true;
        let absent = |number: &u32| {
            let at = *number as usize;
            self.progress[at] == Progress::Due && self.older[at].is_none()
        };
        let absent: Vec<u32> = (0..self.entries.len() as u32).filter(absent).collect();
        if absent.is_empty() {
            return Ok(Message::Similar { entries: Vec::new() });
        }
        let names = target.files(NAMES_MOST)?;
        let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        let news: Vec<String> =
            absent.iter().map(|number| text(&self.entries[*number as usize].path)).collect();
        let olds: Vec<String> = names.iter().map(|path| text(path)).collect();
        for (number, base) in absent.iter().zip(sync::bases(&news, &olds)) {
            let Some(path) = base.map(|base| &names[base]) else { continue };
            if let Standing::File { size, .. } = target.look(path)?
                && size > 0
            {
                self.like.push((*number, (path.clone(), size)));
            }
        }
        if blob {
            return Ok(Message::Similar { entries: absent });
        }
        Ok(Message::Similar { entries: self.like.iter().map(|(number, _)| *number).collect() })
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn entry(&self, number: u32) -> Result<&Entry, TransferError> {
        self.entries
            .get(number as usize)
            .ok_or(TransferError::Protocol("it names an entry that there is not"))
    }

    /// Begins with a file, each of which may come once; gives its size.
    pub(super) fn begin(&mut self, number: u32) -> Result<u64, TransferError> {
        let size = self.entry(number)?.size();
        let progress = &mut self.progress[number as usize];
        if !self.ended || *progress != Progress::Due {
            return Err(TransferError::Protocol("it sends a file that nobody waits for"));
        }
        *progress = Progress::Begun;
        Ok(size)
    }

    /// Takes back [`Self::begin`].
    pub(super) fn unbegin(&mut self, numbers: &[u32]) {
        for number in numbers {
            if let Some(progress) = self.progress.get_mut(*number as usize) {
                *progress = Progress::Due;
            }
        }
    }

    /// Whether nothing has to come any more.
    pub(super) fn is_whole(&self) -> bool {
        self.ended && !self.progress.contains(&Progress::Due)
    }

    /// Empty files.
    pub(super) fn empty(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.kind == Kind::File { size: 0 })
    }

    /// The older files for a sync of these entries, and for each entry which of them it resembles.
    pub(super) fn bases(
        &self,
        entries: &[u32],
        target: &mut Target,
    ) -> Result<(Vec<Old>, Vec<Option<usize>>), TransferError> {
        let (mut olds, mut bases) = (Vec::<Old>::new(), Vec::new());
        for &number in entries {
            let entry = self.entry(number)?;
            let old = match self.older[number as usize] {
                Some(_) => Some(entry.path.clone()),
                None => {
                    let like = self.like.binary_search_by_key(&number, |(number, _)| *number);
                    like.ok().map(|at| self.like[at].1.0.clone())
                }
            };
            // Of now: an earlier group may have put another in its place.
            let size = match &old {
                Some(path) => match target.look(path)? {
                    Standing::File { size, .. } => Some(size),
                    _ => None,
                },
                None => None,
            };
            bases.push(size.map(|_| olds.len()));
            olds.extend(old.zip(size));
        }
        Ok((olds, bases))
    }
}

/// What stands where `entry` is to be; makes it if it is a folder.
fn compare(entry: &Entry, target: &mut Target) -> Result<(State, Option<u64>), TransferError> {
    let standing = target.look(&entry.path)?;
    let in_the_way = |is: &Standing, wants| {
        Err(TransferError::InTheWay {
            path: as_path(&entry.path).to_owned(),
            is: is.words(),
            wants,
        })
    };
    match (&entry.kind, &standing) {
        (Kind::Folder, Standing::Nothing | Standing::Folder) => {
            target.make_folder(&entry.path)?;
            Ok((State::Same, None))
        }
        (Kind::Folder, other) => in_the_way(other, "a folder"),
        (Kind::Link { .. }, other @ (Standing::Folder | Standing::Other)) => {
            in_the_way(other, "a link")
        }
        (Kind::Link { .. }, _) => Ok((State::Same, None)),
        (Kind::File { .. }, other @ (Standing::Folder | Standing::Other)) => {
            in_the_way(other, "a file")
        }
        (Kind::File { size: 0 }, _) => Ok((State::Same, None)),
        (Kind::File { .. }, Standing::File { size, .. }) if *size > 0 => {
            Ok((State::Older, Some(*size)))
        }
        (Kind::File { .. }, _) => Ok((State::Absent, None)),
    }
}
