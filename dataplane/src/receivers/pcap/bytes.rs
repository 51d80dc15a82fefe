//! Bytes of a capture, read by value.

use std::marker::PhantomData;

use pfs_rings::RegionView;

/// The bytes of a capture file, of which a reader only ever copies a few out.
///
/// No slice over the whole is formed: while headers are read here, workers may hold, and write
/// through, exclusive slices of packets in the same memory.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a> {
    base: *const u8,
    len: u64,
    _memory: PhantomData<&'a RegionView>,
}

impl<'a> Bytes<'a> {
    /// All bytes of a slice.
    #[must_use]
    pub const fn of_slice(bytes: &'a [u8]) -> Self {
        Self { base: bytes.as_ptr(), len: bytes.len() as u64, _memory: PhantomData }
    }

    /// The first `len` bytes of a region.
    ///
    /// # Safety
    /// The bytes that a reader copies (headers between packets) must not be written by others
    /// meanwhile: who else holds the region may write packets lent to it, nothing else.
    pub(in crate::receivers) unsafe fn of_region(view: &'a RegionView, len: u64) -> Self {
        let len = len.min(view.len() as u64);
        Self { base: view.base().as_ptr(), len, _memory: PhantomData }
    }

    /// Number of bytes.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.len
    }

    /// Whether there is no byte.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Bytes from `at` to the end; 0 when `at` is beyond it.
    #[must_use]
    pub const fn after(self, at: u64) -> u64 {
        self.len.saturating_sub(at)
    }

    /// `N` bytes at `at`, or `None` when they are not all there.
    #[inline]
    #[must_use]
    pub fn get<const N: usize>(self, at: u64) -> Option<[u8; N]> {
        if self.after(at) < N as u64 {
            return None;
        }
        // SAFETY: `at + N <= len`, all of it readable by the constructors; a byte array has no
        // alignment; nobody writes these bytes by `of_region`'s promise, or the slice's borrow.
        Some(unsafe { self.base.add(at as usize).cast::<[u8; N]>().read() })
    }
}

/// How a file writes its integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    #[inline]
    pub(super) const fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    #[inline]
    pub(super) const fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    /// Consecutive 32-bit words.
    #[inline]
    pub(super) fn words<const N: usize>(self, bytes: [[u8; 4]; N]) -> [u32; N] {
        bytes.map(|word| self.u32(word))
    }
}

impl Bytes<'_> {
    /// `N` words of 32 bits at `at`.
    #[inline]
    pub(super) fn words<const N: usize>(self, at: u64, order: Order) -> Option<[u32; N]> {
        if self.after(at) < 4 * N as u64 {
            return None;
        }
        // SAFETY: as in `get`, for `4 * N` bytes.
        let raw = unsafe { self.base.add(at as usize).cast::<[[u8; 4]; N]>().read() };
        Some(order.words(raw))
    }
}
