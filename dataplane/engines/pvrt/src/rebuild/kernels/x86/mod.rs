//! x86-64.

pub(super) mod avx2;
pub(super) mod avx512;

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch, _mm_sfence};

/// Piece from which on a copy through the caches is the C library's, which knows the processor.
const LIBRARY: usize = 2 << 10;

#[inline(always)]
fn fetch(at: *const u8) {
    // SAFETY: a prefetch reads nothing and faults nowhere; SSE is in every x86-64.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
}

#[inline(always)]
fn fence() {
    // SAFETY: SSE is in every x86-64.
    unsafe { _mm_sfence() };
}
