//! The mbuf, as far as a receiver reads it.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use crate::Mempool;

/// A segment of a packet: the first fields of `struct rte_mbuf`. The shim asserts their places.
#[derive(Debug)]
#[repr(C)]
pub struct Mbuf {
    buffer: *mut c_void,
    iova: u64,
    data_off: u16,
    refcnt: AtomicU16,
    segments: u16,
    port: u16,
    offloads: u64,
    packet_type: u32,
    packet_len: u32,
    data_len: u16,
    vlan: u16,
    hash: [u32; 2],
    vlan_outer: u16,
    buffer_len: u16,
    pool: *mut Mempool,
    next: *mut Self,
}

const _: () = {
    use std::mem::offset_of;
    assert!(offset_of!(Mbuf, data_off) == 16 && offset_of!(Mbuf, refcnt) == 18);
    assert!(offset_of!(Mbuf, segments) == 20 && offset_of!(Mbuf, offloads) == 24);
    assert!(offset_of!(Mbuf, packet_len) == 36 && offset_of!(Mbuf, data_len) == 40);
    assert!(offset_of!(Mbuf, pool) == 56 && offset_of!(Mbuf, next) == 64);
};

/// Alignment of an mbuf, and bytes from one to the next at least.
pub const MBUF_ALIGN: usize = 64;

/// `RTE_MBUF_F_RX_VLAN_STRIPPED`; the shim asserts its value.
const VLAN_STRIPPED: u64 = 1 << 6;
/// `RTE_MBUF_F_EXTERNAL` and `RTE_MBUF_F_INDIRECT`, likewise: the bytes are not the mbuf's own.
const ELSEWHERE: u64 = 1 << 61 | 1 << 62;

impl Mbuf {
    /// 0 where the packet is plain: this segment alone, held by nobody else, its bytes its own, no tag
    /// taken out of it, and from `pool`. Then it is as its pool had it, and may go back without a look.
    /// A number and not a truth, so that those of a burst can be put together without a branch.
    #[inline]
    #[must_use]
    pub fn oddity(&self, pool: *mut Mempool) -> u64 {
        // Another holder, who may let go of it meanwhile, is in another thread at most.
        let single = (self.segments ^ 1) | (self.refcnt.load(Relaxed) ^ 1);
        u64::from(single)
            | (self.offloads & (VLAN_STRIPPED | ELSEWHERE))
            | (self.pool.addr() ^ pool.addr()) as u64
    }

    /// The segment's first byte.
    #[inline]
    #[must_use]
    pub const fn data(&self) -> *mut u8 {
        self.buffer.cast::<u8>().wrapping_add(self.data_off as usize)
    }

    /// The tag that was taken out of the packet (priority and VLAN); `None` where none was.
    #[inline]
    #[must_use]
    pub const fn stripped_tag(&self) -> Option<u16> {
        if self.offloads & VLAN_STRIPPED == 0 { None } else { Some(self.vlan) }
    }

    /// Bytes before the segment's first one that are free.
    #[inline]
    #[must_use]
    pub const fn headroom(&self) -> u32 {
        self.data_off as u32
    }

    /// Bytes in the segment.
    #[inline]
    #[must_use]
    pub const fn data_len(&self) -> u32 {
        self.data_len as u32
    }

    /// Bytes in the packet; meant in its first segment alone.
    #[inline]
    #[must_use]
    pub const fn packet_len(&self) -> u32 {
        self.packet_len
    }

    /// Segments of the packet; meant in its first one alone.
    #[inline]
    #[must_use]
    pub const fn segments(&self) -> usize {
        self.segments as usize
    }

    /// The next segment, or null.
    #[inline]
    #[must_use]
    pub const fn next(&self) -> *mut Self {
        self.next
    }

    /// The pool that the segment goes back to.
    #[inline]
    #[must_use]
    pub const fn pool(&self) -> *mut Mempool {
        self.pool
    }
}
