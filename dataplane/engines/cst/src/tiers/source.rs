//! Sources of stored trees: by reference to their file, mapped while it is unchanged, or as copies.
//!
//! Of each tree a segment notes, in LEB128 where no width is told: nodes, bytes and lines of its
//! source, then how that is kept: 0 not; 1 as a file: path (length and bytes), seconds and nanoseconds
//! of its last change (8 and 4 bytes, little endian), BLAKE3 of its bytes (32); 2 as a copy: BLAKE3 (32).
//! Copies are files in the folder `sources`, named by their BLAKE3 in hexadecimal.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::error::StoreError;
use crate::varint::{Rest, push};

pub(super) const FOLDER: &str = "sources";

/// What to keep of a tree's source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep<'a> {
    /// Nothing: its text must come from elsewhere.
    #[default]
    Nothing,
    /// The file that it was read from, by reference: it is mapped when asked for, as long as its
    /// bytes are the same. A path that is not absolute is taken from the current folder.
    File(&'a Path),
    /// A copy in the store; one for all trees of the same bytes.
    Copy,
}

/// How a tree's source is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Not at all.
    Nothing,
    /// As a file elsewhere.
    File {
        /// Where.
        path: PathBuf,
        /// Its last change then, seconds and nanoseconds since 1970.
        changed: (i64, u32),
        /// BLAKE3 of its bytes.
        hash: [u8; 32],
    },
    /// As a copy in the store.
    Copy {
        /// BLAKE3 of its bytes.
        hash: [u8; 32],
    },
}

/// What a segment notes of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) nodes: u32,
    pub(super) bytes: u32,
    pub(super) lines: u32,
    pub(super) kept: Kept,
}

impl Note {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for number in [self.nodes, self.bytes, self.lines] {
            push(&mut out, u64::from(number));
        }
        match &self.kept {
            Kept::Nothing => out.push(0),
            Kept::File { path, changed: (seconds, nanos), hash } => {
                out.push(1);
                push(&mut out, path.as_os_str().len() as u64);
                out.extend(path.as_os_str().as_bytes());
                out.extend(seconds.to_le_bytes());
                out.extend(nanos.to_le_bytes());
                out.extend(hash);
            }
            Kept::Copy { hash } => {
                out.push(2);
                out.extend(hash);
            }
        }
        out
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let (nodes, bytes, lines) = (rest.number()?, rest.number()?, rest.number()?);
        let kept = match rest.byte()? {
            0 => Kept::Nothing,
            1 => {
                let path = PathBuf::from(OsStr::from_bytes(rest.bytes()?));
                let changed = (rest.long()?.cast_signed(), rest.word()?);
                Kept::File { path, changed, hash: *rest.take(32)?.first_chunk()? }
            }
            2 => Kept::Copy { hash: *rest.take(32)?.first_chunk()? },
            _ => return None,
        };
        rest.0.is_empty().then_some(Self { nodes, bytes, lines, kept })
    }
}

/// A source's bytes, mapped.
#[derive(Debug)]
pub struct Source(Option<Mmap>);

impl Deref for Source {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

/// Keeps `source` as asked; gives how.
pub(super) fn keep(store: &Path, source: &[u8], how: Keep<'_>) -> Result<Kept, StoreError> {
    let hash = || *blake3::hash(source).as_bytes();
    Ok(match how {
        Keep::Nothing => Kept::Nothing,
        Keep::File(path) => {
            let path = std::path::absolute(path).map_err(StoreError::io("find", path))?;
            let found = path.metadata().map_err(StoreError::io("look at", &path))?;
            let changed = (found.mtime(), found.mtime_nsec() as u32);
            Kept::File { path, changed, hash: hash() }
        }
        Keep::Copy => {
            let hash = hash();
            copy(store, source, &hash)?;
            Kept::Copy { hash }
        }
    })
}

fn copy(store: &Path, source: &[u8], hash: &[u8; 32]) -> Result<(), StoreError> {
    let folder = store.join(FOLDER);
    let path = folder.join(file_name(hash));
    if path.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
    let mut beside = tempfile_in(&folder)?;
    let written = beside.1.write_all(source).and_then(|()| beside.1.sync_all());
    let moved = written.and_then(|()| std::fs::rename(&beside.0, &path));
    if let Err(source) = moved {
        // What is left of it helps nobody.
        let _ = std::fs::remove_file(&beside.0);
        return Err(StoreError::Io { doing: "write", path: beside.0, source });
    }
    let synced = File::open(&folder).and_then(|folder| folder.sync_all());
    synced.map_err(StoreError::io("sync", &folder))
}

/// A new file beside what it will be, which opening the store removes if it is left.
fn tempfile_in(folder: &Path) -> Result<(PathBuf, File), StoreError> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("{}-{number}.part", std::process::id()));
    let file = File::create(&path).map_err(StoreError::io("create", &path))?;
    Ok((path, file))
}

pub(super) fn file_name(hash: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*hash).to_hex().to_string()
}

/// Maps the source of the tree `name`, and holds it against what was noted.
pub(super) fn open(store: &Path, name: &str, note: &Note) -> Result<Source, StoreError> {
    let (path, hash) = match &note.kept {
        Kept::Nothing => return Err(StoreError::NoSource { name: name.into() }),
        Kept::File { path, hash, .. } => (path.clone(), hash),
        Kept::Copy { hash } => (store.join(FOLDER).join(file_name(hash)), hash),
    };
    let changed = |how| StoreError::SourceChanged { name: name.into(), file: path.clone(), how };
    let file = File::open(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => changed("it is gone"),
        _ => StoreError::io("open", &path)(error),
    })?;
    let found = file.metadata().map_err(StoreError::io("look at", &path))?;
    if found.len() != u64::from(note.bytes) {
        return Err(changed("it has another length"));
    }
    let source = if found.len() == 0 {
        Source(None)
    } else {
        // SAFETY: copies are never changed. A file of the user's is read as whatever it holds: its
        // bytes are compared with the hash now, positions beyond its end are never taken from a
        // tree without `get`, and one that is cut while it is mapped ends the process with SIGBUS,
        // as every mapped file does.
        Source(Some(unsafe { Mmap::map(&file) }.map_err(StoreError::io("map", &path))?))
    };
    if blake3::hash(&source).as_bytes() != hash {
        return Err(changed("its bytes differ"));
    }
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_back_and_cut_ones_do_not() {
        let file = Kept::File { path: "/a/b".into(), changed: (-3, 999), hash: [7; 32] };
        for kept in [Kept::Nothing, file, Kept::Copy { hash: [9; 32] }] {
            let note = Note { nodes: 70_000, bytes: 0, lines: u32::MAX, kept };
            let bytes = note.write();
            assert_eq!(Note::read(&bytes), Some(note));
            for len in 0..bytes.len() {
                assert_eq!(Note::read(&bytes[..len]), None);
            }
        }
    }
}
