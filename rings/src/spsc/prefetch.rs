//! Requests for cache lines ahead of their use.
//!
//! A line that the other core wrote last takes some hundred cycles to come over. The core finds
//! out by itself that it walks through memory, but asks for lines to *read*; before a write each
//! must then be asked for again. The producer's side therefore asks for them to write.

use std::ptr::NonNull;

const LINE: usize = 64;

/// Asks for the lines of `n` slots from index `at` on, to be written.
#[inline(always)]
pub(super) fn to_write<T>(slots: NonNull<T>, at: usize, n: usize, capacity: usize) {
    each_line(slots, at, n, capacity, |line| {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        // SAFETY: a prefetch reads and writes nothing, and faults at no address.
        unsafe {
            std::arch::asm!("prefetchw [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
        }
        let _ = line;
    });
}

/// Asks for the lines of `n` slots from index `at` on, to be read.
#[inline(always)]
pub(super) fn to_read<T>(slots: NonNull<T>, at: usize, n: usize, capacity: usize) {
    each_line(slots, at, n, capacity, |line| {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        // SAFETY: a prefetch reads and writes nothing, and faults at no address.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(line.cast());
        }
        let _ = line;
    });
}

#[inline(always)]
fn each_line<T>(
    slots: NonNull<T>,
    at: usize,
    n: usize,
    capacity: usize,
    request: impl Fn(*const u8),
) {
    let per_line = (LINE / size_of::<T>().max(1)).max(1);
    let mut step = 0;
    while step < n {
        let place = at.wrapping_add(step) & (capacity - 1);
        request(slots.as_ptr().wrapping_add(place).cast_const().cast());
        step += per_line;
    }
}
