//! AVX-512: 64 bytes at a time, ends by mask.

use std::arch::x86_64::*;

use super::{LIBRARY, fence, fetch};
use crate::program::{Piece, Transform};
use crate::rebuild::RebuildError;
use crate::rebuild::kernels::backend::{self, Backend, Change, Vector, vectors};
use crate::space::Space;

/// The backend of this level.
#[derive(Clone, Copy, Debug)]
struct Avx512;

/// A register.
#[derive(Clone, Copy)]
struct Bytes(__m512i);

/// The loop over a window, compiled for this level.
///
/// # Safety
/// AVX-512 F, BW and VL must be available.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(in crate::rebuild::kernels) unsafe fn window(
    space: &Space<'_>,
    pieces: &[Piece],
    raw: &[u8],
    out: &mut [u8],
    streaming: bool,
) -> Result<(), RebuildError> {
    // SAFETY: the features are those that the backend asks for.
    unsafe { backend::window::<Avx512>(space, pieces, raw, out, streaming) }
}

/// One piece, compiled for this level.
///
/// # Safety
/// As of [`window`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(in crate::rebuild::kernels) unsafe fn apply(
    transform: Transform,
    from: &[u8],
    into: &mut [u8],
) {
    // SAFETY: the features are those that the backend asks for.
    unsafe { backend::put::<Avx512>(transform, from, into, false) }
}

impl Backend for Avx512 {
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
    const BYTES: usize = size_of::<__m512i>();

    #[inline(always)]
    unsafe fn splat(byte: u8) -> Self {
        // SAFETY: the level's features, by the contract; so below.
        Self(unsafe { _mm512_set1_epi8(byte.cast_signed()) })
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: as many bytes can be read, by the contract.
        Self(unsafe { _mm512_loadu_si512(from.cast()) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: as many bytes can be written, by the contract.
        unsafe { _mm512_storeu_si512(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut u8) {
        // SAFETY: as above, and `to` is aligned. Whoever asked for streaming ends with a fence.
        unsafe { _mm512_stream_si512(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        // SAFETY: as of `splat`.
        Self(unsafe { _mm512_xor_si512(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as of `splat`.
        Self(unsafe { _mm512_add_epi8(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn short<C: Change>(from: *const u8, to: *mut u8, len: usize, imm: u8) {
        let mask = (1_u64 << len) - 1;
        // SAFETY: the mask has `len` bits, fewer than 64; other bytes are neither read nor
        // written, and cannot fault.
        unsafe {
            let bytes = Self(_mm512_maskz_loadu_epi8(mask, from.cast()));
            let made = C::change(bytes, Self::splat(imm));
            _mm512_mask_storeu_epi8(to.cast(), mask, made.0);
        }
    }
}
