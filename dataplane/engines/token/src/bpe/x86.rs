//! Merging in AVX-512 registers: the orders of 16 slots in one.

use std::arch::x86_64::*;

use super::isa::{Isa, Portable};
use super::merge::{Few, Merged, POSITION_BITS, WINDOW, Wide, order};
use super::{Bpe, NONE, Scratch};
use crate::words::Key;

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

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn whole256(
    bpe: &Bpe,
    text: &[u8],
    scratch: &mut Scratch,
    take: &mut dyn FnMut(&[u32]),
) -> bool {
    bpe.whole_with(Portable, text, scratch, take)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn short512(bpe: &Bpe, piece: &[u8]) -> Merged {
    Avx512(()).merge(bpe, piece)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn settle512(bpe: &Bpe, text: &[u8], more: bool, scratch: &mut Scratch) -> usize {
    bpe.settle_with(Avx512(()), text, more, scratch)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn whole512(
    bpe: &Bpe,
    text: &[u8],
    scratch: &mut Scratch,
    take: &mut dyn FnMut(&[u32]),
) -> bool {
    bpe.whole_with(Avx512(()), text, scratch, take)
}

impl Isa for Avx512 {
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
                let lanes = _mm512_add_epi32(places(), _mm512_set1_epi32(first as i32));
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
        let right = bpe.join(number, self.numbers[after]);
        let left = bpe.join(self.numbers[before], number);
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

/// Words that merge side by side.
const BESIDE: usize = 8;
/// Longer pieces that do, in more registers.
const WIDE_BESIDE: usize = 4;

/// As [`Bpe::few`]; where a word is done, the next takes its place.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn few512(bpe: &Bpe, keys: &[Key], which: &[u8], out: &mut [Few]) {
    // SAFETY: this function has the features.
    unsafe { side_by_side::<1, LANES, BESIDE>(bpe, &mut FewQueue { keys, which, out, at: 0 }) }
}

/// As [`Bpe::wide`]: first those of up to 32 bytes, then the others.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn wide512(bpe: &Bpe, pieces: &mut [Wide]) {
    let longer = pieces.iter().any(|wide| wide.len > 32);
    // SAFETY: this function has the features.
    unsafe {
        let mut queue = WideQueue { pieces, at: 0, from: 1 };
        side_by_side::<2, 32, WIDE_BESIDE>(bpe, &mut queue);
        if longer {
            queue = WideQueue { pieces, at: 0, from: 33 };
            side_by_side::<4, 64, WIDE_BESIDE>(bpe, &mut queue);
        }
    }
}

/// Pieces that wait to be merged in `R` registers.
trait Queue<const R: usize, const N: usize> {
    /// The next piece to merge, and its place.
    ///
    /// # Safety
    /// As for [`Work::new`].
    unsafe fn next(&mut self, bpe: &Bpe) -> Option<(Work<R, N>, usize)>;

    /// Takes the merged piece of place `at`.
    ///
    /// # Safety
    /// As for [`Work::new`].
    unsafe fn done(&mut self, bpe: &Bpe, at: usize, work: &Work<R, N>);
}

/// Words.
struct FewQueue<'a> {
    keys: &'a [Key],
    which: &'a [u8],
    out: &'a mut [Few],
    at: usize,
}

impl Queue<1, LANES> for FewQueue<'_> {
    #[inline(always)]
    unsafe fn next(&mut self, bpe: &Bpe) -> Option<(Work<1, LANES>, usize)> {
        while let Some(&at) = self.which.get(self.at) {
            self.at += 1;
            let key = &self.keys[usize::from(at)];
            if key.is_word() {
                // SAFETY: features by the caller.
                return Some((unsafe { Work::of_key(bpe, key) }, self.at - 1));
            }
        }
        None
    }

    #[inline(always)]
    unsafe fn done(&mut self, bpe: &Bpe, at: usize, work: &Work<1, LANES>) {
        let few = &mut self.out[at];
        // SAFETY: features by the caller. A `Few` is as large as 16 ids, and any ids make one.
        few.count = unsafe { work.ids(bpe, std::ptr::from_mut(few).cast()) };
    }
}

/// Pieces of `from` to as many bytes as there are slots.
struct WideQueue<'a> {
    pieces: &'a mut [Wide],
    at: usize,
    from: u32,
}

