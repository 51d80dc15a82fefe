//! Copy, exclusive or, and addition of a byte, over the pieces of a window.
//!
//! One algorithm over a [`Backend`] per instruction set, chosen when the process starts. All the
//! work of a window is compiled for the level, so that short pieces cost no call.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod backend;
mod portable;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::OnceLock;

use super::RebuildError;
use crate::program::{Piece, Transform};
use crate::space::Space;

/// Instruction sets that kernels exist for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// AVX-512 F, BW, VL: 64 bytes at a time, ends of a piece by mask.
    Avx512,
    /// AVX2: 32 bytes at a time.
    Avx2,
    /// NEON: 16 bytes at a time.
    Neon,
    /// What the compiler makes of loops over bytes.
    Portable,
}

/// How the bytes of a window are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stores {
    /// Through the caches: right when the window is read again soon, or fits them.
    #[default]
    Cached,
    /// Past the caches where a piece is long enough: right when the output as a whole is larger
    /// than the last cache, since lines that are wholly overwritten are then not read first.
    Streaming,
}

impl Level {
    /// Every level, fastest first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// Whether this processor has it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            Self::Portable => true,
            _ => false,
        }
    }

    /// The fastest level of this processor, looked for once.
    #[must_use]
    pub fn detect() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        let find = || Self::ALL.into_iter().find(|level| level.is_available());
        *BEST.get_or_init(|| find().unwrap_or(Self::Portable))
    }
}

/// The kernels of one level. 1 byte; make one per thread or per window, it costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    /// Available, as whoever made it has seen to.
    level: Level,
}

impl Default for Kernels {
    /// The fastest of this processor.
    fn default() -> Self {
        Self { level: Level::detect() }
    }
}

impl Kernels {
    /// Those of `level`, or `None` where this processor lacks it.
    #[must_use]
    pub fn at_level(level: Level) -> Option<Self> {
        level.is_available().then_some(Self { level })
    }

    /// Their level.
    #[must_use]
    pub const fn level(self) -> Level {
        self.level
    }

    /// As [`super::window`], with `stores` as said.
    ///
    /// # Errors
    /// As [`super::window`].
    pub fn window(
        self,
        space: &Space<'_>,
        pieces: &[Piece],
        raw: &[u8],
        out: &mut [u8],
        stores: Stores,
    ) -> Result<(), RebuildError> {
        let streaming = stores == Stores::Streaming;
        match self.level {
            // SAFETY: kernels have a level only where that is available.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::avx512::window(space, pieces, raw, out, streaming) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::avx2::window(space, pieces, raw, out, streaming) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Level::Neon => unsafe { aarch64::window(space, pieces, raw, out, streaming) },
            // SAFETY: the portable backend asks for nothing.
            _ => unsafe { backend::window::<portable::Portable>(space, pieces, raw, out, false) },
        }
    }

    /// Writes `from`, transformed, into `into`.
    ///
    /// # Panics
    /// When they are not equally long.
    pub fn apply(self, transform: Transform, from: &[u8], into: &mut [u8]) {
        assert_eq!(from.len(), into.len(), "source and destination are equally long");
        match self.level {
            // SAFETY: kernels have a level only where that is available.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::avx512::apply(transform, from, into) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::avx2::apply(transform, from, into) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Level::Neon => unsafe { aarch64::apply(transform, from, into) },
            // SAFETY: the portable backend asks for nothing.
            _ => unsafe { backend::put::<portable::Portable>(transform, from, into, false) },
        }
    }
}
