//! The kernel's block ring (TPACKET_V3), read in place.
//!
//! The kernel fills one block after the other and hands each over whole: when it is full, or
//! when its retire time has passed and it holds at least one frame. Blocks are read strictly in
//! that order. A block goes back to the kernel when the last span into it has been returned, in
//! whatever order that happens; but the kernel also takes blocks strictly in order, so the
//! oldest block still on loan is where it stops, and drops, once it has been round the ring.
//!
//! Source: `Documentation/networking/packet_mmap.rst` and `net/packet/af_packet.c` of Linux.

use std::mem::offset_of;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Release};

use libc::{tpacket_block_desc, tpacket_hdr_v1, tpacket3_hdr};
use pfs_rings::RegionView;

use crate::packet_socket::RingMap;

/// Bytes of a VLAN tag: what the kernel takes out of a frame and we put back.
const TAG: usize = 4;
/// Destination and source address, in front of the place where a tag goes.
const ADDRESSES: usize = 12;
/// The first tag's EtherType on kernels that do not tell it.
const ETHERTYPE_VLAN: u16 = 0x8100;

/// One frame, as it lies in the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct RingFrame {
    /// Bytes from the start of the ring to the destination address.
    pub(super) offset: u64,
    /// Bytes in the ring.
    pub(super) len: u32,
    /// Bytes on the wire.
    pub(super) wire_len: u32,
    /// Low 32 bits of the kernel's time of arrival in nanoseconds.
    pub(super) stamp: u32,
    /// `TP_STATUS_*` bits.
    pub(super) status: u32,
}

/// What [`BlockRing::next`] found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    /// A frame of the block [`BlockRing::reading`].
    Frame(RingFrame),
    /// No block is ready.
    NotReady,
    /// The block's chain of headers leads outside it; its remaining frames, so many, are lost.
    Broken(u32),
}

/// The block that is being read.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    block: u32,
    /// Bytes from the start of the block to the next header.
    at: u32,
    /// Frames not read yet.
    left: u32,
}

/// The ring and who holds which of its blocks.
#[derive(Debug)]
pub(super) struct BlockRing {
    view: RegionView,
    block_bytes: u32,
    /// Per block: spans on loan, and one more while it is being read. 0: the kernel's, or ready.
    holds: Box<[u32]>,
    next: u32,
    cursor: Option<Cursor>,
}

impl BlockRing {
    /// A ring of `blocks` blocks of `block_bytes` over a fresh mapping of exactly that size.
    pub(super) fn new(map: RingMap, blocks: u32, block_bytes: u32) -> Self {
        assert_eq!(map.len(), blocks as usize * block_bytes as usize);
        let (base, len) = (map.base(), map.len());
        // SAFETY: the mapping is readable and writable, and lives as long as its `RingMap`.
        let view = unsafe { RegionView::new(base, len, Arc::new(map)) };
        Self {
            view,
            block_bytes,
            holds: vec![0; blocks as usize].into_boxed_slice(),
            next: 0,
            cursor: None,
        }
    }

    pub(super) const fn view(&self) -> &RegionView {
        &self.view
    }

    /// Whether [`Self::next`] would find something.
    pub(super) fn ready(&self) -> bool {
        self.cursor.is_some() || self.block_ready(self.next)
    }

    /// Whether poll(2) would report this ring readable although nothing new is in it: it looks
    /// at the block before the kernel's current one, which we may have read but not given back.
    pub(super) fn looks_readable(&self) -> bool {
        let last = self.next.checked_sub(1).unwrap_or(self.holds.len() as u32 - 1);
        self.holds[last as usize] > 0 || self.holds[self.next as usize] > 0
    }

    /// The block of the frame last given by [`Self::next`].
    pub(super) fn reading(&self) -> u32 {
        self.cursor.map_or(self.next, |cursor| cursor.block)
    }

    /// The next frame in order of arrival, its VLAN tag in place.
    #[inline]
    pub(super) fn next(&mut self) -> Next {
        loop {
            let Some(mut cursor) = self.cursor else {
                if !self.open() {
                    return Next::NotReady;
                }
                continue;
            };
            if cursor.left == 0 {
                self.close(cursor);
                continue;
            }
            let Some((frame, step)) = self.frame(cursor) else {
                self.close(cursor);
                return Next::Broken(cursor.left);
            };
            cursor.left -= 1;
            cursor.at = cursor.at.saturating_add(step);
            self.cursor = Some(cursor);
            return Next::Frame(frame);
        }
    }

    /// Notes that a span into `block` is on loan.
    #[inline]
    pub(super) fn hold(&mut self, block: u32) {
        self.holds[block as usize] += 1;
    }

    /// Notes that a span into `block` came back; the last one gives the block to the kernel.
    #[inline]
    pub(super) fn release(&mut self, block: u32) {
        let holds = &mut self.holds[block as usize];
        debug_assert!(*holds > 0);
        *holds -= 1;
        if *holds == 0 {
            // Release: whatever was read from or written to the block comes before the kernel's
            // next write to it.
            self.status(block).store(libc::TP_STATUS_KERNEL, Release);
        }
    }

