//! NEON: 16 bytes at a time, ends by words. There are no stores past the caches to ask for.

use std::arch::aarch64::*;
use std::arch::asm;

use super::backend::{self, Backend, Change, Vector, vectors};
use crate::program::{Piece, Transform};
use crate::rebuild::RebuildError;
use crate::space::Space;

/// The backend of this level.
#[derive(Clone, Copy, Debug)]
struct Neon;

/// A register.
#[derive(Clone, Copy)]
struct Bytes(uint8x16_t);

/// The loop over a window, compiled for this level.
///
/// # Safety
/// NEON must be available.
#[target_feature(enable = "neon")]
pub(super) unsafe fn window(
    space: &Space<'_>,
    pieces: &[Piece],
    raw: &[u8],
    out: &mut [u8],
    streaming: bool,
) -> Result<(), RebuildError> {
    // SAFETY: the feature is the one that the backend asks for.
    unsafe { backend::window::<Neon>(space, pieces, raw, out, streaming) }
}

/// One piece, compiled for this level.
///
/// # Safety
/// As of [`window`].
#[target_feature(enable = "neon")]
pub(super) unsafe fn apply(transform: Transform, from: &[u8], into: &mut [u8]) {
    // SAFETY: the feature is the one that the backend asks for.
    unsafe { backend::put::<Neon>(transform, from, into, false) }
}

impl Backend for Neon {
    #[inline(always)]
    unsafe fn put<C: Change>(from: &[u8], into: &mut [u8], imm: u8, _: bool) {
        let len = from.len().min(into.len());
        // SAFETY: the feature is the caller's; both slices have `len` bytes, and one of them is
        // borrowed for writing, so they do not overlap.
        unsafe { vectors::<Bytes, C>(from.as_ptr(), into.as_mut_ptr(), len, imm, false) }
    }

    #[inline(always)]
    fn fetch(at: *const u8) {
        // SAFETY: a prefetch reads nothing and faults nowhere.
        unsafe { asm!("prfm pldl1keep, [{at}]", at = in(reg) at, options(nostack, readonly)) };
    }

    #[inline(always)]
    fn fence() {}
}

impl Vector for Bytes {
    const BYTES: usize = size_of::<uint8x16_t>();

    #[inline(always)]
    unsafe fn splat(byte: u8) -> Self {
        // SAFETY: NEON, by the contract; so below.
        Self(unsafe { vdupq_n_u8(byte) })
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: 16 bytes can be read, by the contract.
        Self(unsafe { vld1q_u8(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: 16 bytes can be written, by the contract.
        unsafe { vst1q_u8(to, self.0) }
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut u8) {
        // SAFETY: as above.
        unsafe { self.store(to) }
    }

    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        // SAFETY: as of `splat`.
        Self(unsafe { veorq_u8(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as of `splat`.
        Self(unsafe { vaddq_u8(self.0, other.0) })
    }
}
