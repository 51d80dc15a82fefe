//! The words that the two sides of a ring share.

use crate::sync::{AtomicU32, AtomicU64};

/// A word alone on its lines.
///
/// 128 bytes, not 64: x86 fetches lines in adjacent pairs, and the two sides must not pull at
/// one pair.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Line<W>(pub(crate) W);

/// One ring's shared words. Each is written by one side only, except where said.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Control {
    /// Items pushed since the ring was made. Written by the producer.
    pub(crate) tail: Line<AtomicU64>,
    /// Items popped since the ring was made. Written by the consumer.
    pub(crate) head: Line<AtomicU64>,
    /// Words that change rarely, so that both sides keep a clean copy in their caches.
    pub(crate) rare: Line<Rare>,
}

/// The words of attaching, waiting and leaving.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Rare {
    /// Not 0 while the consumer sleeps or is about to; the producer sets it back to 0 and wakes.
    pub(crate) consumer_waits: AtomicU32,
    /// Not 0 while the producer sleeps or is about to; the consumer sets it back to 0 and wakes.
    pub(crate) producer_waits: AtomicU32,
    /// Not 0 once the producer has left in good order.
    pub(crate) producer_closed: AtomicU32,
    /// Not 0 once the consumer has left in good order.
    pub(crate) consumer_closed: AtomicU32,
    /// The producer's process, packed; 0 when nobody holds that side. Unused on the heap.
    pub(crate) producer: AtomicU64,
    /// The consumer's process, packed; 0 when nobody holds that side. Unused on the heap.
    pub(crate) consumer: AtomicU64,
}

impl Control {
    /// An empty ring's words, the first item at index `start`.
    pub(crate) fn new(start: u64) -> Self {
        Self {
            tail: Line(AtomicU64::new(start)),
            head: Line(AtomicU64::new(start)),
            rare: Line(Rare {
                consumer_waits: AtomicU32::new(0),
                producer_waits: AtomicU32::new(0),
                producer_closed: AtomicU32::new(0),
                consumer_closed: AtomicU32::new(0),
                producer: AtomicU64::new(0),
                consumer: AtomicU64::new(0),
            }),
        }
    }
}

#[cfg(not(loom))]
const _: () = {
    assert!(size_of::<Control>() == 384 && align_of::<Control>() == 128);
    assert!(std::mem::offset_of!(Control, tail) == 0);
    assert!(std::mem::offset_of!(Control, head) == 128);
    assert!(std::mem::offset_of!(Control, rare) == 256);
    assert!(std::mem::offset_of!(Rare, producer) == 16);
};