    fn block_ready(&self, block: u32) -> bool {
        // A block on loan still says "user": only our own record tells it from a fresh one.
        self.holds[block as usize] == 0
            // Acquire: the block's content comes after the kernel's word that it is there.
            && self.status(block).load(Acquire) & libc::TP_STATUS_USER != 0
    }

    fn open(&mut self) -> bool {
        if !self.block_ready(self.next) {
            return false;
        }
        let block = self.next;
        let start = self.block(block);
        let header = offset_of!(tpacket_block_desc, hdr);
        // SAFETY: a block begins with `tpacket_block_desc`, is page aligned, and is ours since
        // the acquiring load in `block_ready`.
        let (left, at) = unsafe {
            let header = start.add(header).cast::<tpacket_hdr_v1>().as_ptr();
            ((*header).num_pkts, (*header).offset_to_first_pkt)
        };
        self.hold(block);
        self.next = if block + 1 == self.holds.len() as u32 { 0 } else { block + 1 };
        self.cursor = Some(Cursor { block, at, left });
        true
    }

    fn close(&mut self, cursor: Cursor) {
        self.cursor = None;
        self.release(cursor.block);
    }

    /// The frame at `cursor` and the bytes from its header to the next one's; `None` when it
    /// does not lie inside the block.
    #[inline]
    fn frame(&self, cursor: Cursor) -> Option<(RingFrame, u32)> {
        const HEADER: u32 = size_of::<tpacket3_hdr>() as u32;
        if !cursor.at.is_multiple_of(8) || cursor.at > self.block_bytes - HEADER {
            return None;
        }
        let start = self.block(cursor.block);
        // SAFETY: the header lies inside the block by the test above, aligned to 8 as the block
        // is to a page; the block is ours until `close`.
        let header = unsafe { start.add(cursor.at as usize).cast::<tpacket3_hdr>().read() };
        self.prefetch(cursor.block, cursor.at.wrapping_add(header.tp_next_offset));
        let at = cursor.at + u32::from(header.tp_mac);
        let end = at.checked_add(header.tp_snaplen)?;
        if u32::from(header.tp_mac) < HEADER + TAG as u32 || end > self.block_bytes {
            return None;
        }
        let mut frame = RingFrame {
            offset: u64::from(cursor.block) * u64::from(self.block_bytes) + u64::from(at),
            len: header.tp_snaplen,
            wire_len: header.tp_len,
            stamp: header.tp_sec.wrapping_mul(1_000_000_000).wrapping_add(header.tp_nsec),
            status: header.tp_status,
        };
        if header.tp_status & libc::TP_STATUS_VLAN_VALID != 0 {
            // SAFETY: the frame lies inside the block, with `HEADER + TAG` bytes or more between
            // it and its header's start, all of it ours.
            unsafe { restore_tag(start.add(at as usize), &header, &mut frame) };
        }
        Some((frame, header.tp_next_offset))
    }

