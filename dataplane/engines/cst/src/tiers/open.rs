//! Opening and closing a store.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::error::StoreError;
use super::hot::Hot;
use super::index::{Index, Place};
use super::segments::{Listing, Segments, read_removed};
use super::source::{FOLDER, Kept, Note, file_name};
use super::write::Writing;
use super::{Access, Config, Finder, LOCK, Store};
use crate::languages::{Grammar, Registry};

/// How often a store is listed again when segments are gone before they are opened.
const TRIES: usize = 16;

impl Store {
    /// Opens the store in `folder`, with the grammars of this build.
    ///
    /// # Errors
    /// The folder cannot be read or is another's, someone else writes to the store, or a segment is
    /// damaged.
    pub fn open(folder: &Path, config: Config) -> Result<Self, StoreError> {
        Self::open_with(folder, config, |name| Registry::shared().get(name))
    }

    /// The same, with grammars of the caller's. Trees whose grammar is not among them, or of another
    /// release, stay; they are refused when they are asked for.
    ///
    /// # Errors
    /// See [`Store::open`].
    pub fn open_with(
        folder: &Path,
        config: Config,
        find: impl Fn(&str) -> Option<Arc<Grammar>> + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        let config = Config { budget: config.budget.max(1 << 20), ..config };
        let segment_bytes = config.segment_bytes.clamp(1 << 16, (config.budget / 8).max(1 << 16));
        let config = Config { segment_bytes, ..config };
        let lock = match config.access {
            Access::Write => Some(lock(folder)?),
            Access::Read => None,
        };
        let find = Finder(Arc::new(find));
        let segments = Segments::new(config.budget / 4, Arc::clone(&find.0));
        let mut store = Self {
            folder: folder.into(),
            config,
            index: Index::default(),
            hot: Hot::new(config.budget / 8 * 5),
            segments,
            large: Mutex::new(()),
            listing: Mutex::new(()),
            writing: None,
            find,
        };
        let listing = store.catch_up()?;
        let next = listing.segments.iter().map(|(range, _)| range.last + 1).max().unwrap_or(0);
        if let Some(lock) = lock {
            for path in &listing.left {
                std::fs::remove_file(path).map_err(StoreError::io("remove", path))?;
            }
            store.tidy_copies()?;
            store.writing = Some(Writing::new(lock, next));
        }
        Ok(store)
    }

    /// Takes the store as it is on disk now. Where another process writes to it, segments come and go.
    pub(super) fn catch_up(&self) -> Result<Listing, StoreError> {
        let _alone = self.listing.lock();
        let mut tries = 0..TRIES;
        loop {
            let listing = Listing::of(&self.folder)?;
            tries.next();
            match self.load(&listing) {
                Ok(()) => return Ok(listing),
                // Merged since it was listed.
                Err(_) if !tries.is_empty() && listing.has_gone() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes the index of all segments in `listing`, and forgets all others.
    fn load(&self, listing: &Listing) -> Result<(), StoreError> {
        let index = Index::default();
        for (range, path) in &listing.segments {
            let known = self.segments.of_range(*range);
            let known = known.and_then(|it| {
                it.dead.store(0, Ordering::Relaxed);
                Some((it.id, self.segments.file(it.id).ok()??))
            });
            let (id, file) = match known {
                Some(known) => known,
                None => {
                    let (segment, file) = self.segments.open(*range, path.clone())?;
                    let id = segment.id;
                    self.segments.add(segment, Arc::clone(&file));
                    (id, file)
                }
            };
            for name in read_removed(file.note()).unwrap_or_default() {
                self.forget(index.remove(name));
            }
            for (number, name) in file.names().enumerate() {
                let place = Place::Frozen { segment: id, number: number as u32 };
                self.forget(index.put(name, place));
            }
        }
        self.index.replace(index);
        let listed = |range| listing.segments.iter().any(|(other, _)| *other == range);
        self.segments.retire(|range| !listed(range));
        Ok(())
    }

    /// Removes copies of sources that no tree has any more, and halves of such.
    fn tidy_copies(&self) -> Result<(), StoreError> {
        let folder = self.folder.join(FOLDER);
        let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(()) };
        let mut copies = HashSet::new();
        for segment in self.segments.all() {
            let Some(file) = self.segments.file(segment.id)? else { continue };
            for (number, name) in file.names().enumerate() {
                let place = Place::Frozen { segment: segment.id, number: number as u32 };
                let live = self.index.get(name).is_some_and(|now| now.is(&place));
                let note = Note::read(file.tree_note(number)).filter(|_| live);
                if let Some(Note { kept: Kept::Copy { hash }, .. }) = note {
                    copies.insert(file_name(&hash));
                }
            }
        }
        for entry in entries {
            let entry = entry.map_err(StoreError::io("list", &folder))?;
            if !copies.contains(&*entry.file_name().to_string_lossy()) {
                let path = entry.path();
                std::fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Counts a tree that is of no more use where it was.
    pub(super) fn forget(&self, place: Option<Place>) {
        if let Some(place) = place
            && let Place::Frozen { segment, .. } = place
        {
            self.hot.remove(place.key());
            if let Some(segment) = self.segments.get(segment) {
                segment.dead.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Flushes, and closes the store. Dropping it does the same, but cannot tell what went wrong.
    ///
    /// # Errors
    /// See [`Store::flush`]; what was not written is lost.
    pub fn close(self) -> Result<(), StoreError> {
        if self.writing.is_some() { self.flush() } else { Ok(()) }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.writing.is_some() {
            // Whoever must know calls `close`.
            let _ = self.flush();
        }
    }
}

/// Takes the store for this handle; the lock goes with the file, also of a process that is killed.
fn lock(folder: &Path) -> Result<File, StoreError> {
    std::fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
    let path = folder.join(LOCK);
    if !path.exists() {
        let listing = Listing::of(folder)?;
        if listing.foreign {
            return Err(StoreError::NotAStore { path: folder.into() });
        }
    }
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(StoreError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: folder.into() }),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &path)(error)),
    }
}
