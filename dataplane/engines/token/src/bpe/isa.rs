//! The inner loops by instruction set.

use super::merge::{self, Joins, Merged};
use super::{Bpe, Scratch};
use crate::split::Level;

/// What the loops over windows and prefixes call.
pub(super) trait Isa: Copy {
    /// What two numbers merge into; [`super::NONE`] for nothing.
    fn join(self, bpe: &Bpe, left: u32, right: u32) -> u32;
    /// The tokens of a piece of 1 to 64 bytes.
    fn merge(self, bpe: &Bpe, piece: &[u8]) -> Merged;
}

/// General registers, or what the compiler makes of them for the caller's instruction set.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Isa for Portable {
    #[inline(always)]
    fn join(self, bpe: &Bpe, left: u32, right: u32) -> u32 {
        bpe.numbers(left, right)
    }

    #[inline(always)]
    fn merge(self, bpe: &Bpe, piece: &[u8]) -> Merged {
        merge::merge(bpe, piece)
    }
}

impl Bpe {
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
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Bpe, Isa, Merged, Portable, Scratch};
    use crate::bpe::NONE;
    use crate::bpe::merge::{POSITION_BITS, WINDOW, order};
    use crate::bpe::pairs;

    /// AVX-512. To be made only where the processor has it.
    #[derive(Clone, Copy)]
    pub(super) struct Avx512(());

    /// The 32-bit lanes of a register, as slots of bytes.
    const LANES: usize = 16;

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn short256(bpe: &Bpe, piece: &[u8]) -> Merged {
        Portable.merge(bpe, piece)
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn settle256(bpe: &Bpe, text: &[u8], more: bool, scratch: &mut Scratch) -> usize {
        bpe.settle_with(Portable, text, more, scratch)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn short512(bpe: &Bpe, piece: &[u8]) -> Merged {
        Avx512(()).merge(bpe, piece)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn settle512(bpe: &Bpe, text: &[u8], more: bool, scratch: &mut Scratch) -> usize {
        bpe.settle_with(Avx512(()), text, more, scratch)
    }

    impl Isa for Avx512 {
        #[inline(always)]
        fn join(self, bpe: &Bpe, left: u32, right: u32) -> u32 {
            let (pair, mut at) = bpe.pairs.place(left, right);
            loop {
                let Some(line) = bpe.pairs.line(at) else { return NONE };
                // SAFETY: an `Avx512` is made only in functions with these features. A line is
                // 64 bytes, aligned to 64.
                let here = unsafe {
                    let cells = _mm512_load_si512(std::ptr::from_ref(line).cast());
                    let other = _mm512_xor_si512(cells, _mm512_set1_epi64(pair as i64));
                    let limit = _mm512_set1_epi64(1 << pairs::RESULT_BITS);
                    _mm512_cmplt_epu64_mask(other, limit)
                };
                let result = (line.0[here.trailing_zeros() as usize % 8] & !pairs::PAIR) as u32;
                // Whether there is such a pair cannot be foretold: no branch on it, but for a line
                // that has run over.
                let found = result | (u32::from(here == 0).wrapping_neg() & NONE);
                if !line.is_full() {
                    return found;
                }
                if found != NONE {
                    return found;
                }
                at += 1;
            }
        }

        #[inline(always)]
        fn merge(self, bpe: &Bpe, piece: &[u8]) -> Merged {
            // SAFETY: an `Avx512` is made only in functions with these features.
            unsafe {
                match piece.len() {
                    0..=16 => self.merge_in::<1>(bpe, piece),
                    17..=32 => self.merge_in::<2>(bpe, piece),
                    _ => self.merge_in::<4>(bpe, piece),
                }
            }
        }
    }

    impl Avx512 {
        /// As [`crate::bpe::merge::merge`], with the ranks in `R` registers.
        ///
        /// # Safety
        /// The processor must have the features that an `Avx512` stands for.
        #[inline(always)]
        unsafe fn merge_in<const R: usize>(self, bpe: &Bpe, piece: &[u8]) -> Merged {
            let len = piece.len();
            debug_assert!((1..=R * LANES).contains(&len));
            let mut numbers = [0u32; WINDOW];
            // SAFETY: features by the caller. Loads and gathers are masked to the bytes of `piece`
            // and to pairs of bytes, for each of which the table has an entry; `numbers` has room
            // for the `R` times 16 lanes stored.
            unsafe {
                let mut orders = [_mm512_set1_epi32(-1); R];
                for r in 0..R {
                    let first = r * LANES;
                    let here = low(len.saturating_sub(first));
                    let paired = low((len - 1).saturating_sub(first));
                    let at = piece.as_ptr().wrapping_add(first).cast();
                    let bytes = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(here, at));
                    let at = piece.as_ptr().wrapping_add(first + 1).cast();
                    let next = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(paired, at));
                    _mm512_storeu_si512(numbers.as_mut_ptr().add(first).cast(), bytes);
                    let index = _mm512_or_si512(_mm512_slli_epi32::<8>(bytes), next);
                    let none = _mm512_set1_epi32(NONE as i32);
                    let table = bpe.bytes.as_ptr().cast();
                    let ranks = _mm512_mask_i32gather_epi32::<4>(none, paired, index, table);
                    let lanes = _mm512_add_epi32(
                        _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                        _mm512_set1_epi32(first as i32),
                    );
                    let ranks = _mm512_slli_epi32::<{ POSITION_BITS }>(ranks);
                    orders[r] = _mm512_or_si512(ranks, lanes);
                }
                let live = self.run(bpe, &mut numbers, &mut orders, u64::MAX >> (WINDOW - len));
                Merged { numbers, live }
            }
        }

        /// Merges until nothing more can; gives the live slots.
        ///
        /// The least of the orders that a merge leaves as they are is found while its new
        /// neighbours are looked up.
        ///
        /// # Safety
        /// As for [`Avx512::merge_in`].
        #[inline(always)]
        unsafe fn run<const R: usize>(
            self,
            bpe: &Bpe,
            numbers: &mut [u32; WINDOW],
            orders: &mut [__m512i; R],
            mut live: u64,
        ) -> u64 {
            // SAFETY: features by the caller.
            unsafe {
                let mut least = least_of(orders);
                while least < NONE << POSITION_BITS {
                    let at = least as usize % WINDOW;
                    let number = least >> POSITION_BITS;
                    let above = live & (u64::MAX << at << 1);
                    let taken = above & above.wrapping_neg();
                    live ^= taken;
                    let above = above ^ taken;
                    let below = live & ((1 << at) - 1);
                    // Where there is no neighbour, some slot: what comes of it is dropped.
                    let after = above.trailing_zeros() as usize % WINDOW;
                    let before = 63 - (below | 1).leading_zeros() as usize;
                    let right = self.join(bpe, number, numbers[after]);
                    let left = self.join(bpe, numbers[before], number);
                    numbers[at] = number;
                    let right = order(if above == 0 { NONE } else { right }, at);
                    let left = order(if below == 0 { NONE } else { left }, before);
                    let before = if below == 0 { 0 } else { 1 << before };
                    put(orders, before | 1 << at | taken, u32::MAX);
                    let others = least_of(orders);
                    put(orders, before, left);
                    put(orders, 1 << at, right);
                    least = others.min(left).min(right);
                }
                live
            }
        }
    }

    /// A mask of the first `n` lanes.
    #[inline(always)]
    const fn low(n: usize) -> u16 {
        if n >= LANES { u16::MAX } else { (1 << n) - 1 }
    }

    /// Sets the lanes of `slots` to `value`.
    ///
    /// # Safety
    /// As for [`Avx512::merge_in`].
    #[inline(always)]
    unsafe fn put<const R: usize>(orders: &mut [__m512i; R], slots: u64, value: u32) {
        for (r, register) in orders.iter_mut().enumerate() {
            let lanes = (slots >> (r * LANES)) as u16;
            // SAFETY: features by the caller.
            *register = unsafe { _mm512_mask_set1_epi32(*register, lanes, value as i32) };
        }
    }

    /// The least order.
    ///
    /// # Safety
    /// As for [`Avx512::merge_in`].
    #[inline(always)]
    unsafe fn least_of<const R: usize>(orders: &[__m512i; R]) -> u32 {
        // SAFETY: features by the caller.
        unsafe {
            let least = orders[1..].iter().fold(orders[0], |a, b| _mm512_min_epu32(a, *b));
            _mm512_reduce_min_epu32(least)
        }
    }
}
