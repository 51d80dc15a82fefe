//! Where a ring's words and slots lie: on the heap, or in a region that processes share.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::any::Any;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use bytemuck::Pod;

use super::control::Control;

/// Most slots of one ring: 2^31, so that a count of slots fits any integer used for one.
pub(super) const MAX_SLOTS: usize = 1 << 31;

/// A ring's control words and slots, kept in being by `owner`.
pub(super) struct Memory<T> {
    control: NonNull<Control>,
    slots: NonNull<T>,
    slot_count: usize,
    _owner: Arc<dyn Any + Send + Sync>,
    #[cfg(loom)]
    cells: Arc<[loom::cell::UnsafeCell<()>]>,
}

// SAFETY: the pointers name memory that `owner` keeps; `T: Pod` values have no thread of their
// own, and who may touch which slot is decided by the indices, not by this handle.
unsafe impl<T: Pod + Send> Send for Memory<T> {}
// SAFETY: as above; the control words are atomics.
unsafe impl<T: Pod + Send> Sync for Memory<T> {}

impl<T> Clone for Memory<T> {
    fn clone(&self) -> Self {
        Self {
            control: self.control,
            slots: self.slots,
            slot_count: self.slot_count,
            _owner: Arc::clone(&self._owner),
            #[cfg(loom)]
            cells: Arc::clone(&self.cells),
        }
    }
}

impl<T> fmt::Debug for Memory<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("slots", &self.slot_count).finish_non_exhaustive()
    }
}

impl<T: Pod> Memory<T> {
    /// A ring of `slots` (a power of two, at most [`MAX_SLOTS`]) for threads of this process.
    pub(super) fn heap(slots: usize, start: u64) -> Self {
        let owner =
            Arc::new(HeapRing { control: Control::new(start), slots: Block::new::<T>(slots) });
        let control = NonNull::from(&owner.control);
        let base = owner.slots.base.cast();
        // SAFETY: both lie in `owner`, whose block holds `slots` zeroed (so valid) values of `T`.
        unsafe { Self::new(control, base, slots, owner) }
    }

    /// # Safety
    /// For as long as `owner` lives, `control` must be valid, and `slots` must point to
    /// `slot_count` (a power of two) properly aligned, initialised values, which nobody touches
    /// but through the ring.
    pub(super) unsafe fn new(
        control: NonNull<Control>,
        slots: NonNull<T>,
        slot_count: usize,
        owner: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        debug_assert!(slot_count.is_power_of_two() && slot_count <= MAX_SLOTS);
        Self {
            control,
            slots,
            slot_count,
            _owner: owner,
            #[cfg(loom)]
            cells: (0..slot_count).map(|_| loom::cell::UnsafeCell::new(())).collect(),
        }
    }

    #[inline(always)]
    pub(super) fn control(&self) -> &Control {
        // SAFETY: valid while `owner` lives, by `new`'s contract.
        unsafe { self.control.as_ref() }
    }

    /// First of [`Self::slot_count`] slots.
    #[inline(always)]
    pub(super) const fn slots(&self) -> NonNull<T> {
        self.slots
    }

    #[inline(always)]
    pub(super) const fn slot_count(&self) -> usize {
        self.slot_count
    }

    /// Tells the model checker that the `n` slots from index `at` on are being written. The
    /// compiled ring has nothing to tell.
    #[inline(always)]
    pub(super) fn note_write(&self, at: u64, n: usize) {
        #[cfg(loom)]
        self.cells_of(at, n).for_each(|cell| cell.with_mut(|_| ()));
        let _ = (at, n);
    }

    /// As [`Self::note_write`], for reading.
    #[inline(always)]
    pub(super) fn note_read(&self, at: u64, n: usize) {
        #[cfg(loom)]
        self.cells_of(at, n).for_each(|cell| cell.with(|_| ()));
        let _ = (at, n);
    }

    #[cfg(loom)]
    fn cells_of(&self, at: u64, n: usize) -> impl Iterator<Item = &loom::cell::UnsafeCell<()>> {
        (0..n as u64)
            .map(move |step| &self.cells[at.wrapping_add(step) as usize & (self.slot_count - 1)])
    }
}

#[derive(Debug)]
struct HeapRing {
    control: Control,
    slots: Block,
}

/// Zeroed heap memory, aligned to pages so that no slot straddles one without need.
#[derive(Debug)]
struct Block {
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the block is plain memory; the ring's indices decide who touches it.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    fn new<T: Pod>(slots: usize) -> Self {
        let layout = Layout::array::<T>(slots)
            .and_then(|layout| layout.align_to(4096))
            .ok()
            .filter(|layout| layout.size() > 0)
            .expect("a ring's slots have a size, and the caller keeps below MAX_SLOTS");
        // SAFETY: the layout's size is not 0.
        let base = unsafe { alloc_zeroed(layout) };
        let Some(base) = NonNull::new(base) else { handle_alloc_error(layout) };
        Self { base, layout }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.base.as_ptr(), self.layout) }
    }
}
