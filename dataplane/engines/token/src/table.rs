//! Read-only arrays that are either built in this process or lie in a mapped vocabulary file.

use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use bytemuck::Pod;
use memmap2::Mmap;

use crate::pages::{Granted, Pages};

/// A read-only `[T]`, owned (in huge pages where it is large) or borrowed from a mapped file that
/// it keeps alive.
///
/// Where it lies is found out once: taking the slice is two loads.
#[derive(Clone, Debug)]
pub struct Table<T: Pod> {
    start: NonNull<T>,
    len: usize,
    backing: Backing<T>,
}

/// What keeps the elements where they are, unchanged.
#[derive(Clone, Debug)]
enum Backing<T: Pod> {
    Owned(#[expect(dead_code, reason = "it holds the elements")] Arc<[T]>),
    Pages(Arc<Pages>),
    Mapped(#[expect(dead_code, reason = "it holds the elements")] Arc<Mmap>),
}

// SAFETY: the elements are only read, and what keeps them (an `Arc` of read-only memory) may be
// dropped by any thread.
unsafe impl<T: Pod + Send + Sync> Send for Table<T> {}
// SAFETY: as above.
unsafe impl<T: Pod + Send + Sync> Sync for Table<T> {}

impl<T: Pod> Table<T> {
    /// The `len` elements that begin `start` bytes into `file`; `None` where they do not lie in it,
    /// or not at an address aligned for `T`.
    #[must_use]
    pub fn mapped(file: Arc<Mmap>, start: usize, len: usize) -> Option<Self> {
        let end = len.checked_mul(size_of::<T>())?.checked_add(start)?;
        let values = bytemuck::try_cast_slice::<u8, T>(file.get(start..end)?).ok()?;
        let start = NonNull::from(values).cast();
        Some(Self { start, len, backing: Backing::Mapped(file) })
    }

    /// What its memory lies in. A mapped file's pages are the page cache's.
    #[must_use]
    pub fn granted(&self) -> Granted {
        match &self.backing {
            Backing::Pages(pages) => pages.granted(),
            Backing::Owned(_) | Backing::Mapped(_) => Granted::Small,
        }
    }
}

impl<T: Pod> From<Vec<T>> for Table<T> {
    fn from(values: Vec<T>) -> Self {
        let len = values.len();
        let bytes: &[u8] = bytemuck::cast_slice(&values);
        if let Some(pages) = Pages::copy_of(bytes) {
            let copy: &[T] = bytemuck::cast_slice(pages.bytes(bytes.len()));
            let start = NonNull::from(copy).cast();
            return Self { start, len, backing: Backing::Pages(Arc::new(pages)) };
        }
        let values: Arc<[T]> = values.into();
        Self { start: NonNull::from(&*values).cast(), len, backing: Backing::Owned(values) }
    }
}

impl<T: Pod> Deref for Table<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `start` and `len` come from a slice of the backing's memory, which does not move
        // (heap, pages of its own, or a mapping), is never written, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
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
