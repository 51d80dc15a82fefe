//! Requests for cache lines ahead of their use.
//!
//! A line that the other core used last takes some hundred cycles to come over. The core finds
//! out by itself that it walks through memory, but asks for lines to *read*; before a write each
//! must be asked for again, and stores retire in order, so that each waits for the one before.
//! The producer therefore asks for its lines to write, a good way ahead. The consumer needs no
//! such help: measured, its own requests only got in the way of the core's.

use std::ptr::NonNull;

const LINE: usize = 64;

/// How far ahead the producer asks, in lines. On Zen 5 anything from 8 to 32 does.
pub(super) const DISTANCE: usize = 16;

/// Items that share a line, at least 1.
pub(super) const fn per_line<T>() -> usize {
    if size_of::<T>() > LINE { 1 } else { LINE / size_of::<T>() }
}

/// Asks for the lines of `n` slots from index `at` on, to be written. `capacity` is a power of two.
#[inline(always)]
pub(super) fn to_write<T>(slots: NonNull<T>, at: usize, n: usize, capacity: usize) {
    for step in (0..n).step_by(per_line::<T>()) {
        let place = at.wrapping_add(step) & (capacity - 1);
        request(slots.as_ptr().wrapping_add(place).cast_const().cast());
    }
}

/// Asks for one line, to be written. A no-op on processors that do not know the instruction.
#[inline(always)]
fn request(line: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch changes no register and no memory, and faults at no address.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = line;
}
