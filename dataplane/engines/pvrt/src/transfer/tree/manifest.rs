//! The manifest: what a tree holds, in the order of a walk, a few bytes an entry.
//!
//! An entry is `shared prefix with the path before it, rest of the path, kind, mode, mtime` and,
//! by kind, a size or where a link points. Paths come in strictly rising order with every folder
//! before what lies in it, so that neither a path twice nor a path through a link can be said.

use super::path::{PATH_MAX, PathError, check, split};
use crate::transfer::codec::{Malformed, Reader, put_bytes, put_varint};
use crate::transfer::error::TransferError;

/// Permission bits that travel: not set-user-id, set-group-id and sticky, which mean something
/// else where the owner is another.
pub const MODE_MASK: u32 = 0o777;
/// Longest target of a symbolic link in bytes.
const LINK_MAX: usize = 4095;
/// Largest file in bytes: what the receiver has addresses for.
pub const FILE_MAX: u64 = 1 << 40;

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file of so many bytes.
    File {
        /// Its bytes.
        size: u64,
    },
    /// A symbolic link.
    Link {
        /// Where it points, as it was written; nothing follows it.
        target: Vec<u8>,
    },
}

/// A file, folder or link of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path below the target, parts joined by `/`; any bytes but NUL.
    pub path: Vec<u8>,
    /// Permission bits, within [`MODE_MASK`].
    pub mode: u32,
    /// Nanoseconds since 1970 of the last change.
    pub mtime: i64,
    /// What it is.
    pub kind: Kind,
}

impl Entry {
    /// Bytes of its content; 0 for folders and links.
    #[must_use]
    pub const fn size(&self) -> u64 {
        match self.kind {
            Kind::File { size } => size,
            _ => 0,
        }
    }
}

/// What entry came last: the next is written or read against it.
#[derive(Clone, Debug, Default)]
pub struct Order {
    last: Vec<u8>,
    /// Lengths of those prefixes of `last` that are folders.
    folders: Vec<usize>,
}

impl Order {
    /// Takes `entry` as the next one.
    ///
    /// # Errors
    /// When its path is refused, does not come after the last one, or lies in no folder that
    /// came before.
    fn accept(&mut self, entry: &Entry) -> Result<(), PathError> {
        check(&entry.path)?;
        let refuse = |why| Err(PathError { path: entry.path.clone(), why });
        let parts = |path: &'_ [u8]| {
            path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        if !self.last.is_empty() && parts(&entry.path) <= parts(&self.last) {
            return refuse("it is out of order, or there twice");
        }
        let (parent, _) = split(&entry.path);
        let last = &self.last;
        self.folders.retain(|&len| {
            entry.path.starts_with(&last[..len]) && entry.path.get(len) == Some(&b'/')
        });
        if self.folders.last().copied().unwrap_or(0) != parent.len() {
            return refuse("it lies in no folder of the manifest");
        }
        self.last.clone_from(&entry.path);
        if entry.kind == Kind::Folder {
            self.folders.push(entry.path.len());
        }
        Ok(())
    }

    /// Appends `entry` to a message.
    ///
    /// # Errors
    /// As for reading: what the other end would refuse is not sent.
    pub fn write(&mut self, entry: &Entry, out: &mut Vec<u8>) -> Result<(), PathError> {
        let shared = self.last.iter().zip(&entry.path).take_while(|(a, b)| a == b).count();
        self.accept(entry)?;
        put_varint(out, shared as u64);
        put_bytes(out, &entry.path[shared..]);
        let kind = match entry.kind {
            Kind::File { .. } => 0,
            Kind::Folder => 1,
            Kind::Link { .. } => 2,
        };
        put_varint(out, u64::from(entry.mode & MODE_MASK) << 2 | kind);
        out.extend_from_slice(&entry.mtime.to_le_bytes());
        match &entry.kind {
            Kind::File { size } => put_varint(out, *size),
            Kind::Folder => {}
            Kind::Link { target } => put_bytes(out, target),
        }
        Ok(())
    }

