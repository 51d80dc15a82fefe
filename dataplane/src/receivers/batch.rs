//! The batch that a receiver fills: up to 64 frames as descriptors.

#[cfg(any(feature = "af-xdp", feature = "dpdk"))]
use std::time::{SystemTime, UNIX_EPOCH};

use pfs_rings::Desc;

/// When a batch was polled: low 32 bits of the wall clock in nanoseconds, 1 for 0.
#[cfg(any(feature = "af-xdp", feature = "dpdk"))]
pub(super) fn now_ns() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_nanos() as u32).max(1)
}

/// Most descriptors in one batch.
pub const BATCH: usize = 64;

/// Frames as a receiver found them: each descriptor spans a whole frame (or one buffer of a
/// SOM..EOM chain), its token on loan. A batch always holds whole chains.
#[derive(Debug)]
pub struct Batch {
    descs: [Desc; BATCH],
    wire_len: [u32; BATCH],
    len: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self { descs: [Desc::default(); BATCH], wire_len: [0; BATCH], len: 0 }
    }
}

impl Batch {
    /// Descriptors that still fit.
    #[must_use]
    pub const fn room(&self) -> usize {
        BATCH - self.len
    }

    /// Descriptors in the batch.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the batch holds nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds one buffer. `wire_len` is the frame's length on the wire in bytes, on the first
    /// buffer of a chain; it exceeds the captured length when the frame was cut.
    ///
    /// # Panics
    /// When the batch is full: callers look at [`Self::room`] first.
    #[inline]
    pub fn push(&mut self, desc: Desc, wire_len: u32) {
        self.descs[self.len] = desc;
        self.wire_len[self.len] = wire_len;
        self.len += 1;
    }

    /// The free part, descriptors and wire lengths, to be filled from its start and then counted
    /// by [`Self::grow`]: the faster way for many.
    #[cfg(feature = "dpdk")]
    #[inline]
    pub(super) fn spare(&mut self) -> (&mut [Desc], &mut [u32]) {
        (&mut self.descs[self.len..], &mut self.wire_len[self.len..])
    }

    /// Counts `more` buffers that were written to [`Self::spare`].
    ///
    /// # Panics
    /// When there is no room for so many.
    #[cfg(feature = "dpdk")]
    #[inline]
    pub(super) fn grow(&mut self, more: usize) {
        assert!(more <= self.room(), "more than fit");
        self.len += more;
    }

    /// The descriptors, in order of arrival.
    #[must_use]
    pub fn descs(&self) -> &[Desc] {
        &self.descs[..self.len]
    }

    /// The descriptors, to be narrowed from frame to payload.
    pub fn descs_mut(&mut self) -> &mut [Desc] {
        &mut self.descs[..self.len]
    }

    /// Descriptors and their wire lengths together.
    pub fn parts_mut(&mut self) -> (&mut [Desc], &[u32]) {
        (&mut self.descs[..self.len], &self.wire_len[..self.len])
    }

    /// Wire lengths, one per descriptor.
    #[must_use]
    pub fn wire_lens(&self) -> &[u32] {
        &self.wire_len[..self.len]
    }

    /// Forgets the content. Does not return frames: the caller has passed them on.
    pub const fn clear(&mut self) {
        self.len = 0;
    }
}
