//! What is in a store, in which tier, and whether it is whole.

use std::sync::atomic::Ordering;

use super::error::StoreError;
use super::index::Place;
use super::source::{self, Kept, Note};
use super::{Store, Thawing};

/// Where a tree is. A tree in a tier is in those below it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// On disk only.
    Frozen,
    /// In a segment that is mapped.
    Warm,
    /// In memory, ready to be moved in.
    Hot,
    /// The same, and not yet on disk.
    Waiting,
}

/// A tree of a store.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: Box<str>,
    /// Its grammar's name.
    pub language: Box<str>,
    /// Nodes.
    pub nodes: usize,
    /// Bytes of its source.
    pub source_bytes: usize,
    /// Line feeds of its source.
    pub lines: usize,
    /// Bytes on disk, or that it will take there.
    pub bytes: usize,
    /// How its source is kept.
    pub kept: Kept,
    /// Where it is.
    pub tier: Tier,
}

/// Counts of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Trees.
    pub trees: usize,
    /// Hot trees in memory, held by callers or waiting among them.
    pub hot_trees: usize,
    /// Bytes that were allocated for them.
    pub hot_bytes: usize,
    /// Trees not yet on disk.
    pub waiting_trees: usize,
    /// Bytes of their records.
    pub waiting_bytes: usize,
    /// Segments on disk.
    pub segments: usize,
    /// Bytes of these.
    pub disk_bytes: usize,
    /// Trees in them that were replaced or removed.
    pub dead_trees: usize,
    /// Segments that are mapped.
    pub mapped_segments: usize,
    /// Bytes of these, and of their rows in memory.
    pub mapped_bytes: usize,
    /// Bytes of the table of names.
    pub index_bytes: usize,
    /// Trees given that were hot.
    pub hits: u64,
    /// Trees thawed.
    pub thaws: u64,
}

impl Stats {
    /// Bytes of memory for trees: what the budget bounds, and the table of names.
    pub const fn memory(&self) -> usize {
        self.hot_bytes + self.waiting_bytes + self.mapped_bytes + self.index_bytes
    }
}

/// A tree that cannot be read, or whose source is not there.
#[derive(Debug)]
pub struct Damage {
    /// Its name.
    pub name: Box<str>,
    /// What is wrong.
    pub error: StoreError,
}

impl Store {
    /// All trees by name; maps every segment once.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, StoreError> {
        let names = self.index.names();
        let entries = names.iter().map(|name| self.entry(name));
        entries.filter_map(Result::transpose).collect()
    }

    /// One tree's row of [`Store::list`]; none if there is no such.
    ///
    /// # Errors
    /// Its segment cannot be read.
    pub fn entry(&self, name: &str) -> Result<Option<Entry>, StoreError> {
        self.look(name, |place| {
            let (note, language, bytes, tier) = match &place {
                Place::Waiting(waiting) => {
                    let language = waiting.frozen.grammar().identity().name.clone();
                    (waiting.note.clone(), language, waiting.frozen.bytes(), Tier::Waiting)
                }
                Place::Frozen { segment, number } => {
                    let warm = self.segments.is_mapped(*segment);
                    let file = self.segments.file(*segment)?.ok_or(Thawing::Moved)?;
                    let number = *number as usize;
                    let tier = match (self.hot.peek(place.key()), warm) {
                        (true, _) => Tier::Hot,
                        (false, true) => Tier::Warm,
                        (false, false) => Tier::Frozen,
                    };
                    let none = Note { nodes: 0, bytes: 0, lines: 0, kept: Kept::Nothing };
                    let note = Note::read(file.tree_note(number)).unwrap_or(none);
                    let language = file.grammar_name(number).unwrap_or_default().into();
                    (note, language, file.tree_bytes(number), tier)
                }
            };
            Ok(Entry {
                name: name.into(),
                language,
                nodes: note.nodes as usize,
                source_bytes: note.bytes as usize,
                lines: note.lines as usize,
                bytes,
                kept: note.kept,
                tier,
            })
        })
    }

    /// Counts, as they are now.
    pub fn stats(&self) -> Stats {
        let segments = self.segments.all();
        let (mapped_segments, mapped_bytes) = self.segments.mapped();
        let (waiting_trees, waiting_bytes) = self.waiting();
        Stats {
            trees: self.len(),
            hot_trees: self.hot.live.trees.load(Ordering::Relaxed),
            hot_bytes: self.hot.live.bytes.load(Ordering::Relaxed),
            waiting_trees,
            waiting_bytes,
            segments: segments.len(),
            disk_bytes: segments.iter().map(|it| it.bytes).sum(),
            dead_trees: segments.iter().map(|it| it.dead.load(Ordering::Relaxed) as usize).sum(),
            mapped_segments,
            mapped_bytes,
            index_bytes: self.index.bytes(),
            hits: self.hot.hits.load(Ordering::Relaxed),
            thaws: self.hot.thaws.load(Ordering::Relaxed),
        }
    }

    /// Reads every block of every tree, and the sources that are kept; tells what is wrong. `progress`
    /// is called behind each tree with how many were read, and of how many.
    pub fn verify(&self, mut progress: impl FnMut(usize, usize)) -> Vec<Damage> {
        let names = self.index.names();
        let mut damages = Vec::new();
        for (done, name) in names.iter().enumerate() {
            if let Err(error) = self.check(name) {
                damages.push(Damage { name: name.clone(), error });
            }
            progress(done + 1, names.len());
        }
        damages
    }

    fn check(&self, name: &str) -> Result<(), StoreError> {
        let checked = self.look(name, |place| {
            if let Place::Frozen { segment, number } = place {
                // From disk, whether or not it is hot.
                self.thaw(name, segment, number)?;
            }
            let note = self.note(&place).ok_or(Thawing::Moved)?;
            if note.kept != Kept::Nothing {
                source::open(&self.folder, name, &note)?;
            }
            Ok(())
        });
        checked.map(|_| ())
    }
}
