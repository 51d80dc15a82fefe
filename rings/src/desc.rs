//! The descriptor: the 32 bytes that name a payload span and travel through a ring.

use bytemuck::{Pod, Zeroable};

/// Names one payload span in a region; rings carry these, never payload.
///
/// Little-endian, fixed width, no pointers: two processes that map the same ring
/// agree on every byte. Ownership of the span moves with the descriptor.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Desc {
    /// Bytes from the start of the region to the first byte of the span.
    pub offset: u64,
    /// Span length in bytes; 0 is a valid, empty span.
    pub len: u32,
    /// Which region `offset` counts from; an index into the run's region table.
    pub region: u16,
    /// Bits of [`Desc::SOM`], [`Desc::EOM`], [`Desc::ERR`] and the timestamp source.
    pub flags: u16,
    /// Symmetric flow hash: equal for both directions of a flow.
    pub flow: u32,
    /// Index of the plan rule that matched.
    pub rule: u16,
    /// Bytes of the frame right before the span that are its headers, for who must look at them
    /// again; 0 where there are none, and in every span of a message but the first.
    pub head: u16,
    /// The receiver's frame token: goes back to it on the return ring, unread by workers.
    pub frame: u32,
    /// Low 32 bits of the receive time in nanoseconds; the clock is named by `flags`.
    pub stamp: u32,
}

impl Desc {
    /// First span of a message.
    pub const SOM: u16 = 1 << 0;
    /// Last span of a message. A frame in one buffer has both `SOM` and `EOM`.
    pub const EOM: u16 = 1 << 1;
    /// The frame is shorter than it was on the wire.
    pub const ERR: u16 = 1 << 2;
    /// `stamp` was taken by the receiver when it drained the batch.
    pub const STAMP_POLL: u16 = 1 << 4;
    /// `stamp` was taken by the kernel when the frame arrived.
    pub const STAMP_KERNEL: u16 = 2 << 4;
    /// `stamp` comes from the capture file.
    pub const STAMP_FILE: u16 = 3 << 4;
    /// Mask of the timestamp source in `flags`; 0 means no time is known.
    pub const STAMP_MASK: u16 = 3 << 4;

    /// Whether this span begins a message.
    #[must_use]
    pub const fn is_som(&self) -> bool {
        self.flags & Self::SOM != 0
    }

    /// Whether this span ends a message.
    #[must_use]
    pub const fn is_eom(&self) -> bool {
        self.flags & Self::EOM != 0
    }
}

const _: () = {
    assert!(cfg!(target_endian = "little"), "descriptors are shared as little-endian words");
    assert!(size_of::<Desc>() == 32 && align_of::<Desc>() == 8);
    assert!(std::mem::offset_of!(Desc, offset) == 0);
    assert!(std::mem::offset_of!(Desc, len) == 8);
    assert!(std::mem::offset_of!(Desc, region) == 12);
    assert!(std::mem::offset_of!(Desc, flags) == 14);
    assert!(std::mem::offset_of!(Desc, flow) == 16);
    assert!(std::mem::offset_of!(Desc, rule) == 20);
    assert!(std::mem::offset_of!(Desc, head) == 22);
    assert!(std::mem::offset_of!(Desc, frame) == 24);
    assert!(std::mem::offset_of!(Desc, stamp) == 28);
};