impl<const R: usize, const N: usize> Queue<R, N> for WideQueue<'_> {
    #[inline(always)]
    unsafe fn next(&mut self, bpe: &Bpe) -> Option<(Work<R, N>, usize)> {
        while let Some(wide) = self.pieces.get(self.at) {
            self.at += 1;
            if (self.from..=N as u32).contains(&wide.len) {
                // SAFETY: features by the caller.
                return Some((unsafe { Work::new(bpe, wide.piece()) }, self.at - 1));
            }
        }
        None
    }

    #[inline(always)]
    unsafe fn done(&mut self, bpe: &Bpe, at: usize, work: &Work<R, N>) {
        let wide = &mut self.pieces[at];
        // SAFETY: features by the caller. There is room for 64 ids.
        wide.count = unsafe { work.ids(bpe, wide.ids.as_mut_ptr()) };
    }
}

/// No place: there is nothing to do.
const NOWHERE: usize = usize::MAX;

/// Merges all pieces of `queue`, `B` at a time.
///
/// # Safety
/// As for [`Work::new`].
#[inline(always)]
unsafe fn side_by_side<const R: usize, const N: usize, const B: usize>(
    bpe: &Bpe,
    queue: &mut impl Queue<R, N>,
) {
    // SAFETY: features by the caller.
    unsafe {
        let mut open = 0;
        let mut lanes = [const { (Work::<R, N>::IDLE, NOWHERE) }; B];
        for lane in &mut lanes {
            let Some(next) = queue.next(bpe) else { break };
            *lane = next;
            open += 1;
        }
        while open > 0 {
            for (work, place) in &mut lanes[..] {
                if !work.is_done() {
                    work.step(bpe);
                } else if *place != NOWHERE {
                    queue.done(bpe, *place, work);
                    match queue.next(bpe) {
                        Some(next) => (*work, *place) = next,
                        None => {
                            *place = NOWHERE;
                            open -= 1;
                        }
                    }
                }
            }
        }
    }
}

impl Work<1, LANES> {
    /// The word of `key`, which has one.
    ///
    /// # Safety
    /// As for [`Work::new`].
    #[inline(always)]
    unsafe fn of_key(bpe: &Bpe, key: &Key) -> Self {
        let len = key.len();
        let mut numbers = [0u32; LANES];
        // SAFETY: features by the caller. A key has 16 bytes, aligned to as many. Gathers are masked
        // to pairs of bytes, for each of which the table has an entry.
        unsafe {
            let key = _mm_load_si128(std::ptr::from_ref(key).cast());
            let bytes = _mm512_cvtepu8_epi32(key);
            let next = _mm512_cvtepu8_epi32(_mm_srli_si128::<1>(key));
            let paired = low(len - 1);
            _mm512_storeu_si512(numbers.as_mut_ptr().cast(), bytes);
            let index = _mm512_or_si512(_mm512_slli_epi32::<8>(bytes), next);
            let none = _mm512_set1_epi32(NONE as i32);
            let ranks =
                _mm512_mask_i32gather_epi32::<4>(none, paired, index, bpe.bytes.as_ptr().cast());
            let ranks = _mm512_slli_epi32::<{ POSITION_BITS }>(ranks);
            let orders = [_mm512_or_si512(ranks, places())];
            Self { numbers, orders, live: (1 << len) - 1, least: least_of(&orders) }
        }
    }
}

impl<const R: usize, const N: usize> Work<R, N> {
    /// Nothing that merges.
    const IDLE: Self = {
        // SAFETY: a vector may have any bits.
        let orders = unsafe { std::mem::zeroed() };
        Self { numbers: [0; N], orders, live: 0, least: u32::MAX }
    };

    /// Writes the ids of a finished piece. Gives their number.
    ///
    /// # Safety
    /// As for [`Work::new`], and there must be room for `N` ids at `ids`.
    #[inline(always)]
    unsafe fn ids(&self, bpe: &Bpe, ids: *mut u32) -> u32 {
        let mut count = 0;
        for r in 0..R {
            let live = (self.live >> (r * LANES)) as u16;
            // SAFETY: features by the caller. The numbers of live slots are those of ids. At most
            // 16 ids were stored of each register before, and 16 fit behind as many.
            unsafe {
                let numbers = _mm512_loadu_si512(self.numbers.as_ptr().add(r * LANES).cast());
                let numbers = _mm512_maskz_compress_epi32(live, numbers);
                let known = low(live.count_ones() as usize);
                let zero = _mm512_setzero_si512();
                let table = bpe.ids.as_ptr().cast();
                let found = _mm512_mask_i32gather_epi32::<4>(zero, known, numbers, table);
                _mm512_storeu_si512(ids.add(count as usize).cast(), found);
            }
            count += live.count_ones();
        }
        count
    }
}

/// The number of each lane.
///
/// # Safety
/// As for [`Work::new`].
#[inline(always)]
unsafe fn places() -> __m512i {
    // SAFETY: features by the caller.
    unsafe { _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0) }
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
