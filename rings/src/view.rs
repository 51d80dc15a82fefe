//! Views: how workers reach the bytes that a descriptor names.

use std::any::Any;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::Desc;

/// One mapped stretch of memory that descriptors may point into.
///
/// Holds its mapping alive. Cloning it clones the handle, not the memory.
#[derive(Clone)]
pub struct RegionView {
    base: NonNull<u8>,
    len: usize,
    _owner: Arc<dyn Any + Send + Sync>,
}

// SAFETY: the view only hands out pointers; who may dereference one is decided by the
// ownership of descriptors, which the unsafe methods below make their caller's duty.
unsafe impl Send for RegionView {}
// SAFETY: as above; `&RegionView` gives nothing that `RegionView` does not.
unsafe impl Sync for RegionView {}

impl RegionView {
    /// A view of `len` bytes at `base`, kept mapped by `owner`.
    ///
    /// # Safety
    /// `base..base + len` must be mapped readable and writable for as long as `owner` lives.
    pub unsafe fn new(base: NonNull<u8>, len: usize, owner: Arc<dyn Any + Send + Sync>) -> Self {
        Self { base, len, _owner: owner }
    }

    /// Bytes in the region.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the region has no byte.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// First byte of the region.
    #[must_use]
    pub const fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Pointer to `len` bytes at `offset`, or `None` when they are not all inside the region.
    ///
    /// Forming the pointer is safe; reading or writing through it needs ownership of the span.
    #[inline]
    #[must_use]
    pub fn span(&self, offset: u64, len: u32) -> Option<NonNull<u8>> {
        let end = offset.checked_add(u64::from(len))?;
        if end > self.len as u64 {
            return None;
        }
        // SAFETY: `offset <= end <= self.len`, so the result stays within, or one past, the
        // mapping that `new` promised.
        Some(unsafe { self.base.add(offset as usize) })
    }

    /// The bytes of `desc`'s span, or `None` when they are not all inside the region.
    ///
    /// # Safety
    /// The caller must own `desc` (it came off a ring and has not been returned, or was never
    /// sent), must not hold another slice of an overlapping span, and must not let this one
    /// outlive the descriptor's return.
    #[inline]
    #[must_use]
    #[allow(clippy::mut_from_ref, reason = "exclusive by ownership of the descriptor")]
    pub unsafe fn bytes_mut(&self, desc: &Desc) -> Option<&mut [u8]> {
        let start = self.span(desc.offset, desc.len)?;
        // SAFETY: in bounds by `span`; exclusive by the caller's promise.
        Some(unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), desc.len as usize) })
    }
}

impl fmt::Debug for RegionView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegionView").field("len", &self.len).finish_non_exhaustive()
    }
}
