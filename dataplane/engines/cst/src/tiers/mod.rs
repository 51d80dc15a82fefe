//! A store of many trees in a folder, in three tiers by a budget of memory.
//!
//! ```text
//!             put                         get
//!              │ freeze                    ▲
//!   hot ◄──────┤                           │   HotTree: 2.1 B a node, moved in as it lies
//!    ▲         ▼                           │
//!    │       waiting ── hot until written ─┤   frozen in memory, not yet on disk
//!    │ thaw    │ flush: one segment        │
//!    │         ▼                           │
//!    ├────── warm: segments mapped ────────┤   0.2 to 0.8 B a node
//!    │        ▲│ longest unused            │
//!    │  mapped││unmapped                   │
//!    │        │▼                           │
//!    └────── frozen: segments on disk ─────┘
//! ```
//!
//! [`Store::put`] takes a tree, [`Store::get`] gives it back from whichever tier it is in, thawed where
//! it is not hot, never parsed again. What is on disk is found again by [`Store::open`].
//!
//! # Memory
//!
//! [`Config::budget`] bounds what the store holds: hot trees get five eighths, mapped segments two, trees
//! that wait to be written one. Hot trees leave by use (S3-FIFO with clocks, by bytes), segments by
//! time of last use; both are counted by the bytes that were allocated or mapped, see [`Stats`]. A tree
//! that a caller holds stays. Names of trees, some 100 bytes each, come on top and are in [`Stats`]. While
//! a tree is thawed its columns take some 7 bytes a node besides; large ones are thawed one at a time.
//!
//! # Disk
//!
//! A segment is written beside its place, synced and moved there: it is there whole or not at all, also
//! after `kill -9`. A tree is safe from the next [`Store::flush`] on that returns, and a flush comes by
//! itself whenever the part of the budget for waiting trees is full. When a flush fails, because the disk
//! is full, nothing is lost: all is still in memory and on disk as before, and the next flush tries again.
//! After a flush, neighbouring small segments, and those most of whose trees were replaced, are merged;
//! trees are copied as they lie.
//!
//! One process writes at a time (file `LOCK`, held by the kernel's lock on it); any number may read. They
//! see the store as it was when they opened it, until they ask for a tree whose segment was merged away and
//! is not mapped: then as it is by then.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "rust")] {
//! use pfs_cst::parse::Limits;
//! use pfs_cst::tiers::{Config, Keep, Store};
//!
//! let folder = tempfile::tempdir()?;
//! let store = Store::open(folder.path(), Config::default())?;
//! store.put_source("lib.rs", None, b"fn answer() -> u8 { 42 }", Keep::Copy, Limits::default())?;
//! store.flush()?;
//! let tree = store.get("lib.rs")?.ok_or("not there")?;
//! let source = store.source("lib.rs")?;
//! assert_eq!(tree.root().first_child().map(|node| node.text(&source)), Some(&source[..]));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod hot;
mod index;
mod merge;
mod open;
mod report;
mod segments;
mod source;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::cold::{self, ColdFile, ColdTree};
use crate::hot::HotTree;

pub use error::StoreError;
pub use hot::Stored;
pub use report::{Damage, Entry, Stats, Tier};
pub use source::{Keep, Kept, Source};

use hot::{Hot, Key};
use index::{Index, Place};
use segments::Segments;
use source::Note;
use write::Writing;

const LOCK: &str = "LOCK";

/// Trees with more nodes are thawed one at a time: their columns take some 7 bytes a node meanwhile.
const LARGE: u32 = 1 << 15;

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Bytes of memory for trees; 1 MiB at least are taken.
    pub budget: usize,
    /// Bytes of a segment, about: one is written when as many wait, and smaller ones are merged up to
    /// it. 64 KiB at least, and an eighth of the budget at most, are taken.
    pub segment_bytes: usize,
    /// How trees are frozen. With [`cold::Positions::Guessed`] each needs its source to be thawed, so
    /// that it has to be kept.
    pub freeze: cold::Settings,
    /// Whether trees that [`Store::put_source`] parses say which supertypes each node stands for, so that
    /// queries can ask for them; they take longer and more bytes.
    pub supertypes: bool,
    /// Whether to write.
    pub access: Access,
}

impl Default for Config {
    fn default() -> Self {
        let freeze = cold::Settings::default();
        let (supertypes, access) = (false, Access::Write);
        Self { budget: 256 << 20, segment_bytes: 4 << 20, freeze, supertypes, access }
    }
}

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read and write; one at a time. The folder is made if it is not there.
    Write,
    /// To read; changes are refused.
    Read,
}

/// A store of trees, see the [module](self). All threads share one by reference.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    config: Config,
    index: Index,
    hot: Hot,
    segments: Segments,
    /// Held by who thaws a large tree.
    large: Mutex<()>,
    /// Held by who lists the folder.
    listing: Mutex<()>,
    writing: Option<Writing>,
    find: Finder,
}

/// Gives the grammar of a name.
struct Finder(Arc<segments::Find>);

impl std::fmt::Debug for Finder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Finder")
    }
}

