//! Segments: immutable files of cold trees, and which of them are mapped.
//!
//! A segment is a file of cold trees (`cold/file.rs`), named `FIRST-LAST.GENERATION.cst`. Later ones
//! go before earlier ones. One made of several covers their numbers and replaces all that lie within
//! them, so that moving one file into place is all that a merge changes. Its note has the names that
//! were removed: their count, then of each length and bytes (LEB128).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::{Mutex, RwLock};

use super::error::StoreError;
use crate::cold::{ColdError, ColdFile};
use crate::languages::Grammar;
use crate::varint::{Rest, push};

/// Gives the grammar of a name.
pub(super) type Find = dyn Fn(&str) -> Option<Arc<Grammar>> + Send + Sync;

/// What a segment's file name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) generation: u32,
}

impl Range {
    pub(super) fn file_name(self) -> String {
        let Self { first, last, generation } = self;
        format!("{first:010}-{last:010}.{generation}.cst")
    }

    fn parse(name: &str) -> Option<Self> {
        let (range, generation) = name.strip_suffix(".cst")?.split_once('.')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some(Self { first, last, generation: generation.parse().ok()? })
    }

    /// Whether `other` is of no more use beside this.
    pub(super) fn replaces(self, other: Self) -> bool {
        let within = self.first <= other.first && other.last <= self.last;
        within && (self.first, self.last) != (other.first, other.last)
            || (self.first, self.last) == (other.first, other.last)
                && self.generation > other.generation
    }
}

/// A segment of the store.
#[derive(Debug)]
pub(super) struct Segment {
    /// Its number in this process, never given twice.
    pub(super) id: u32,
    pub(super) range: Range,
    pub(super) path: PathBuf,
    pub(super) bytes: usize,
    pub(super) trees: u32,
    /// Trees that were replaced or removed since.
    pub(super) dead: AtomicU32,
}

/// What is in a store's folder.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Segments in use, the oldest first.
    pub(super) segments: Vec<(Range, PathBuf)>,
    /// Files left behind by a process that was killed.
    pub(super) left: Vec<PathBuf>,
    /// Whether there is anything else but a store's.
    pub(super) foreign: bool,
}

impl Listing {
    pub(super) fn of(folder: &Path) -> Result<Self, StoreError> {
        let mut listing = Self::default();
        let entries = std::fs::read_dir(folder).map_err(StoreError::io("list", folder))?;
        for entry in entries {
            let entry = entry.map_err(StoreError::io("list", folder))?;
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.to_string_lossy();
            match Range::parse(&name) {
                Some(range) => listing.segments.push((range, path)),
                None if name.ends_with(".part") => listing.left.push(path),
                None if name == super::LOCK || name == super::source::FOLDER => {}
                None => listing.foreign = true,
            }
        }
        let all: Vec<_> = listing.segments.iter().map(|(range, _)| *range).collect();
        let replaced = |range: Range| all.iter().any(|other| other.replaces(range));
        let (left, used) = listing.segments.drain(..).partition(|(range, _)| replaced(*range));
        listing.left.extend(Vec::into_iter(left).map(|(_, path): (Range, PathBuf)| path));
        listing.segments = used;
        listing.segments.sort();
        Ok(listing)
    }

    /// Whether a segment is not there any more.
    pub(super) fn has_gone(&self) -> bool {
        self.segments.iter().any(|(_, path)| !path.exists())
    }
}

/// Names removed, as a segment's note.
pub(super) fn write_removed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out, names.len() as u64);
    for name in names {
        push(&mut out, name.len() as u64);
        out.extend(name.as_bytes());
    }
    out
}

/// The names of a segment's note; none if it is no such note.
pub(super) fn read_removed(note: &[u8]) -> Option<Vec<&str>> {
    let mut rest = Rest(note);
    let count = rest.number()?;
    (0..count).map(|_| std::str::from_utf8(rest.bytes()?).ok()).collect()
}

/// Segments that are mapped, the longest unused first.
#[derive(Debug, Default)]
struct Mapped {
    files: Vec<(u32, Arc<ColdFile>)>,
    bytes: usize,
}

/// All segments of a store, and those of them that are mapped.
pub(super) struct Segments {
    list: RwLock<Vec<Arc<Segment>>>,
    mapped: Mutex<Mapped>,
    /// Most bytes to have mapped, but for one segment, which always may.
    most: usize,
    find: Arc<Find>,
    next: AtomicU32,
}

impl std::fmt::Debug for Segments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segments").field("list", &self.list).finish_non_exhaustive()
    }
}

impl Segments {
    pub(super) fn new(most: usize, find: Arc<Find>) -> Self {
        let (list, mapped) = (RwLock::default(), Mutex::default());
        Self { list, mapped, most, find, next: AtomicU32::new(0) }
    }

    /// All, the oldest first.
    pub(super) fn all(&self) -> Vec<Arc<Segment>> {
        self.list.read().clone()
    }

    pub(super) fn get(&self, id: u32) -> Option<Arc<Segment>> {
        self.list.read().iter().find(|segment| segment.id == id).map(Arc::clone)
    }

