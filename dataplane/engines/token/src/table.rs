//! Read-only arrays that are either built in this process or lie in a mapped vocabulary file.

use std::ops::Deref;
use std::sync::Arc;

use bytemuck::Pod;
use memmap2::Mmap;

use crate::pages::{Granted, Pages};

/// A read-only `[T]`, owned (in huge pages where it is large) or borrowed from a mapped file that it keeps alive.
///
/// The encoder takes the slice once per call, so that where it lies costs nothing per byte.
#[derive(Clone, Debug)]
pub struct Table<T: Pod>(Backing<T>);

#[derive(Clone, Debug)]
enum Backing<T: Pod> {
    Owned(Arc<[T]>),
    Pages { pages: Arc<Pages>, len: usize },
    Mapped { file: Arc<Mmap>, start: usize, len: usize },
}

impl<T: Pod> Table<T> {
    /// The `len` elements that begin `start` bytes into `file`; `None` where they do not lie in it,
    /// or not at an address aligned for `T`.
    #[must_use]
    pub fn mapped(file: Arc<Mmap>, start: usize, len: usize) -> Option<Self> {
        let end = len.checked_mul(size_of::<T>())?.checked_add(start)?;
        bytemuck::try_cast_slice::<u8, T>(file.get(start..end)?).ok()?;
        Some(Self(Backing::Mapped { file, start, len }))
    }

    /// What its memory lies in. A mapped file's pages are the page cache's.
    #[must_use]
    pub fn granted(&self) -> Granted {
        match &self.0 {
            Backing::Pages { pages, .. } => pages.granted(),
            Backing::Owned(_) | Backing::Mapped { .. } => Granted::Small,
        }
    }
}

impl<T: Pod> From<Vec<T>> for Table<T> {
    fn from(values: Vec<T>) -> Self {
        let len = values.len();
        match Pages::copy_of(bytemuck::cast_slice(&values)) {
            Some(pages) => Self(Backing::Pages { pages: Arc::new(pages), len }),
            None => Self(Backing::Owned(values.into())),
        }
    }
}

impl<T: Pod> Deref for Table<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Backing::Owned(values) => values,
            Backing::Pages { pages, len } => {
                bytemuck::cast_slice(pages.bytes(len * size_of::<T>()))
            }
            Backing::Mapped { file, start, len } => {
                bytemuck::cast_slice(&file[*start..*start + len * size_of::<T>()])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_mapped_table_reads_its_file_and_refuses_what_lies_outside() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1, 0, 0, 0, 2, 0, 0, 0]).unwrap();
        // SAFETY: the file is private to this test and not changed while mapped.
        let map = Arc::new(unsafe { Mmap::map(&file) }.unwrap());
        let table = Table::<u32>::mapped(Arc::clone(&map), 0, 2).unwrap();
        assert_eq!(&*table, &[1, 2]);
        assert!(Table::<u32>::mapped(Arc::clone(&map), 4, 2).is_none(), "past the end");
        assert!(Table::<u32>::mapped(Arc::clone(&map), 1, 1).is_none(), "not aligned");
        assert!(Table::<u32>::mapped(map, 8, usize::MAX).is_none(), "length overflows");
    }
}
