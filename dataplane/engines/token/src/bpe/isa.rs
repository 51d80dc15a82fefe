//! The inner loops by instruction set.

use super::merge::{self, Few, Joins, Merged, Wide};
use super::{Bpe, Scratch};
use crate::split::Level;
use crate::words::Key;

#[cfg(target_arch = "x86_64")]
use super::x86;

/// What the loops over windows call.
pub(super) trait Isa: Copy {
    /// The tokens of a piece of 1 to 64 bytes.
    fn merge(self, bpe: &Bpe, piece: &[u8]) -> Merged;
}

/// General registers, or what the compiler makes of them for the caller's instruction set.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Isa for Portable {
    #[inline(always)]
    fn merge(self, bpe: &Bpe, piece: &[u8]) -> Merged {
        merge::merge(bpe, piece)
    }
}

impl Bpe {
    /// What two numbers merge into; [`super::NONE`] for nothing.
    #[inline(always)]
    pub(super) fn join(&self, left: u32, right: u32) -> u32 {
        self.numbers(left, right)
    }

    /// The tokens of `piece`, of 1 to 64 bytes.
    #[inline]
    pub(crate) fn short(&self, piece: &[u8]) -> Merged {
        match self.level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: tables have a level only where that is available.
            Level::Avx512 => unsafe { x86::short512(self, piece) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 => unsafe { x86::short256(self, piece) },
            _ => Portable.merge(self, piece),
        }
    }

    /// The ids of some words, those of `keys` that `which` lists, into `out` in that order. Keys of
    /// no word are passed over.
    ///
    /// Words merge side by side: each waits for memory while others go on.
    #[inline(never)]
    pub(crate) fn few(&self, keys: &[Key], which: &[u8], out: &mut [Few]) {
        debug_assert!(which.len() <= out.len());
        match self.level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: tables have a level only where that is available.
            Level::Avx512 => unsafe { x86::few512(self, keys, which, out) },
            _ => {
                for (&at, few) in which.iter().zip(out) {
                    let Some(word) = keys[usize::from(at)].word() else { continue };
                    few.count = 0;
                    for (number, id) in self.short(&word.0[..word.1]).iter().zip(&mut few.ids) {
                        *id = self.id(number);
                        few.count += 1;
                    }
                }
            }
        }
    }

    /// The ids of some pieces of 16 to 64 bytes, side by side likewise.
    #[inline(never)]
    pub(crate) fn wide(&self, pieces: &mut [Wide]) {
        match self.level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: tables have a level only where that is available.
            Level::Avx512 => unsafe { x86::wide512(self, pieces) },
            _ => {
                for wide in pieces {
                    wide.count = 0;
                    for (number, id) in self.short(wide.piece()).iter().zip(&mut wide.ids) {
                        *id = self.id(number);
                        wide.count += 1;
                    }
                }
            }
        }
    }

    /// Encodes the beginning of `text`, the rest of a piece from a border of tokens on, into
    /// `scratch.numbers`. Gives the number of bytes that they are: all of `text`, or with `more` as
    /// many as no further text can change; 0 asks for more text.
    pub(crate) fn settle(&self, text: &[u8], more: bool, scratch: &mut Scratch) -> usize {
        match self.level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: tables have a level only where that is available.
            Level::Avx512 => unsafe { x86::settle512(self, text, more, scratch) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 => unsafe { x86::settle256(self, text, more, scratch) },
            _ => self.settle_with(Portable, text, more, scratch),
        }
    }

    /// Encodes all of `text`, the rest of a piece from a border of tokens on, and hands the numbers
    /// over in order, some at a time. False where that goes astray, as only a text made for it brings
    /// about: what was handed over is then void, and [`Bpe::settle`] is to be asked.
    pub(crate) fn whole(
        &self,
        text: &[u8],
        scratch: &mut Scratch,
        take: &mut dyn FnMut(&[u32]),
    ) -> bool {
        match self.level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: tables have a level only where that is available.
            Level::Avx512 => unsafe { x86::whole512(self, text, scratch, take) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 => unsafe { x86::whole256(self, text, scratch, take) },
            _ => self.whole_with(Portable, text, scratch, take),
        }
    }
}