    /// Opens the file at `path` as a segment, which [`Segments::add`] makes one of the store's.
    pub(super) fn open(
        &self,
        range: Range,
        path: PathBuf,
    ) -> Result<(Segment, Arc<ColdFile>), StoreError> {
        let file = ColdFile::open(&path, |name| (self.find)(name));
        let mut file = file.map_err(StoreError::segment(&path))?;
        file.adopt_symbols();
        if read_removed(file.note()).is_none() {
            let part = "note of removed names".into();
            return Err(StoreError::segment(&path)(ColdError::Malformed { part }));
        }
        let segment = Segment {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            range,
            bytes: file.bytes(),
            trees: file.len() as u32,
            dead: AtomicU32::new(0),
            path,
        };
        Ok((segment, Arc::new(file)))
    }

    /// Adds a segment. Those that it replaces stay until [`Segments::retire`], so that whoever still
    /// looks for a tree there finds it.
    pub(super) fn add(&self, segment: Segment, file: Arc<ColdFile>) {
        let (id, range) = (segment.id, segment.range);
        let mut list = self.list.write();
        let at = list.partition_point(|other| other.range < range);
        list.insert(at, Arc::new(segment));
        drop(list);
        self.mapped.lock().put(id, file, self.most);
    }

    /// Drops the segments that `is_gone` says are; gives them.
    pub(super) fn retire(&self, is_gone: impl Fn(Range) -> bool) -> Vec<Arc<Segment>> {
        let gone: Vec<_> = self.list.write().extract_if(.., |it| is_gone(it.range)).collect();
        gone.iter().for_each(|segment| self.unmap(segment.id));
        gone
    }

    /// The segment of `range`, if it is there.
    pub(super) fn of_range(&self, range: Range) -> Option<Arc<Segment>> {
        self.list.read().iter().find(|segment| segment.range == range).map(Arc::clone)
    }

    fn unmap(&self, id: u32) {
        let mut mapped = self.mapped.lock();
        if let Some(at) = mapped.files.iter().position(|(other, _)| *other == id) {
            let (_, file) = mapped.files.remove(at);
            mapped.bytes -= cost(&file);
        }
    }

    /// The file of a segment, mapped now if it is not; none if the segment was replaced meanwhile.
    pub(super) fn file(&self, id: u32) -> Result<Option<Arc<ColdFile>>, StoreError> {
        if let Some(file) = self.mapped.lock().touch(id) {
            return Ok(Some(file));
        }
        let Some(segment) = self.get(id) else { return Ok(None) };
        let file = match ColdFile::open(&segment.path, |name| (self.find)(name)) {
            Ok(file) => file,
            // A writer, perhaps of another process, has merged it since.
            Err(_) if !segment.path.exists() => return Ok(None),
            Err(error) => return Err(StoreError::segment(&segment.path)(error)),
        };
        let file = Arc::new(file);
        self.mapped.lock().put(id, Arc::clone(&file), self.most);
        Ok(Some(file))
    }

    /// Segments mapped, and bytes counted for them.
    pub(super) fn mapped(&self) -> (usize, usize) {
        let mapped = self.mapped.lock();
        (mapped.files.len(), mapped.bytes)
    }

    pub(super) fn is_mapped(&self, id: u32) -> bool {
        self.mapped.lock().files.iter().any(|(other, _)| *other == id)
    }
}

/// Bytes of a mapped file, all taken as resident, and of its rows.
fn cost(file: &ColdFile) -> usize {
    file.bytes() + 56 * file.len()
}

impl Mapped {
    fn touch(&mut self, id: u32) -> Option<Arc<ColdFile>> {
        let at = self.files.iter().rposition(|(other, _)| *other == id)?;
        let entry = self.files.remove(at);
        let file = Arc::clone(&entry.1);
        self.files.push(entry);
        Some(file)
    }

    fn put(&mut self, id: u32, file: Arc<ColdFile>, most: usize) {
        if self.touch(id).is_some() {
            return;
        }
        self.bytes += cost(&file);
        self.files.push((id, file));
        while self.bytes > most && self.files.len() > 1 {
            let (_, file) = self.files.remove(0);
            self.bytes -= cost(&file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_say_what_replaces_what() {
        let range = |first, last, generation| Range { first, last, generation };
        for it in [range(1, 1, 0), range(3, 9, 12)] {
            assert_eq!(Range::parse(&it.file_name()), Some(it));
        }
        for name in ["1-2.cst", "2-1.0.cst", "a-b.0.cst", "1-2.0.cst.77.part", "LOCK"] {
            assert_eq!(Range::parse(name), None);
        }
        assert!(range(1, 3, 0).replaces(range(2, 3, 5)));
        assert!(range(2, 2, 1).replaces(range(2, 2, 0)));
        assert!(!range(2, 2, 0).replaces(range(2, 2, 0)));
        assert!(!range(2, 2, 9).replaces(range(1, 2, 0)));
        assert!(!range(1, 2, 0).replaces(range(2, 3, 0)));
    }

    #[test]
    fn removed_names_come_back() {
        let names = ["a", "", "ü/b"];
        let note = write_removed(names.into_iter());
        assert_eq!(read_removed(&note).unwrap(), names);
        assert_eq!(read_removed(&note[..note.len() - 1]), None);
    }
}
