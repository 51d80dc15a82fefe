//! Rings in a region that several processes map.
//!
//! ```text
//! offset   0  Header    magic, version, layout hash, slots, item size, creator   (128 bytes)
//!        128  Control   tail | head | waiting, closed, owners                    (3 × 128 bytes)
//!        512  slots     slots × item size
//! ```
//!
//! Integers are little-endian and of fixed width. The header is input: it is read once, checked
//! against this build's own layout and against the region's length (which comes from `fstat`),
//! and not looked at again. The magic is written last, so that a ring half made is no ring.
//!
//! A side is claimed by a compare-and-swap of its owner's word (process id and start time). A
//! side whose owner died is free to be claimed: the new owner goes on from the shared index, so
//! that what was committed is still there and what was not never was.

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bytemuck::Pod;

use super::control::Control;
use super::memory::{MAX_SLOTS, Memory};
use super::{Consumer, Producer, RingError, Side};
use crate::{Process, RegionView};

const MAGIC: u64 = u64::from_le_bytes(*b"pfs-ring");
const VERSION: u32 = 1;
/// Alignment of a ring in its region, in bytes.
pub const RING_ALIGN: u64 = 128;
const CONTROL_AT: usize = size_of::<Header>();
const SLOTS_AT: usize = CONTROL_AT + size_of::<Control>();

/// What a ring in a region begins with. Atomics, since others may write here at any time.
#[repr(C, align(128))]
struct Header {
    magic: AtomicU64,
    version: AtomicU32,
    item_bytes: AtomicU32,
    layout: AtomicU64,
    slots: AtomicU64,
    creator: AtomicU64,
}

const _: () = {
    assert!(size_of::<Header>() == 128);
    assert!(std::mem::offset_of!(Header, item_bytes) == 12);
    assert!(std::mem::offset_of!(Header, layout) == 16);
    assert!(std::mem::offset_of!(Header, slots) == 24);
    assert!(std::mem::offset_of!(Header, creator) == 32);
};

/// FNV-1a over every number that both sides must agree on. Source: Fowler, Noll, Vo,
/// <http://www.isthe.com/chongo/tech/comp/fnv/>.
const fn layout_hash(item_bytes: usize, item_align: usize) -> u64 {
    let facts = [
        size_of::<Header>(),
        std::mem::offset_of!(Control, tail),
        std::mem::offset_of!(Control, head),
        std::mem::offset_of!(Control, rare),
        SLOTS_AT,
        item_bytes,
        item_align,
    ];
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut at = 0;
    while at < facts.len() * 8 {
        let byte = facts[at / 8] as u64 >> (at % 8 * 8) & 0xff;
        hash = (hash ^ byte).wrapping_mul(0x100_0000_01b3);
        at += 1;
    }
    hash
}

/// A ring in a region, neither side of which this handle holds.
#[derive(Debug)]
pub struct MappedRing<T: Pod> {
    memory: Memory<T>,
    creator: Option<Process>,
    _items: PhantomData<T>,
}

impl<T: Pod + Send> MappedRing<T> {
    /// Bytes that a ring of `slots` takes, a multiple of [`RING_ALIGN`]; `None` when `slots` is
    /// no power of two or above 2^31.
    #[must_use]
    pub fn bytes(slots: usize) -> Option<u64> {
        if !slots.is_power_of_two() || slots > MAX_SLOTS || size_of::<T>() == 0 {
            return None;
        }
        let items = (slots as u64).checked_mul(size_of::<T>() as u64)?;
        items.checked_add(SLOTS_AT as u64)?.checked_next_multiple_of(RING_ALIGN)
    }

    /// Makes an empty ring of `slots` (a power of two) at `offset` (a multiple of
    /// [`RING_ALIGN`]), over whatever was there.
    ///
    /// # Errors
    /// [`RingError::Slots`], [`RingError::Misplaced`].
    pub fn create(region: &RegionView, offset: u64, slots: usize) -> Result<Self, RingError> {
        let bytes = Self::bytes(slots).ok_or(RingError::Slots { slots: slots as u64 })?;
        let base = place::<T>(region, offset, bytes)?;
        // SAFETY: `place` gave `bytes` aligned bytes of the region; atomics may be formed over
        // memory of any content, and are how every process touches this part.
        let header: &Header = unsafe { base.cast().as_ref() };
        header.magic.store(0, Ordering::Release);
        // SAFETY: as above; the words follow the header.
        let control = unsafe { base.byte_add(CONTROL_AT).cast::<Control>() };
        // SAFETY: in bounds; nobody uses the words of a ring that has no magic yet.
        unsafe { control.write(Control::new(0)) };
        let me = Process::current();
        header.version.store(VERSION, Ordering::Relaxed);
        header.item_bytes.store(size_of::<T>() as u32, Ordering::Relaxed);
        header.layout.store(layout_hash(size_of::<T>(), align_of::<T>()), Ordering::Relaxed);
        header.slots.store(slots as u64, Ordering::Relaxed);
        header.creator.store(me.pack(), Ordering::Relaxed);
        // Pairs with the Acquire in `open`.
        header.magic.store(MAGIC, Ordering::Release);
        Ok(Self::at(region, base, slots, Some(me)))
    }

