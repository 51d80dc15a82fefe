//! Changes to a store: trees put and removed, and written to segments.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::Store;
use super::error::StoreError;
use super::hot::Stored;
use super::index::{Place, Waiting};
use super::segments::{Range, write_removed};
use super::source::{self, Keep, Note};
use crate::cold::{Freezer, Frozen, Positions, Writer};
use crate::flat::{Flat, Flattener};
use crate::hot::HotTree;
use crate::languages::{Grammar, Registry};
use crate::parse::{Limits, Parser};

/// Freezers kept for the next tree.
const FREEZERS: usize = 8;

/// What a store that writes has besides.
#[derive(Debug)]
pub(super) struct Writing {
    /// Locked as long as it is open.
    _lock: File,
    pub(super) batch: Mutex<Batch>,
    freezers: Mutex<Vec<Freezer>>,
}

/// What the next segment will be.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Its number.
    pub(super) next: u32,
    trees: BTreeMap<Box<str>, Arc<Waiting>>,
    removed: BTreeSet<Box<str>>,
    /// Bytes of the trees' records, and of all that they take.
    records: usize,
    bytes: usize,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.trees.is_empty() && self.removed.is_empty()
    }

    fn put(&mut self, name: &str, waiting: &Arc<Waiting>) {
        self.drop_tree(name);
        self.records += waiting.frozen.bytes();
        self.bytes += waiting.bytes();
        self.removed.remove(name);
        self.trees.insert(name.into(), Arc::clone(waiting));
    }

    fn drop_tree(&mut self, name: &str) {
        if let Some(before) = self.trees.remove(name) {
            self.records -= before.frozen.bytes();
            self.bytes -= before.bytes();
        }
    }
}

impl Writing {
    pub(super) fn new(lock: File, next: u32) -> Self {
        let batch = Batch { next, ..Batch::default() };
        Self { _lock: lock, batch: Mutex::new(batch), freezers: Mutex::default() }
    }
}

impl Store {
    /// Trees that wait, and bytes of their records.
    pub(super) fn waiting(&self) -> (usize, usize) {
        self.writing.as_ref().map_or((0, 0), |writing| {
            let batch = writing.batch.lock();
            (batch.trees.len(), batch.records)
        })
    }

    fn writing(&self) -> Result<&Writing, StoreError> {
        self.writing.as_ref().ok_or_else(|| StoreError::ReadOnly { path: self.folder.clone() })
    }

    /// Parses `source` and puts its tree under `name`, in place of one that was there. `language`
    /// names its grammar; without, it follows from the name or the source.
    ///
    /// # Errors
    /// No grammar is for it, a limit was met, or see [`Store::put`].
    pub fn put_source(
        &self,
        name: &str,
        language: Option<&str>,
        source: &[u8],
        keep: Keep<'_>,
        limits: Limits<'_>,
    ) -> Result<Arc<Stored>, StoreError> {
        let grammar = match language {
            Some(language) => (self.find.0)(language),
            None => Registry::shared()
                .detect(Path::new(name), source)
                .and_then(|found| (self.find.0)(&found.identity().name)),
        };
        let unknown = || StoreError::Language { name: language.unwrap_or(name).into() };
        let grammar = grammar.ok_or_else(unknown)?;
        let tree = Parser::new(&grammar)?.parse(source, None, limits)?;
        let mut flattener = match self.config.supertypes {
            true => Flattener::with_supertypes(&grammar)?,
            false => Flattener::new(&grammar),
        };
        let flat = flattener.flatten(&tree, source)?;
        drop(tree);
        self.put(name, &grammar, &flat, source, keep)
    }