    /// Reads the next entry.
    ///
    /// # Errors
    /// When it is malformed or its path is refused.
    pub(crate) fn read(&mut self, from: &mut Reader<'_>) -> Result<Entry, TransferError> {
        let shared = from.varint_to(self.last.len() as u64)? as usize;
        let rest = from.bytes(PATH_MAX)?;
        let path = [&self.last[..shared], rest].concat();
        let word = from.varint_to(u64::from(MODE_MASK) << 2 | 3)?;
        let mtime = from.i64()?;
        let kind = match word & 3 {
            0 => Kind::File { size: from.varint_to(FILE_MAX)? },
            1 => Kind::Folder,
            2 => Kind::Link { target: link(from.bytes(LINK_MAX)?)?.to_vec() },
            _ => return Err(Malformed("an entry has an unknown kind").into()),
        };
        let entry = Entry { path, mode: (word >> 2) as u32, mtime, kind };
        self.accept(&entry)?;
        Ok(entry)
    }
}

fn link(target: &[u8]) -> Result<&[u8], Malformed> {
    if target.is_empty() || target.contains(&0) {
        return Err(Malformed("a link points to no path"));
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: Kind) -> Entry {
        Entry { path: path.into(), mode: 0o644, mtime: -1_234_567_890_123, kind }
    }

    fn file(path: &str) -> Entry {
        entry(path, Kind::File { size: 5 })
    }

    fn folder(path: &str) -> Entry {
        entry(path, Kind::Folder)
    }

    fn write(entries: &[Entry]) -> Result<Vec<u8>, PathError> {
        let (mut order, mut out) = (Order::default(), Vec::new());
        for entry in entries {
            order.write(entry, &mut out)?;
        }
        Ok(out)
    }

    fn read(bytes: &[u8]) -> Result<Vec<Entry>, TransferError> {
        let (mut order, mut from) = (Order::default(), Reader::new(bytes));
        let mut entries = Vec::new();
        while !from.is_empty() {
            entries.push(order.read(&mut from)?);
        }
        Ok(entries)
    }

    fn tree() -> Vec<Entry> {
        vec![
            folder("a"),
            file("a/b"),
            folder("a/c"),
            file("a/c/d"),
            entry("a/e", Kind::Link { target: b"../../x".to_vec() }),
            file("a.b"),
            folder("b"),
        ]
    }

    #[test]
    fn a_tree_comes_back() {
        let bytes = write(&tree()).expect("in order");
        assert_eq!(read(&bytes).expect("reads"), tree());
    }

    #[test]
    fn cut_anywhere_it_is_refused_or_shorter() {
        let bytes = write(&tree()).expect("in order");
        for cut in 0..bytes.len() {
            match read(&bytes[..cut]) {
                Ok(entries) => assert!(tree().starts_with(&entries) && entries.len() < 7, "{cut}"),
                Err(error) => assert!(matches!(error, TransferError::Malformed(_)), "{error}"),
            }
        }
    }

    #[test]
    fn what_cannot_be_a_tree_is_refused() {
        let link = entry("l", Kind::Link { target: b"/etc".to_vec() });
        for bad in [
            vec![file("b"), file("a")],
            vec![file("a"), file("a")],
            vec![file("a.b"), folder("a"), file("a/x"), file("a.b")],
            vec![file("a/b")],
            vec![file("a"), file("a/b")],
            vec![link, file("l/passwd")],
            vec![folder("a"), file("ab/c")],
            vec![folder("a"), file("a/b/c")],
            vec![folder("a"), folder("b"), file("a/c")],
            vec![file("../x")],
        ] {
            assert!(write(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_reader_refuses_what_a_foreign_writer_says() {
        // Shared 0, path "..", file, mode 0, mtime 0, size 0.
        let mut up = vec![0, 2, b'.', b'.', 0];
        up.extend_from_slice(&[0; 9]);
        assert!(matches!(read(&up), Err(TransferError::Path(_))));
        let mut kind = vec![0, 1, b'x', 3];
        kind.extend_from_slice(&[0; 9]);
        assert!(matches!(read(&kind), Err(TransferError::Malformed(_))));
        let mut empty_link = vec![0, 1, b'x', 2];
        empty_link.extend_from_slice(&[0; 9]);
        assert!(matches!(read(&empty_link), Err(TransferError::Malformed(_))));
    }
}
