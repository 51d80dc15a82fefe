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

/// What the descriptors of a batch have in common, kept while they are added so that nobody has to
/// look at all of them again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Common {
    /// Frames: a chain counts once.
    pub(crate) packets: u64,
    /// Bytes of all spans.
    pub(crate) bytes: u64,
    /// Where the last of the spans ends, in bytes from the region's start.
    pub(crate) end: u64,
    /// The flags that every descriptor has.
    pub(crate) flags: u16,
    /// Whether some frame was longer on the wire than its first buffer.
    pub(crate) longer: bool,
}

impl Common {
    /// Of no descriptor.
    const NONE: Self = Self { packets: 0, bytes: 0, end: 0, flags: u16::MAX, longer: false };

    #[inline]
    fn add(&mut self, desc: &Desc, wire_len: u32) {
        self.packets += u64::from(desc.is_eom());
        self.bytes += u64::from(desc.len);
        self.end = self.end.max(desc.offset.saturating_add(u64::from(desc.len)));
        self.flags &= desc.flags;
        self.longer |= wire_len > desc.len;
    }

    /// With what `more` descriptors, each a whole frame, have in common.
    #[cfg(feature = "dpdk")]
    #[inline]
    const fn with(self, more: Self) -> Self {
        Self {
            packets: self.packets + more.packets,
            bytes: self.bytes + more.bytes,
            end: if self.end > more.end { self.end } else { more.end },
            flags: self.flags & more.flags,
            longer: self.longer | more.longer,
        }
    }
}

/// Frames as a receiver found them: each descriptor spans a whole frame (or one buffer of a
/// SOM..EOM chain), its token on loan. A batch always holds whole chains.
#[derive(Debug)]
pub struct Batch {
    descs: [Desc; BATCH],
    wire_len: [u32; BATCH],
    len: usize,
    /// `None` once somebody may have changed descriptors.
    common: Option<Common>,
}

impl Default for Batch {
    fn default() -> Self {
        let (descs, wire_len) = ([Desc::default(); BATCH], [0; BATCH]);
        Self { descs, wire_len, len: 0, common: Some(Common::NONE) }
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
        if let Some(common) = &mut self.common {
            common.add(&desc, wire_len);
        }
    }

    /// The free part, descriptors and wire lengths, to be filled from its start and then counted
    /// by [`Self::grow`]: the faster way for many.
    #[cfg(feature = "dpdk")]
    #[inline]
    pub(super) fn spare(&mut self) -> (&mut [Desc], &mut [u32]) {
        (&mut self.descs[self.len..], &mut self.wire_len[self.len..])
    }

    /// Counts `more` buffers that were written to [`Self::spare`], which have `common` in common.
    ///
    /// # Panics
    /// When there is no room for so many.
    #[cfg(feature = "dpdk")]
    #[inline]
    pub(super) fn grow(&mut self, more: usize, common: Common) {
        assert!(more <= self.room(), "more than fit");
        self.len += more;
        self.common = self.common.map(|before| before.with(common));
    }

    /// What the descriptors have in common.
    #[inline]
    pub(crate) fn common(&self) -> Common {
        self.common.unwrap_or_else(|| self.look_again())
    }

    #[cold]
    fn look_again(&self) -> Common {
        let mut common = Common::NONE;
        for (desc, &wire_len) in self.descs().iter().zip(self.wire_lens()) {
            common.add(desc, wire_len);
        }
        common
    }

    /// Sets the rule of all descriptors, which sources leave 0.
    #[inline]
    pub(crate) fn set_rule(&mut self, rule: u16) {
        if rule != 0 {
            self.descs[..self.len].iter_mut().for_each(|desc| desc.rule = rule);
        }
    }

    /// Sets the region of all descriptors, which sources leave 0.
    #[inline]
    pub(crate) fn set_region(&mut self, region: u16) {
        if region != 0 {
            self.descs[..self.len].iter_mut().for_each(|desc| desc.region = region);
        }
    }

    /// The descriptors, in order of arrival.
    #[must_use]
    pub fn descs(&self) -> &[Desc] {
        &self.descs[..self.len]
    }

    /// The descriptors, to be narrowed from frame to payload.
    pub fn descs_mut(&mut self) -> &mut [Desc] {
        self.common = None;
        &mut self.descs[..self.len]
    }

    /// Descriptors and their wire lengths together.
    pub fn parts_mut(&mut self) -> (&mut [Desc], &[u32]) {
        self.common = None;
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
        self.common = Some(Common::NONE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_descriptors_have_in_common_is_known_at_any_time() {
        let whole = Desc { flags: Desc::SOM | Desc::EOM, ..Desc::default() };
        let first = Desc { offset: 4096, len: 60, flags: Desc::SOM, ..Desc::default() };
        let last = Desc { offset: 512, len: 40, flags: Desc::EOM, ..Desc::default() };
        let mut batch = Batch::default();
        assert_eq!(batch.common(), batch.look_again());
        for (desc, wire_len) in [(Desc { len: 9, ..whole }, 9), (first, 100), (last, 0)] {
            batch.push(desc, wire_len);
            assert_eq!(batch.common(), batch.look_again());
        }
        let common = Common { packets: 2, bytes: 109, end: 4156, flags: 0, longer: true };
        assert_eq!(batch.common(), common);
        batch.descs_mut()[0].offset = u64::MAX;
        assert_eq!(batch.common(), Common { end: u64::MAX, ..common });
        batch.clear();
        batch.push(Desc { offset: 7, len: 1, ..whole }, 1);
        assert_eq!(batch.common().end, 8);
    }
}