    /// Opens the ring that another process, or this one, made at `offset`.
    ///
    /// # Errors
    /// As [`RingError`] lists; nothing is written before all is checked.
    pub fn open(region: &RegionView, offset: u64) -> Result<Self, RingError> {
        let base = place::<T>(region, offset, SLOTS_AT as u64)?;
        // SAFETY: as in `create`.
        let header: &Header = unsafe { base.cast().as_ref() };
        let magic = header.magic.load(Ordering::Acquire);
        if magic != MAGIC {
            return Err(RingError::NoRing { offset, magic });
        }
        let version = header.version.load(Ordering::Relaxed);
        if version != VERSION {
            return Err(RingError::Version { found: version, ours: VERSION });
        }
        let item_bytes = header.item_bytes.load(Ordering::Relaxed);
        if item_bytes as usize != size_of::<T>() {
            return Err(RingError::ItemBytes { found: item_bytes, ours: size_of::<T>() });
        }
        let (layout, ours) =
            (header.layout.load(Ordering::Relaxed), layout_hash(size_of::<T>(), align_of::<T>()));
        if layout != ours {
            return Err(RingError::Layout { found: layout, ours });
        }
        let slots = header.slots.load(Ordering::Relaxed);
        let count = usize::try_from(slots).map_err(|_| RingError::Slots { slots })?;
        let bytes = Self::bytes(count).ok_or(RingError::Slots { slots })?;
        let creator = Process::unpack(header.creator.load(Ordering::Relaxed));
        let base = place::<T>(region, offset, bytes)?;
        Ok(Self::at(region, base, count, creator))
    }

    fn at(region: &RegionView, base: NonNull<u8>, slots: usize, creator: Option<Process>) -> Self {
        let owner = Arc::new(region.clone());
        // SAFETY: `place` gave room for header, words and `slots` items, aligned; any bytes are
        // valid items (`Pod`); the region stays mapped while `owner` lives.
        let memory = unsafe {
            let control = base.byte_add(CONTROL_AT).cast();
            Memory::new(control, base.byte_add(SLOTS_AT).cast(), slots, owner)
        };
        Self { memory, creator, _items: PhantomData }
    }

    /// Slots of the ring.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.memory.slot_count()
    }

    /// The process that made the ring, as its header says.
    #[must_use]
    pub const fn creator(&self) -> Option<Process> {
        self.creator
    }

    /// Claims the pushing side for this process.
    ///
    /// # Errors
    /// [`RingError::Taken`] while a live process holds it; [`RingError::Poisoned`] when the
    /// ring's indices are impossible.
    pub fn producer(&self) -> Result<Producer<T>, RingError> {
        let me = claim(&self.memory.control().rare.0.producer, Side::Producer)?;
        Producer::attach(self.memory.clone(), Some(me))
            .ok_or_else(|| self.impossible(Side::Producer, me))
    }

    /// Claims the popping side for this process.
    ///
    /// # Errors
    /// As [`Self::producer`].
    pub fn consumer(&self) -> Result<Consumer<T>, RingError> {
        let me = claim(&self.memory.control().rare.0.consumer, Side::Consumer)?;
        Consumer::attach(self.memory.clone(), Some(me))
            .ok_or_else(|| self.impossible(Side::Consumer, me))
    }

    #[cold]
    fn impossible(&self, side: Side, me: Process) -> RingError {
        let control = self.memory.control();
        let owner = match side {
            Side::Producer => &control.rare.0.producer,
            Side::Consumer => &control.rare.0.consumer,
        };
        super::unclaim(owner, Some(me));
        super::count_poisoned();
        RingError::Poisoned {
            tail: control.tail.0.load(Ordering::Relaxed),
            head: control.head.0.load(Ordering::Relaxed),
            slots: self.capacity() as u64,
        }
    }
}

/// `bytes` bytes at `offset`, if they are aligned and inside the region.
fn place<T>(region: &RegionView, offset: u64, bytes: u64) -> Result<NonNull<u8>, RingError> {
    let fits = offset.checked_add(bytes).is_some_and(|end| end <= region.len() as u64);
    let base = region.span(offset, 0).filter(|_| fits);
    let aligned = |base: &NonNull<u8>| {
        base.addr().get().is_multiple_of(RING_ALIGN as usize)
            && (base.addr().get() + SLOTS_AT).is_multiple_of(align_of::<T>())
    };
    base.filter(aligned).ok_or(RingError::Misplaced { offset, bytes, region: region.len() as u64 })
}

/// Makes this process a side's owner, if it has none that lives.
fn claim(owner: &AtomicU64, side: Side) -> Result<Process, RingError> {
    let me = Process::current();
    let mut held = owner.load(Ordering::Acquire);
    loop {
        if let Some(process) = Process::unpack(held).filter(|process| process.is_alive()) {
            return Err(RingError::Taken { side, pid: process.pid });
        }
        // AcqRel: what the former owner wrote before it left, this one sees.
        match owner.compare_exchange(held, me.pack(), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Ok(me),
            Err(now) => held = now,
        }
    }
}
