//! A range of addresses that is reserved at once and backed by memory piece by piece.

use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::Arc;

use super::populate::Pending;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, mprotect, munmap};

/// Size of a huge page, and the unit of backing.
pub(crate) const HUGE: usize = 2 << 20;

/// Reserved addresses, aligned to [`HUGE`]; what lies in them never moves.
#[derive(Debug)]
pub(crate) struct Reservation {
    mapped: NonNull<c_void>,
    mapped_len: usize,
    base: NonNull<u8>,
    len: usize,
    /// What another thread touches ahead.
    pending: Arc<Pending>,
}

// SAFETY: the mapping belongs to this value alone, as a heap allocation would.
unsafe impl Send for Reservation {}
// SAFETY: shared references give out the base address only; who reads through it says why.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves `len` bytes, rounded up to huge pages, without memory behind them.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        let len = len.max(1).next_multiple_of(HUGE);
        let mapped_len = len + HUGE;
        let size = NonZeroUsize::new(mapped_len).ok_or(io::ErrorKind::InvalidInput)?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no other.
        let mapped = unsafe { mmap_anonymous(None, size, ProtFlags::PROT_NONE, flags)? };
        let skip = mapped.as_ptr().align_offset(HUGE);
        // SAFETY: `skip` is less than HUGE, and the mapping is longer than that.
        let base = unsafe { mapped.cast::<u8>().add(skip) };
        // SAFETY: the range lies within the mapping; the advice changes no content.
        let advised = unsafe { madvise(base.cast(), len, MmapAdvise::MADV_HUGEPAGE) };
        if let Err(error) = advised {
            tracing::debug!(%error, "no transparent huge pages; 4 KiB pages serve");
        }
        Ok(Self { mapped, mapped_len, base, len, pending: Arc::default() })
    }

    /// First byte; bytes behind it may be used as far as [`Reservation::back`] backed them.
    #[inline(always)]
    pub(crate) const fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Reserved bytes.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Puts memory behind `len` bytes from `offset`, both multiples of [`HUGE`]; it reads as 0.
    pub(crate) fn back(&mut self, offset: usize, len: usize) -> io::Result<()> {
        let at = self.range(offset, len)?;
        // SAFETY: `range` checked that the bytes are this mapping's.
        unsafe { mprotect(at, len, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE)? };
        Ok(())
    }

    /// Has another thread touch `len` bytes from `offset`, which are backed, so that whoever writes there does
    /// not wait for the system to clear them. What they hold stays.
    pub(crate) fn touch_ahead(&self, offset: usize, len: usize) -> io::Result<()> {
        // The mapping is kept until this has been done: see `drop`.
        self.pending.ask(self.range(offset, len)?, len);
        Ok(())
    }

    /// Gives the memory behind `len` bytes from `offset` back to the system.
    ///
    /// # Safety
    /// Nothing may refer to these bytes any more.
    pub(crate) unsafe fn release(&mut self, offset: usize, len: usize) -> io::Result<()> {
        let at = self.range(offset, len)?;
        // SAFETY: `range` checked that the bytes are this mapping's; by contract nobody uses them.
        unsafe {
            madvise(at, len, MmapAdvise::MADV_DONTNEED)?;
            mprotect(at, len, ProtFlags::PROT_NONE)?;
        }
        Ok(())
    }

    fn range(&self, offset: usize, len: usize) -> io::Result<NonNull<c_void>> {
        let end = offset.checked_add(len);
        if !offset.is_multiple_of(HUGE)
            || !len.is_multiple_of(HUGE)
            || end.is_none_or(|end| end > self.len)
        {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: `offset` is at most `len`, hence within or one past the mapping.
        Ok(unsafe { self.base.add(offset) }.cast())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.pending.wait();
        // SAFETY: the mapping is this value's own and ends with it.
        let result = unsafe { munmap(self.mapped, self.mapped_len) };
        debug_assert!(result.is_ok());
    }
}
