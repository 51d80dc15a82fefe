//! The kernel's transmit ring (TPACKET_V2): slots of one size, each a header and a frame.
//!
//! A slot is ours while its status is 0, the kernel's from `SEND_REQUEST` on; the kernel sets it
//! to 0 again when the frame has left. The kernel takes slots strictly in order and stops at the
//! first that it cannot send, which keeps its place.
//!
//! Source: `Documentation/networking/packet_mmap.rst` and `net/packet/af_packet.c` of Linux.

use std::mem::offset_of;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Release};

use libc::tpacket2_hdr;

use super::spec::Layout;
use crate::packet_socket::RingMap;

/// Bytes from a slot's start to its frame: where the kernel looks, `TPACKET2_HDRLEN` less a
/// `sockaddr_ll`.
pub(super) const FRAME_AT: usize = libc::TPACKET2_HDRLEN - size_of::<libc::sockaddr_ll>();

/// Where a frame in the ring stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// It has left.
    Sent,
    /// The kernel has not come to it yet, or the driver still reads it.
    Queued,
    /// The kernel will not send it, nor anything behind it.
    Refused,
}

/// Slots between two free-running indices: `tail..head` are in the kernel's hands.
#[derive(Debug)]
pub(super) struct SlotRing {
    map: RingMap,
    layout: Layout,
    head: u64,
    tail: u64,
}

impl SlotRing {
    pub(super) fn new(map: RingMap, layout: Layout) -> Self {
        assert!(layout.slots.is_power_of_two() && map.len() == layout.ring_bytes());
        Self { map, layout, head: 0, tail: 0 }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    pub(super) const fn is_full(&self) -> bool {
        self.head - self.tail == self.layout.slots as u64
    }

    /// Puts a frame into the next slot and hands that to the kernel.
    ///
    /// # Panics
    /// When the ring is full or the frame larger than a slot: the caller has looked.
    pub(super) fn push(&mut self, frame: &[u8]) {
        assert!(!self.is_full() && frame.len() <= self.layout.slot_bytes - FRAME_AT);
        let slot = self.slot(self.head);
        // SAFETY: the slot is ours until its status changes, and the frame fits in it by the
        // test above; `frame` is the caller's memory and cannot overlap the mapping.
        unsafe {
            slot.add(FRAME_AT)
                .copy_from_nonoverlapping(NonNull::from_ref(frame).cast(), frame.len());
        }
        self.request(self.head, frame.len() as u32);
        self.head += 1;
    }

    /// The oldest frame in the ring.
    pub(super) fn oldest(&self) -> Slot {
        // Acquire: the kernel is done with the slot before we write to it again.
        match self.status(self.tail).load(Acquire) {
            status if status & libc::TP_STATUS_WRONG_FORMAT != 0 => Slot::Refused,
            status if status & (libc::TP_STATUS_SEND_REQUEST | libc::TP_STATUS_SENDING) != 0 => {
                Slot::Queued
            }
            _ => Slot::Sent,
        }
    }

    /// Takes the oldest frame's slot back once it is sent, and gives the frame's length.
    pub(super) fn retire(&mut self) -> u32 {
        debug_assert!(!self.is_empty() && self.oldest() == Slot::Sent);
        let len = self.len_of(self.tail);
        self.tail += 1;
        len
    }

    /// Takes the refused oldest frame out. The kernel still stands at its slot, so that each
    /// frame behind it moves one slot to the front.
    pub(super) fn remove_refused(&mut self) {
        debug_assert!(self.oldest() == Slot::Refused);
        for index in self.tail..self.head - 1 {
            let len = self.len_of(index + 1);
            // SAFETY: both slots lie in the mapping and differ; the kernel, which acts only
            // within our own calls of send, has stopped before them. The length was a
            // `push`'s, so it fits.
            unsafe {
                let from = self.slot(index + 1).add(FRAME_AT);
                self.slot(index).add(FRAME_AT).copy_from_nonoverlapping(from, len as usize);
            }
            self.request(index, len);
        }
        self.head -= 1;
        self.status(self.head).store(libc::TP_STATUS_AVAILABLE, Release);
    }

    fn request(&self, index: u64, len: u32) {
        let at = offset_of!(tpacket2_hdr, tp_len);
        // SAFETY: the header lies at the slot's start, aligned as the slot is, and is ours.
        unsafe { self.slot(index).add(at).cast::<u32>().write(len) };
        // Release: the frame and its length are there before the kernel is told of them.
        self.status(index).store(libc::TP_STATUS_SEND_REQUEST, Release);
    }

    fn len_of(&self, index: u64) -> u32 {
        let at = offset_of!(tpacket2_hdr, tp_len);
        // SAFETY: as in `request`; the kernel does not write this word of a transmit slot.
        let len = unsafe { self.slot(index).add(at).cast::<u32>().read() };
        len.min((self.layout.slot_bytes - FRAME_AT) as u32)
    }

    #[inline]
    fn slot(&self, index: u64) -> NonNull<u8> {
        let at = index as usize & (self.layout.slots - 1);
        // SAFETY: the masked index is below the number of slots, which all lie in the mapping.
        unsafe { self.map.base().add(at * self.layout.slot_bytes) }
    }

    #[inline]
    fn status(&self, index: u64) -> &AtomicU32 {
        let at = offset_of!(tpacket2_hdr, tp_status);
        // SAFETY: the word lies in the slot, aligned; both sides use it as an atomic, and the
        // mapping outlives `self`.
        unsafe { AtomicU32::from_ptr(self.slot(index).add(at).cast().as_ptr()) }
    }
}