    /// Puts a tree under `name`, in place of one that was there. `flat` are its columns, `source` is
    /// what it was parsed from. It is hot until it is written; see the [module](super) for when that is.
    ///
    /// # Errors
    /// The store is open to read only, the source cannot be kept, or older trees had to be written
    /// first and could not; then nothing has changed.
    pub fn put(
        &self,
        name: &str,
        grammar: &Arc<Grammar>,
        flat: &Flat,
        source: &[u8],
        keep: Keep<'_>,
    ) -> Result<Arc<Stored>, StoreError> {
        let writing = self.writing()?;
        if keep == Keep::Nothing && self.config.freeze.positions == Positions::Guessed {
            return Err(StoreError::NoSource { name: name.into() });
        }
        let frozen = self.freeze(writing, grammar, flat, source)?;
        let kept = source::keep(&self.folder, source, keep)?;
        let (nodes, lines) = (flat.len() as u32, flat.lines.len() as u32);
        let note = Note { nodes, bytes: flat.source_len, lines, kept };
        let hot = Stored::new(HotTree::from_flat(grammar, flat), &self.hot.live);
        let waiting = Arc::new(Waiting { frozen, hot: Arc::clone(&hot), note });
        let mut batch = writing.batch.lock();
        let bytes = batch.bytes + waiting.bytes();
        if batch.records >= self.config.segment_bytes || bytes > self.config.budget / 8 {
            self.write(&mut batch)?;
        }
        batch.put(name, &waiting);
        self.forget(self.index.put(name, Place::Waiting(waiting)));
        Ok(hot)
    }

    pub(super) fn freeze(
        &self,
        writing: &Writing,
        grammar: &Arc<Grammar>,
        flat: &Flat,
        source: &[u8],
    ) -> Result<Frozen, StoreError> {
        let mut freezers = writing.freezers.lock();
        let kept = freezers.iter().position(|it| Arc::ptr_eq(it.grammar(), grammar));
        let kept = kept.map(|at| freezers.swap_remove(at));
        drop(freezers);
        let mut freezer = match kept {
            Some(freezer) => freezer,
            None => Freezer::new(grammar, self.config.freeze)?,
        };
        let frozen = freezer.freeze(flat, source)?;
        let mut freezers = writing.freezers.lock();
        if freezers.len() < FREEZERS {
            freezers.push(freezer);
        }
        Ok(frozen)
    }

    /// Removes the tree called `name`; whether there was one. It is gone from disk for good with the
    /// next flush.
    ///
    /// # Errors
    /// The store is open to read only.
    pub fn remove(&self, name: &str) -> Result<bool, StoreError> {
        let mut batch = self.writing()?.batch.lock();
        let removed = self.index.remove(name);
        let was = removed.is_some();
        if was {
            batch.drop_tree(name);
            batch.removed.insert(name.into());
        }
        self.forget(removed);
        Ok(was)
    }

    /// Writes all that waits, and syncs it. Trees that were put before are safe when it returns.
    ///
    /// # Errors
    /// The disk is full or fails, or the store is open to read only. What was not written still waits.
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut batch = self.writing()?.batch.lock();
        self.write(&mut batch)
    }

    fn write(&self, batch: &mut MutexGuard<'_, Batch>) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let range = Range { first: batch.next, last: batch.next, generation: 0 };
        let path = self.folder.join(range.file_name());
        let mut writer = Writer::create(&path).map_err(StoreError::segment(&path))?;
        for (name, waiting) in &batch.trees {
            let added = writer.add_frozen(name, &waiting.frozen, &waiting.note.write());
            added.map_err(StoreError::segment(&path))?;
        }
        writer.set_note(write_removed(batch.removed.iter().map(|name| &**name)));
        writer.finish().map_err(StoreError::segment(&path))?;
        // From here on it is on disk: the index follows.
        batch.next += 1;
        let (segment, file) = self.segments.open(range, path)?;
        let id = segment.id;
        self.segments.add(segment, file);
        let trees = std::mem::take(&mut batch.trees);
        for (number, (name, waiting)) in trees.into_iter().enumerate() {
            let place = Place::Frozen { segment: id, number: number as u32 };
            self.hot.insert(place.key(), Arc::clone(&waiting.hot));
            self.index.move_to(&name, &Place::Waiting(waiting), place);
        }
        let next = batch.next;
        **batch = Batch { next, ..Batch::default() };
        let merged = self.merge(batch);
        super::hot::give_back();
        merged
    }
}