    /// Asks for the next header's line and the next, where its frame begins.
    #[inline]
    fn prefetch(&self, block: u32, at: u32) {
        #[cfg(target_arch = "x86_64")]
        if at < self.block_bytes - 128 {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: both addresses lie inside the block; a prefetch reads nothing anyway.
            unsafe {
                let line = self.block(block).add(at as usize).as_ptr().cast::<i8>();
                _mm_prefetch::<_MM_HINT_T0>(line);
                _mm_prefetch::<_MM_HINT_T0>(line.add(64));
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (block, at);
    }

    #[inline]
    fn block(&self, block: u32) -> NonNull<u8> {
        debug_assert!((block as usize) < self.holds.len());
        // SAFETY: `block` is below the number of blocks, which all lie inside the mapping.
        unsafe { self.view.base().add(block as usize * self.block_bytes as usize) }
    }

    #[inline]
    fn status(&self, block: u32) -> &AtomicU32 {
        let at = offset_of!(tpacket_block_desc, hdr) + offset_of!(tpacket_hdr_v1, block_status);
        // SAFETY: the word lies inside the block, aligned; both sides use it as an atomic, and
        // the mapping outlives `self`.
        unsafe { AtomicU32::from_ptr(self.block(block).add(at).cast().as_ptr()) }
    }
}

/// Puts back the tag that the kernel took out of the frame at `mac`: the addresses move four
/// bytes to the front, into the headroom, and the tag takes their place.
///
/// # Safety
/// [`TAG`] bytes before `mac` and `frame.len` from it must be the caller's to write.
#[inline]
unsafe fn restore_tag(mac: NonNull<u8>, header: &tpacket3_hdr, frame: &mut RingFrame) {
    if (frame.len as usize) < ADDRESSES {
        return;
    }
    let known = header.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
    let kind = if known { header.hv1.tp_vlan_tpid } else { ETHERTYPE_VLAN };
    let [a, b] = kind.to_be_bytes();
    let [c, d] = (header.hv1.tp_vlan_tci as u16).to_be_bytes();
    // SAFETY: all bytes touched lie between `mac - TAG` and `mac + ADDRESSES`, which the
    // caller owns; `copy` allows the overlap.
    unsafe {
        let front = mac.sub(TAG);
        front.copy_from(mac, ADDRESSES);
        front.add(ADDRESSES).cast::<[u8; TAG]>().write([a, b, c, d]);
    }
    frame.offset -= TAG as u64;
    frame.len += TAG as u32;
    frame.wire_len += TAG as u32;
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: u32 = 4096;

    /// Plays the kernel: writes frames into a block and hands it over.
    fn fill(ring: &BlockRing, block: u32, frames: &[(u32, u32)], num_pkts: u32) {
        let start = ring.block(block).as_ptr();
        let mut at = 48u32;
        for &(snaplen, step) in frames {
            let header = tpacket3_hdr {
                tp_next_offset: step,
                tp_snaplen: snaplen,
                tp_len: snaplen,
                tp_mac: 82,
                // SAFETY: plain old data; zeros are a value of it.
                ..unsafe { std::mem::zeroed() }
            };
            // SAFETY: the tests keep `at` inside the block, which nobody else uses.
            unsafe { start.add(at as usize).cast::<tpacket3_hdr>().write(header) };
            at = at.wrapping_add(step);
        }
        // SAFETY: as above; the block's header comes first.
        unsafe {
            let header = start.add(offset_of!(tpacket_block_desc, hdr)).cast::<tpacket_hdr_v1>();
            (*header).num_pkts = num_pkts;
            (*header).offset_to_first_pkt = 48;
        }
        ring.status(block).store(libc::TP_STATUS_USER, Release);
    }

    fn ring() -> BlockRing {
        BlockRing::new(RingMap::anonymous(2 * BLOCK as usize), 2, BLOCK)
    }

    #[test]
    fn a_block_goes_back_with_its_last_span() {
        let mut ring = ring();
        assert!(matches!(ring.next(), Next::NotReady));
        fill(&ring, 1, &[(60, 160)], 1);
        assert!(matches!(ring.next(), Next::NotReady), "blocks are not skipped");
        fill(&ring, 0, &[(60, 160), (60, 160)], 2);
        for _ in 0..2 {
            assert!(matches!(ring.next(), Next::Frame(_)));
            assert_eq!(ring.reading(), 0);
            ring.hold(0);
        }
        assert!(matches!(ring.next(), Next::Frame(frame) if frame.offset == 4096 + 48 + 82));
        assert!(matches!(ring.next(), Next::NotReady), "block 0 is on loan, block 1 read");
        assert!(ring.looks_readable());
        ring.release(0);
        assert_eq!(ring.status(0).load(Acquire), libc::TP_STATUS_USER);
        ring.release(0);
        assert_eq!(ring.status(0).load(Acquire), libc::TP_STATUS_KERNEL);
        assert_eq!(ring.status(1).load(Acquire), libc::TP_STATUS_KERNEL);
        assert!(!ring.looks_readable());
    }

    #[test]
    fn an_empty_block_goes_straight_back() {
        let mut ring = ring();
        fill(&ring, 0, &[], 0);
        assert!(matches!(ring.next(), Next::NotReady));
        assert_eq!(ring.status(0).load(Acquire), libc::TP_STATUS_KERNEL);
    }

    #[test]
    fn headers_that_lead_outside_the_block_are_caught() {
        for (frames, read, lost) in [
            (vec![(60, u32::MAX), (60, 0)], 1, 4),
            (vec![(60, 4000), (60, 0)], 1, 4),
            (vec![(60, 161), (60, 0)], 1, 4),
            (vec![(BLOCK, 160)], 0, 5),
            (vec![(u32::MAX, 160)], 0, 5),
        ] {
            let mut ring = ring();
            fill(&ring, 0, &frames[..1], 5);
            for _ in 0..read {
                assert!(matches!(ring.next(), Next::Frame(_)));
            }
            assert!(matches!(ring.next(), Next::Broken(left) if left == lost), "{frames:?}");
            assert!(matches!(ring.next(), Next::NotReady));
            assert_eq!(ring.status(0).load(Acquire), libc::TP_STATUS_KERNEL);
        }
    }

    #[test]
    fn a_tag_without_a_kind_is_a_vlan_tag() {
        let ring = ring();
        let mac = ring.block(0);
        // SAFETY: plain old data; zeros are a value of it.
        let mut header: tpacket3_hdr = unsafe { std::mem::zeroed() };
        header.hv1.tp_vlan_tci = 0x6123;
        let mut frame = RingFrame { offset: 100, len: 60, wire_len: 70, stamp: 0, status: 0 };
        // SAFETY: the block's first 164 bytes are ours.
        let got = unsafe {
            let mac = mac.add(100);
            mac.cast::<[u8; 12]>().write(*b"ABCDEFabcdef");
            restore_tag(mac, &header, &mut frame);
            mac.sub(4).cast::<[u8; 16]>().read()
        };
        assert_eq!(&got, b"ABCDEFabcdef\x81\x00\x61\x23");
        assert_eq!((frame.offset, frame.len, frame.wire_len), (96, 64, 74));
    }
}
