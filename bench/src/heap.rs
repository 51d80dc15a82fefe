//! Bytes that this process has allocated and not freed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// The system's allocator, counting the bytes that are allocated and not freed once [`count`] was
/// called. Before, it costs a load and a branch: groups that measure rates do not count.
#[derive(Debug)]
pub struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicI64 = AtomicI64::new(0);

/// Counts from now on; take differences of [`live_bytes`].
pub fn count() {
    COUNTS.store(true, Ordering::Relaxed);
}

/// Bytes that were allocated and not freed since [`count`], where [`Counting`] is the program's
/// allocator; below 0 when older memory was freed.
#[must_use]
pub fn live_bytes() -> i64 {
    LIVE.load(Ordering::Relaxed)
}

#[inline]
fn add(size: usize) {
    if COUNTS.load(Ordering::Relaxed) {
        LIVE.fetch_add(size.cast_signed() as i64, Ordering::Relaxed);
    }
}

#[inline]
fn take(size: usize) {
    if COUNTS.load(Ordering::Relaxed) {
        LIVE.fetch_sub(size.cast_signed() as i64, Ordering::Relaxed);
    }
}

// SAFETY: every call is handed to the system's allocator as it came, and what that gives is given
// back unchanged; the counter is no part of any allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps `alloc_zeroed`'s contract, which is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        take(layout.size());
        // SAFETY: `memory` came from the system's allocator with this layout.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size);
        take(layout.size());
        // SAFETY: `memory` came from the system's allocator with this layout.
        unsafe { System.realloc(memory, layout, size) }
    }
}
