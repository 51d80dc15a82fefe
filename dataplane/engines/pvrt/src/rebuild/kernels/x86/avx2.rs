//! AVX2: 32 bytes at a time, ends by words.

use std::arch::x86_64::*;

use super::{LIBRARY, fence, fetch};
use crate::program::{Piece, Transform};
use crate::rebuild::RebuildError;
use crate::rebuild::kernels::backend::{self, Backend, Change, Vector, vectors};
use crate::space::Space;

/// The backend of this level.
#[derive(Clone, Copy, Debug)]
struct Avx2;

/// A register.
#[derive(Clone, Copy)]
struct Bytes(__m256i);

/// The loop over a window, compiled for this level.
///
/// # Safety
/// AVX2 must be available.
#[target_feature(enable = "avx2")]
pub(in crate::rebuild::kernels) unsafe fn window(
    space: &Space<'_>,
    pieces: &[Piece],
    raw: &[u8],
    out: &mut [u8],
    streaming: bool,
) -> Result<(), RebuildError> {
    // SAFETY: the features are those that the backend asks for.
    unsafe { backend::window::<Avx2>(space, pieces, raw, out, streaming) }
}

/// One piece, compiled for this level.
///
/// # Safety
/// As of [`window`].
#[target_feature(enable = "avx2")]
pub(in crate::rebuild::kernels) unsafe fn apply(
    transform: Transform,
    from: &[u8],
    into: &mut [u8],
) {
    // SAFETY: the features are those that the backend asks for.
    unsafe { backend::put::<Avx2>(transform, from, into, false) }
}

impl Backend for Avx2 {
    #[inline(always)]
    unsafe fn put<C: Change>(from: &[u8], into: &mut [u8], imm: u8, streaming: bool) {
        let len = from.len().min(into.len());
        if C::NONE && len >= LIBRARY && !streaming {
            into[..len].copy_from_slice(&from[..len]);
            return;
        }
        // SAFETY: the features are the caller's; both slices have `len` bytes, and one of them
        // is borrowed for writing, so they do not overlap.
        unsafe { vectors::<Bytes, C>(from.as_ptr(), into.as_mut_ptr(), len, imm, streaming) }
    }

    #[inline(always)]
    fn fetch(at: *const u8) {
        fetch(at);
    }

    #[inline(always)]
    fn fence() {
        fence();
    }
}

impl Vector for Bytes {
    const BYTES: usize = size_of::<__m256i>();

    #[inline(always)]
    unsafe fn splat(byte: u8) -> Self {
        // SAFETY: the level's features, by the contract; so below.
        Self(unsafe { _mm256_set1_epi8(byte.cast_signed()) })
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: as many bytes can be read, by the contract.
        Self(unsafe { _mm256_loadu_si256(from.cast()) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: as many bytes can be written, by the contract.
        unsafe { _mm256_storeu_si256(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut u8) {
        // SAFETY: as above, and `to` is aligned. Whoever asked for streaming ends with a fence.
        unsafe { _mm256_stream_si256(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        // SAFETY: as of `splat`.
        Self(unsafe { _mm256_xor_si256(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as of `splat`.
        Self(unsafe { _mm256_add_epi8(self.0, other.0) })
    }
}
