//! The inner loops by instruction set.

use super::merge::{self, Joins, Merged, SHORT, Short};
use super::{Bpe, Scratch};
use crate::split::Level;

/// Pieces that merge side by side.
pub(crate) const BESIDE: usize = 4;

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

    /// The tokens of some pieces of 1 to 16 bytes, merged side by side: each waits for memory while
    /// the others go on.
    #[inline]
    pub(crate) fn beside(&self, pieces: [&[u8]; BESIDE]) -> [Short; BESIDE] {
        debug_assert!(pieces.iter().all(|piece| (1..=SHORT).contains(&piece.len())));
        match self.level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: tables have a level only where that is available.
            Level::Avx512 => unsafe { x86::beside512(self, pieces) },
            _ => pieces.map(|piece| self.short(piece).into()),
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

    use super::{BESIDE, Bpe, Isa, Merged, Portable, SHORT, Scratch, Short};
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
                    0..=16 => Work::<1, 16>::merged(bpe, piece),
                    17..=32 => Work::<2, 32>::merged(bpe, piece),
                    _ => Work::<4, 64>::merged(bpe, piece),
                }
            }
        }
    }

    /// A piece while it merges: `N` slots, their orders in `R` registers.
    struct Work<const R: usize, const N: usize> {
        numbers: [u32; N],
        orders: [__m512i; R],
        live: u64,
        least: u32,
    }

    impl<const R: usize, const N: usize> Work<R, N> {
        /// `piece`, of 1 to `N` bytes, byte by byte.
        ///
        /// # Safety
        /// The processor must have the features that an `Avx512` stands for.
        #[inline(always)]
        unsafe fn new(bpe: &Bpe, piece: &[u8]) -> Self {
            const { assert!(N == R * LANES && N <= WINDOW) };
            let len = piece.len();
            debug_assert!((1..=N).contains(&len));
            let mut numbers = [0u32; N];
            // SAFETY: features by the caller. Loads and gathers are masked to the bytes of `piece`
            // and to pairs of bytes, for each of which the table has an entry; `numbers` has room
            // for the `R` times 16 lanes stored.
            unsafe {
                let mut orders = [_mm512_set1_epi32(-1); R];
                for (r, order) in orders.iter_mut().enumerate() {
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
                    *order = _mm512_or_si512(ranks, lanes);
                }
                let least = least_of(&orders);
                Self { numbers, orders, live: u64::MAX >> (WINDOW - len), least }
            }
        }

        /// Whether nothing more merges.
        #[inline(always)]
        fn is_done(&self) -> bool {
            self.least >= NONE << POSITION_BITS
        }

        /// The next merge. The least of the orders that it leaves as they are is found while its
        /// new neighbours are looked up.
        ///
        /// # Safety
        /// As for [`Work::new`].
        #[inline(always)]
        unsafe fn step(&mut self, bpe: &Bpe) {
            let at = self.least as usize % N;
            let number = self.least >> POSITION_BITS;
            let above = self.live & (u64::MAX << at << 1);
            let taken = above & above.wrapping_neg();
            self.live ^= taken;
            let above = above ^ taken;
            let below = self.live & ((1 << at) - 1);
            // Where there is no neighbour, some slot: what comes of it is dropped.
            let after = above.trailing_zeros() as usize % N;
            let before = (63 - (below | 1).leading_zeros() as usize) % N;
            let right = Avx512(()).join(bpe, number, self.numbers[after]);
            let left = Avx512(()).join(bpe, self.numbers[before], number);
            self.numbers[at] = number;
            let right = order(if above == 0 { NONE } else { right }, at);
            let left = order(if below == 0 { NONE } else { left }, before);
            let before = if below == 0 { 0 } else { 1 << before };
            // SAFETY: features by the caller.
            unsafe {
                put(&mut self.orders, before | 1 << at | taken, u32::MAX);
                let others = least_of(&self.orders);
                put(&mut self.orders, before, left);
                put(&mut self.orders, 1 << at, right);
                self.least = others.min(left).min(right);
            }
        }

        /// Merges until nothing more can.
        ///
        /// # Safety
        /// As for [`Work::new`].
        #[inline(always)]
        unsafe fn finish(&mut self, bpe: &Bpe) {
            while !self.is_done() {
                // SAFETY: features by the caller.
                unsafe { self.step(bpe) };
            }
        }

        /// As [`crate::bpe::merge::merge`].
        ///
        /// # Safety
        /// As for [`Work::new`].
        #[inline(always)]
        unsafe fn merged(bpe: &Bpe, piece: &[u8]) -> Merged {
            // SAFETY: features by the caller.
            let work = unsafe {
                let mut work = Self::new(bpe, piece);
                work.finish(bpe);
                work
            };
            let mut merged = Merged { numbers: [0; WINDOW], live: work.live };
            merged.numbers[..N].copy_from_slice(&work.numbers);
            merged
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn beside512(bpe: &Bpe, pieces: [&[u8]; BESIDE]) -> [Short; BESIDE] {
        let [a, b, c, d] = pieces;
        // SAFETY: this function has the features.
        unsafe {
            let mut a = Work::<1, SHORT>::new(bpe, a);
            let mut b = Work::<1, SHORT>::new(bpe, b);
            let mut c = Work::<1, SHORT>::new(bpe, c);
            let mut d = Work::<1, SHORT>::new(bpe, d);
            while !(a.is_done() || b.is_done() || c.is_done() || d.is_done()) {
                a.step(bpe);
                b.step(bpe);
                c.step(bpe);
                d.step(bpe);
            }
            for [one, other] in [[&mut a, &mut b], [&mut c, &mut d]] {
                while !one.is_done() && !other.is_done() {
                    one.step(bpe);
                    other.step(bpe);
                }
                one.finish(bpe);
                other.finish(bpe);
            }
            [a.short(), b.short(), c.short(), d.short()]
        }
    }

    impl Work<1, SHORT> {
        /// The tokens of a finished piece.
        #[inline(always)]
        fn short(&self) -> Short {
            Short { numbers: self.numbers, live: self.live as u16 }
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
    /// As for [`Work::new`].
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
    /// As for [`Work::new`].
    #[inline(always)]
    unsafe fn least_of<const R: usize>(orders: &[__m512i; R]) -> u32 {
        // SAFETY: features by the caller.
        unsafe {
            let least = orders[1..].iter().fold(orders[0], |a, b| _mm512_min_epu32(a, *b));
            _mm512_reduce_min_epu32(least)
        }
    }
}
