//! Kernels: the loops over payload bytes, one family per [`Isa`].
//!
//! [`pass`] holds the algorithm of a fused pass (transform, count, CRC) once, generic over the
//! [`simd::Simd`] trait; [`fnv`] interleaves the chains of many messages. The folders per
//! architecture hold the trait's instances and the functions compiled for their features.
//! Every kernel takes a whole batch and is resumable: its state goes in and comes out, so that a
//! message may lie in several spans and several batches.

pub(super) mod crc;
pub(super) mod fnv;
pub(super) mod hist;
mod pass;
mod portable;
mod simd;
#[cfg(test)]
mod tests;

pub mod oracle;

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(super) use pass::{CrcOf, PassState, Shape};

use super::batch::Seg;
use super::isa::Isa;
use pass::PassFn;

/// The code pointers of one level. They may be called wherever that level is available.
#[derive(Clone, Copy)]
pub(super) struct Kernels {
    pass: fn(Shape) -> PassFn,
    fnv: FnvFn,
}

/// Takes spans through FNV-1a: the batch, the prefetch window, the state in and out.
type FnvFn = unsafe fn(&[Seg], Ahead<'_>, &mut FnvState);

/// State of a digest by message with FNV-1a.
#[derive(Clone, Copy, Debug)]
pub(super) struct FnvState {
    /// Where a message starts from.
    pub(super) basis: u64,
    /// The message that the last batch left open; `basis` when none is.
    pub(super) open: u64,
    /// Wrapping sum of the digests of finished messages.
    pub(super) sum: u64,
}

/// What to prefetch while a batch is worked on.
#[derive(Clone, Copy)]
pub(super) struct Ahead<'a> {
    /// The batch's spans and, after them, hints of the next batch's.
    pub(super) window: &'a [Seg],
    /// How many spans ahead of the current one; 0 for no prefetch.
    pub(super) distance: usize,
}

impl Ahead<'_> {
    /// Fetches the span that lies `distance` ahead of span `at`.
    #[inline(always)]
    fn prefetch(&self, at: usize) {
        if self.distance != 0
            && let Some(seg) = self.window.get(at + self.distance)
        {
            prefetch_span(seg);
        }
    }
}

/// Lines of a span that are fetched ahead; the hardware's own prefetch takes over beyond.
const PREFETCH_LINES: usize = 8;

#[inline(always)]
fn prefetch_span(seg: &Seg) {
    let lines = (seg.len as usize).div_ceil(64).min(PREFETCH_LINES);
    for line in 0..lines {
        prefetch_line(seg.ptr.wrapping_add(line * 64));
    }
}

#[inline(always)]
fn prefetch_line(ptr: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64, and a prefetch of any address cannot fault.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(ptr.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: `prfm` of any address cannot fault.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) ptr, options(nostack, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = ptr;
}

impl Kernels {
    /// The kernels of `isa`, or `None` where this processor lacks it.
    pub(super) fn of(isa: Isa) -> Option<Self> {
        if !isa.is_available() {
            return None;
        }
        Some(match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => x86::avx512::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => x86::avx2::KERNELS,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => aarch64::KERNELS,
            _ => portable::KERNELS,
        })
    }

    /// The kernels that run everywhere.
    pub(super) const fn portable() -> Self {
        portable::KERNELS
    }

    /// The loop for passes of `shape`. To be called where `self`'s level is available, which
    /// having a `Kernels` proves.
    pub(super) fn pass(&self, shape: Shape) -> PassFn {
        (self.pass)(shape)
    }

    /// FNV-1a over the messages of a batch.
    ///
    /// # Safety
    /// The spans of `segs` must be readable.
    #[inline]
    pub(super) unsafe fn fnv(&self, segs: &[Seg], ahead: Ahead<'_>, state: &mut FnvState) {
        // SAFETY: the level is available, or `of` had given no kernels; spans by the caller.
        unsafe { (self.fnv)(segs, ahead, state) }
    }
}
