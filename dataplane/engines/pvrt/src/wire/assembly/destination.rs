//! Where a file is put together.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use thiserror::Error;

/// A destination that cannot be had.
#[derive(Debug, Error)]
pub enum DestinationError {
    /// The disk, or what the user may have of it, is full.
    #[error("no room for the file's {size} bytes ({source}): free some or receive elsewhere")]
    Full {
        /// Bytes of the file.
        size: u64,
        /// What the kernel says.
        source: io::Error,
    },
    /// The file cannot be sized or mapped.
    #[error("cannot map {size} bytes of the file: {source}")]
    Map {
        /// Bytes of the file.
        size: u64,
        /// What the kernel says.
        source: io::Error,
    },
    /// More bytes than this machine has addresses for.
    #[error("{0} bytes are more than this machine can map")]
    Size(u64),
}

/// A file's bytes while they arrive: a mapped file, or memory.
#[derive(Debug)]
pub struct Destination {
    /// `None` for no bytes: there is nothing to map.
    map: Option<MmapRaw>,
    size: usize,
}

impl Destination {
    /// `file`, made `size` bytes long and all of it allocated on disk first, so that a full disk is
    /// an error here and not a signal later. Bytes that are there already stay.
    ///
    /// The file must stay that long while this lives: who maps a file that another shortens is
    /// killed by the kernel when it touches what is gone.
    ///
    /// # Errors
    /// When there is no room, or the file cannot be mapped.
    pub fn file(file: &File, size: u64) -> Result<Self, DestinationError> {
        let (len, signed) = (usize::try_from(size), i64::try_from(size));
        let (Ok(len), Ok(signed)) = (len, signed) else { return Err(DestinationError::Size(size)) };
        let map = |source| DestinationError::Map { size, source };
        file.set_len(size).map_err(map)?;
        if len == 0 {
            return Ok(Self { map: None, size: 0 });
        }
        match fallocate(file.as_fd(), FallocateFlags::empty(), 0, signed) {
            // A filesystem that cannot allocate ahead.
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {}
            Err(errno @ (Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG)) => {
                return Err(DestinationError::Full { size, source: errno.into() });
            }
            Err(errno) => return Err(map(errno.into())),
        }
        let mapped = MmapOptions::new().len(len).map_raw(file).map_err(map)?;
        Ok(Self { map: Some(mapped), size: len })
    }

    /// Memory of `size` bytes, all 0.
    ///
    /// # Errors
    /// When the kernel does not give so much.
    pub fn memory(size: u64) -> Result<Self, DestinationError> {
        let len = usize::try_from(size).map_err(|_| DestinationError::Size(size))?;
        if len == 0 {
            return Ok(Self { map: None, size: 0 });
        }
        let mapped = MmapOptions::new().len(len).map_anon();
        let mapped = mapped.map_err(|source| DestinationError::Map { size, source })?;
        Ok(Self { map: Some(mapped.into()), size: len })
    }

    /// Bytes of the file.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size as u64
    }

    /// Writes what has arrived to disk, and waits for it; nothing for memory.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sync(&self) -> io::Result<()> {
        self.map.as_ref().map_or(Ok(()), MmapRaw::flush)
    }

    /// Where the `len` bytes from `from` on are; `None` when they are not all in the file.
    #[inline]
    pub(super) fn at(&self, from: u64, len: usize) -> Option<*mut u8> {
        let from = usize::try_from(from).ok()?;
        let map = self.map.as_ref()?;
        let inside = from.checked_add(len).is_some_and(|to| to <= self.size);
        // SAFETY: the mapping has `size` bytes, and `from` is not beyond them.
        inside.then(|| unsafe { map.as_mut_ptr().add(from) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_inside_has_an_address() {
        for size in [1, 4_096, 100_000] {
            let memory = Destination::memory(size).expect("so little");
            assert!(memory.at(size - 1, 1).is_some());
            for (from, len) in [(size, 1), (size - 1, 2), (u64::MAX, 1), (1, usize::MAX)] {
                assert!(memory.at(from, len).is_none(), "{from} {len}");
            }
        }
        assert!(Destination::memory(0).expect("nothing").at(0, 0).is_none());
    }

    #[test]
    fn a_file_is_sized_and_keeps_what_it_has() {
        let file = tempfile::tempfile().expect("a folder for it");
        io::Write::write_all(&mut &file, b"before").expect("room");
        let mapped = Destination::file(&file, 10_000).expect("room");
        assert_eq!(file.metadata().expect("open").len(), 10_000);
        let at = mapped.at(0, 6).expect("inside");
        // SAFETY: inside the mapping, which nobody writes.
        assert_eq!(unsafe { std::slice::from_raw_parts(at, 6) }, b"before");
        mapped.sync().expect("a disk");
        assert!(Destination::file(&file, 0).expect("nothing").at(0, 1).is_none());
    }

    #[test]
    fn sizes_that_cannot_be_are_errors() {
        let file = tempfile::tempfile().expect("a folder for it");
        for size in [u64::MAX, 1 << 62] {
            assert!(Destination::file(&file, size).is_err(), "{size}");
            assert!(Destination::memory(size).is_err(), "{size}");
        }
    }
}
