//! Where a file is put together: in place, or window by window in buffers that somebody else writes.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};

use memmap2::{Advice, MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::fstatvfs;
use thiserror::Error;

use super::transfer::Filled;

/// Most bytes that the buffers of windows under way take, of one stream.
const STREAM_BYTES: usize = 64 << 20;

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

/// A file's bytes while they arrive: a mapped file, memory, or a stream of windows.
#[derive(Debug)]
pub struct Destination {
    place: Place,
    size: usize,
}

#[derive(Debug)]
enum Place {
    /// No bytes: there is nothing to map.
    Nothing,
    Map(MmapRaw),
    Stream(Stream),
}

/// Windows that are handed over when they are whole.
pub(super) struct Stream {
    pub(super) give: Box<dyn Fn(Filled) + Send + Sync>,
    buffers: Mutex<Buffers>,
}

/// Buffers of a stream's windows.
#[derive(Default)]
struct Buffers {
    free: Vec<Vec<u8>>,
    /// Bytes of all, free or not.
    held: usize,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl Stream {
    fn buffers(&self) -> std::sync::MutexGuard<'_, Buffers> {
        // A list of buffers is right whoever panicked.
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A buffer for a window of `len` bytes, of any content; `None` while too many are lent.
    pub(super) fn take(&self, len: usize) -> Option<Vec<u8>> {
        let mut buffers = self.buffers();
        if let Some(mut buffer) = buffers.free.pop() {
            buffers.held += len.saturating_sub(buffer.len());
            drop(buffers);
            buffer.resize(len.max(buffer.len()), 0);
            return Some(buffer);
        }
        if buffers.held + len > STREAM_BYTES {
            return None;
        }
        buffers.held += len;
        drop(buffers);
        Some(vec![0; len])
    }

    /// Takes a buffer back.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        self.buffers().free.push(buffer);
    }
}

/// Sizes `file` to `size` bytes, if the disk has room for those of them that it does not have yet, so
/// that a disk which is full now is an error before anything arrives. Nothing is kept for it: who
/// writes it may still find the disk full.
///
/// # Errors
/// When there is no room, or the file cannot be sized.
pub fn make_room(file: &File, size: u64) -> Result<(), DestinationError> {
    if i64::try_from(size).is_err() {
        return Err(DestinationError::Size(size));
    }
    let failed = |source| DestinationError::Map { size, source };
    let has = file.metadata().map_err(failed)?.blocks() * 512;
    let disk = fstatvfs(file).map_err(|errno| failed(errno.into()))?;
    let free = disk.blocks_available() as u64 * disk.fragment_size() as u64;
    // A filesystem that does not say how large it is has its own ways.
    if disk.blocks() > 0 && size.saturating_sub(has) > free {
        return Err(DestinationError::Full { size, source: Errno::ENOSPC.into() });
    }
    file.set_len(size).map_err(failed)
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
            return Ok(Self { place: Place::Nothing, size: 0 });
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
        Ok(Self { place: Place::Map(mapped), size: len })
    }

    /// A stream of windows, of `size` bytes together: each is put together in a buffer and given to
    /// `give` by the lane that had its last fragment. It is done when `give`, or whoever it hands the
    /// window on to, says so; dropped, it is asked for again. Costs less than a mapped file, whose
    /// pages are cleared and faulted in one by one; [`Transfer::window`](super::Transfer::window)
    /// gives nothing of it.
    ///
    /// # Errors
    /// When this machine has no addresses for so many bytes.
    pub fn stream(
        size: u64,
        give: impl Fn(Filled) + Send + Sync + 'static,
    ) -> Result<Self, DestinationError> {
        let len = usize::try_from(size).map_err(|_| DestinationError::Size(size))?;
        let stream = Stream { give: Box::new(give), buffers: Mutex::default() };
        Ok(Self { place: Place::Stream(stream), size: len })
    }

    /// Memory of `size` bytes, all 0.
    ///
    /// # Errors
    /// When the kernel does not give so much.
    pub fn memory(size: u64) -> Result<Self, DestinationError> {
        let len = usize::try_from(size).map_err(|_| DestinationError::Size(size))?;
        if len == 0 {
            return Ok(Self { place: Place::Nothing, size: 0 });
        }
        let mapped = MmapOptions::new().len(len).map_anon();
        let mapped = mapped.map_err(|source| DestinationError::Map { size, source })?;
        Ok(Self { place: Place::Map(mapped.into()), size: len })
    }

    /// Has the kernel give all pages now, what they hold unchanged, so that no lane waits for one
    /// later. For files that fit in memory.
    ///
    /// # Errors
    /// When memory does not suffice, or the kernel is older than 5.14.
    pub fn populate(&self) -> io::Result<()> {
        self.map().map_or(Ok(()), |map| map.advise(Advice::PopulateWrite))
    }

    /// Bytes of the file.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size as u64
    }

    /// Writes what has arrived to disk, and waits for it; nothing for memory and streams.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sync(&self) -> io::Result<()> {
        self.map().map_or(Ok(()), MmapRaw::flush)
    }

    const fn map(&self) -> Option<&MmapRaw> {
        if let Place::Map(map) = &self.place { Some(map) } else { None }
    }

    /// The stream, if it is one.
    #[inline]
    pub(super) const fn as_stream(&self) -> Option<&Stream> {
        if let Place::Stream(stream) = &self.place { Some(stream) } else { None }
    }

    /// Where the `len` bytes from `from` on are; `None` when they are not all in the file, and of
    /// a stream.
    #[inline]
    pub(super) fn at(&self, from: u64, len: usize) -> Option<*mut u8> {
        let from = usize::try_from(from).ok()?;
        let map = self.map()?;
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
        mapped.populate().expect("memory for so little");
        // SAFETY: as above.
        assert_eq!(unsafe { std::slice::from_raw_parts(at, 6) }, b"before");
        mapped.sync().expect("a disk");
        assert!(Destination::file(&file, 0).expect("nothing").at(0, 1).is_none());
    }

    #[test]
    fn room_is_made_where_there_is_some() {
        let file = tempfile::tempfile().expect("a folder for it");
        io::Write::write_all(&mut &file, b"before").expect("room");
        make_room(&file, 10_000).expect("room");
        assert_eq!(file.metadata().expect("open").len(), 10_000);
        let full = make_room(&file, 1 << 61);
        assert!(matches!(full, Err(DestinationError::Full { .. })), "{full:?}");
        assert_eq!(file.metadata().expect("open").len(), 10_000);
    }

    #[test]
    fn sizes_that_cannot_be_are_errors() {
        let file = tempfile::tempfile().expect("a folder for it");
        for size in [u64::MAX, 1 << 62] {
            assert!(Destination::file(&file, size).is_err(), "{size}");
            assert!(make_room(&file, size).is_err(), "{size}");
            assert!(Destination::memory(size).is_err(), "{size}");
        }
    }
}