/// A tree was looked up and then moved to another segment.
enum Thawing {
    Moved,
    Failed(StoreError),
}

impl From<StoreError> for Thawing {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl Store {
    /// The store's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The tree called `name`, none if there is no such.
    ///
    /// # Errors
    /// Its segment is damaged, its grammar is not at hand, or the source that its positions follow from
    /// has changed.
    pub fn get(&self, name: &str) -> Result<Option<Arc<Stored>>, StoreError> {
        self.look(name, |place| match place {
            Place::Waiting(waiting) => Ok(Arc::clone(&waiting.hot)),
            Place::Frozen { segment, number } => {
                self.hot.get(place.key(), || self.thaw(name, segment, number))
            }
        })
    }

    /// Gives `read` the cold tree called `name`, of which a node costs one block. None if there is no
    /// such tree, or it waits to be written: it is hot then.
    ///
    /// # Errors
    /// As [`Store::get`], and what `read` tells.
    pub fn cold<T>(
        &self,
        name: &str,
        mut read: impl FnMut(&mut ColdTree<'_>) -> Result<T, cold::ColdError>,
    ) -> Result<Option<T>, StoreError> {
        let found = self.look(name, |place| match place {
            Place::Waiting(_) => Ok(None),
            Place::Frozen { segment, number } => {
                self.with_cold(name, segment, number, &mut read).map(Some)
            }
        });
        Ok(found?.flatten())
    }

    /// Where `name` is, and what `take` makes of that, until it is not moved meanwhile.
    fn look<T>(
        &self,
        name: &str,
        mut take: impl FnMut(Place) -> Result<T, Thawing>,
    ) -> Result<Option<T>, StoreError> {
        for _ in 0..16 {
            let Some(place) = self.index.get(name) else { return Ok(None) };
            match take(place) {
                Ok(taken) => return Ok(Some(taken)),
                // Another process has merged it.
                Err(Thawing::Moved) if self.writing.is_none() => drop(self.catch_up()?),
                Err(Thawing::Moved) => {}
                Err(Thawing::Failed(error)) => return Err(error),
            }
        }
        Err(StoreError::Busy { name: name.into() })
    }

    fn thaw(&self, name: &str, segment: u32, number: u32) -> Result<HotTree, Thawing> {
        self.with_cold(name, segment, number, |cold| {
            let _alone = (cold.len() > LARGE as usize).then(|| self.large.lock());
            Ok(HotTree::from_flat(cold.grammar(), &cold.thaw()?))
        })
    }

    fn with_cold<T>(
        &self,
        name: &str,
        segment: u32,
        number: u32,
        read: impl FnOnce(&mut ColdTree<'_>) -> Result<T, cold::ColdError>,
    ) -> Result<T, Thawing> {
        let file = self.segments.file(segment)?.ok_or(Thawing::Moved)?;
        let source = self.source_for(&file, name, number as usize)?;
        let fail = |error| {
            let path = self.segments.get(segment).map_or_else(PathBuf::new, |it| it.path.clone());
            StoreError::segment(&path)(error)
        };
        let tree = file.tree_at(number as usize, source.as_deref()).map_err(fail)?;
        Ok(read(&mut tree.ok_or(Thawing::Moved)?).map_err(fail)?)
    }

    /// The source that a tree's positions follow from; none where they are stored.
    fn source_for(
        &self,
        file: &ColdFile,
        name: &str,
        number: usize,
    ) -> Result<Option<Source>, StoreError> {
        if file.positions(number) != Some(cold::Positions::Guessed) {
            return Ok(None);
        }
        let note = Note::read(file.tree_note(number));
        let note = note.ok_or_else(|| StoreError::NoSource { name: name.into() })?;
        source::open(&self.folder, name, &note).map(Some)
    }

    /// The source of the tree called `name`, as it was when the tree was put; mapped. Of a name that is
    /// not there, [`StoreError::NoSource`].
    ///
    /// # Errors
    /// It was not kept, or the file that it is has changed or is gone.
    pub fn source(&self, name: &str) -> Result<Source, StoreError> {
        let opened = self.look(name, |place| {
            let note = self.note(&place).ok_or(Thawing::Moved)?;
            Ok(source::open(&self.folder, name, &note)?)
        });
        opened?.ok_or_else(|| StoreError::NoSource { name: name.into() })
    }

    /// What is noted of a tree; none if its segment was replaced meanwhile.
    fn note(&self, place: &Place) -> Option<Note> {
        match place {
            Place::Waiting(waiting) => Some(waiting.note.clone()),
            Place::Frozen { segment, number } => {
                let file = self.segments.file(*segment).ok()??;
                Note::read(file.tree_note(*number as usize))
            }
        }
    }

    /// Whether there is a tree called `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.index.get(name).is_some()
    }

    /// Names of all trees, sorted.
    pub fn names(&self) -> Vec<Box<str>> {
        self.index.names()
    }

    /// Trees.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The key of a frozen tree: a segment's number is never given twice in a process.
const fn key_of(segment: u32, number: u32) -> Key {
    (segment as Key) << 32 | number as Key
}
