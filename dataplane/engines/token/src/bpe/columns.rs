//! Merging 16 pieces at once, with AVX-512: a lane each, a register for each place in a piece.
//!
//! In each step every lane makes its next merge: what that is comes from the least of a lane's
//! orders, as in [`super::merge`], and the look-ups of all lanes' new neighbours are made together.

use std::arch::x86_64::*;

use super::merge::POSITION_BITS;
use super::pairs::{BUCKET_SHIFT, RESULT_BITS};
use super::{Bpe, NONE};

/// Pieces that merge at once.
pub(super) const PIECES: usize = 16;

/// 16 pieces of up to `P` bytes.
pub(super) struct Columns<const P: usize> {
    /// By place, then by piece.
    pub(super) bytes: [[u8; PIECES]; P],
    /// Bytes of each piece; 0 for none.
    pub(super) lens: [u32; PIECES],
    /// By place, then by piece, once merged.
    numbers: [[u32; PIECES]; P],
    /// The places in each piece where a token begins, as bits.
    live: [u32; PIECES],
}

/// The arrays of a [`Bpe`]'s pair table and how to find a place in them.
#[derive(Clone, Copy)]
struct Table {
    cells: *const i64,
    pilots: *const i32,
    factor: __m512i,
    buckets: __m256i,
    shift: __m128i,
}

// SAFETY of the functions below: each is inlined into one that has the features that its callers
// must have; intrinsics without pointers are register work.

/// The number in all lanes.
#[inline(always)]
unsafe fn all(number: u32) -> __m512i {
    // SAFETY: as above.
    unsafe { _mm512_set1_epi32(number.cast_signed()) }
}

/// A number of bits to shift by.
#[inline(always)]
unsafe fn count(bits: u32) -> __m128i {
    // SAFETY: as above.
    unsafe { _mm_cvtsi32_si128(bits.cast_signed()) }
}

/// The numbers of 16 bytes.
#[inline(always)]
unsafe fn load(bytes: &[u8; PIECES]) -> __m512i {
    // SAFETY: as above; there are as many bytes as are loaded.
    unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.as_ptr().cast())) }
}

/// The lowest bit of each lane.
#[inline(always)]
unsafe fn lowest(bits: __m512i) -> __m512i {
    // SAFETY: as above.
    unsafe { _mm512_and_si512(bits, _mm512_sub_epi32(_mm512_setzero_si512(), bits)) }
}

/// The place of the highest bit of each lane, all ones for none.
#[inline(always)]
unsafe fn highest(bits: __m512i) -> __m512i {
    // SAFETY: as above.
    unsafe { _mm512_sub_epi32(all(31), _mm512_lzcnt_epi32(bits)) }
}

impl Table {
    #[inline(always)]
    unsafe fn of(bpe: &Bpe) -> Self {
        let (cells, pilots, last) = bpe.pairs.arrays();
        let [factor, shift] = bpe.pairs.parts().2;
        // SAFETY: as above.
        unsafe {
            Self {
                cells: cells.cast(),
                pilots: pilots.cast(),
                factor: _mm512_set1_epi64(factor.cast_signed()),
                buckets: _mm256_set1_epi32(last.cast_signed()),
                shift: count(shift as u32),
            }
        }
    }

    /// Asks for the cells of eight pairs, as [`super::pairs::Pairs::get`] does, whose bounds hold
    /// here likewise.
    #[inline(always)]
    unsafe fn half(&self, lanes: __mmask8, left: __m256i, right: __m256i) -> Half {
        // SAFETY: the lanes' numbers are the vocabulary's, so that all places are in their arrays.
        // Displacements are read by fours, of which there is a whole number.
        unsafe {
            let (left, right) = (_mm512_cvtepu32_epi64(left), _mm512_cvtepu32_epi64(right));
            let numbers = _mm512_or_si512(_mm512_slli_epi64::<21>(left), right);
            let hash = _mm512_mullo_epi64(numbers, self.factor);
            let bucket = _mm512_cvtepi64_epi32(_mm512_srli_epi64::<BUCKET_SHIFT>(hash));
            let bucket = _mm256_and_si256(bucket, self.buckets);
            let four = _mm256_srli_epi32::<2>(bucket);
            let zero = _mm256_setzero_si256();
            let pilots = _mm256_mmask_i32gather_epi32::<4>(zero, lanes, four, self.pilots);
            let shift = _mm256_slli_epi32::<3>(_mm256_and_si256(bucket, _mm256_set1_epi32(3)));
            let pilot = _mm256_and_si256(_mm256_srlv_epi32(pilots, shift), _mm256_set1_epi32(0xff));
            let odd = _mm256_or_si256(_mm256_slli_epi32::<1>(pilot), _mm256_set1_epi32(1));
            let spread = _mm512_mullo_epi64(hash, _mm512_cvtepu32_epi64(odd));
            let pair = _mm512_slli_epi64::<RESULT_BITS>(numbers);
            Half { lanes, pair, at: _mm512_srl_epi64(spread, self.shift) }
        }
    }

    /// What eight asked pairs merge into, [`NONE`] for nothing and in other lanes.
    #[inline(always)]
    unsafe fn get_half(&self, half: &Half) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let free = _mm512_set1_epi64(-1);
            let Half { lanes, pair, at } = *half;
            let cell = _mm512_mask_i64gather_epi64::<8>(free, lanes, at, self.cells);
            let other = _mm512_xor_si512(cell, pair);
            let same = _mm512_cmplt_epu64_mask(other, _mm512_set1_epi64(1 << RESULT_BITS));
            let same = same & lanes;
            let none = _mm512_set1_epi64(i64::from(NONE));
            _mm512_cvtepi64_epi32(_mm512_mask_mov_epi64(none, same, other))
        }
    }

    /// Asks for the cells of the pairs of `lanes`.
    #[inline(always)]
    unsafe fn ask(&self, lanes: __mmask16, left: __m512i, right: __m512i) -> Asked {
        // SAFETY: as above.
        unsafe {
            let (first, second) = (_mm512_castsi512_si256(left), _mm512_castsi512_si256(right));
            let low = self.half(lanes as __mmask8, first, second);
            let first = _mm512_extracti64x4_epi64::<1>(left);
            let second = _mm512_extracti64x4_epi64::<1>(right);
            Asked { low, high: self.half((lanes >> 8) as __mmask8, first, second) }
        }
    }

    /// What asked pairs merge into, [`NONE`] for nothing and in other lanes.
    #[inline(always)]
    unsafe fn get(&self, asked: &Asked) -> __m512i {
        // SAFETY: as above.
        unsafe {
            let low = _mm512_castsi256_si512(self.get_half(&asked.low));
            _mm512_inserti64x4::<1>(low, self.get_half(&asked.high))
        }
    }
}

/// Eight pairs, and where they can be.
#[derive(Clone, Copy)]
struct Half {
    lanes: __mmask8,
    pair: __m512i,
    at: __m512i,
}

/// Sixteen.
#[derive(Clone, Copy)]
struct Asked {
    low: Half,
    high: Half,
}

/// A lane's next merge: its places, all ones for none, and the number that comes of it.
struct Next {
    at: __m512i,
    taken: __m512i,
    before: __m512i,
    after: __m512i,
    number: __m512i,
    left: Asked,
    right: Asked,
}

/// How far 16 pieces have merged.
struct State<const P: usize> {
    orders: [__m512i; P],
    /// The least order of each.
    least: __m512i,
    /// The places where a token begins, as bits.
    live: __m512i,
}

impl<const P: usize> State<P> {
    /// The pieces in which something merges.
    #[inline(always)]
    unsafe fn lanes(&self) -> __mmask16 {
        // SAFETY: as above.
        unsafe { _mm512_cmplt_epu32_mask(self.least, all(NONE << POSITION_BITS)) }
    }
}

impl<const P: usize> Columns<P> {
    /// No pieces.
    pub(super) const EMPTY: Self = Self {
        bytes: [[0; PIECES]; P],
        lens: [0; PIECES],
        numbers: [[0; PIECES]; P],
        live: [0; PIECES],
    };

    /// The pieces as they are before the first merge.
    #[inline(always)]
    unsafe fn begin(&mut self, bpe: &Bpe) -> State<P> {
        // SAFETY: as for `merge`; the table has an entry for each pair of bytes.
        unsafe {
            let lens = _mm512_loadu_si512(self.lens.as_ptr().cast());
            let live = _mm512_sub_epi32(_mm512_sllv_epi32(all(1), lens), all(1));
            let none = all(u32::MAX);
            let (mut orders, mut least) = ([none; P], none);
            let mut byte = load(&self.bytes[0]);
            _mm512_storeu_si512(self.numbers[0].as_mut_ptr().cast(), byte);
            for (p, order) in orders[..P - 1].iter_mut().enumerate() {
                let second = load(&self.bytes[p + 1]);
                let paired = _mm512_cmpgt_epu32_mask(lens, all(p as u32 + 1));
                let index = _mm512_or_si512(_mm512_slli_epi32::<8>(byte), second);
                let bytes = bpe.bytes.as_ptr().cast();
                let ranks = _mm512_mask_i32gather_epi32::<4>(none, paired, index, bytes);
                let ranks = _mm512_slli_epi32::<POSITION_BITS>(ranks);
                *order = _mm512_or_si512(ranks, all(p as u32));
                least = _mm512_min_epu32(least, *order);
                _mm512_storeu_si512(self.numbers[p + 1].as_mut_ptr().cast(), second);
                byte = second;
            }
            State { orders, least, live }
        }
    }

    /// The numbers before and behind each lane's merge; any where there is none.
    #[inline(always)]
    unsafe fn neighbours(&self, next: &Next) -> (__m512i, __m512i) {
        // SAFETY: as for `merge`; places are below `P`.
        unsafe {
            let zero = _mm512_setzero_si512();
            let (mut left, mut right) = (zero, zero);
            for p in 0..P {
                let number = _mm512_loadu_si512(self.numbers[p].as_ptr().cast());
                let here = all(p as u32);
                let before = _mm512_cmpeq_epi32_mask(next.before, here);
                let after = _mm512_cmpeq_epi32_mask(next.after, here);
                left = _mm512_mask_mov_epi32(left, before, number);
                right = _mm512_mask_mov_epi32(right, after, number);
            }
            (left, right)
        }
    }

    /// Chooses the next merges and asks for what their neighbours merge into.
    #[inline(always)]
    unsafe fn ask(&self, table: &Table, state: &mut State<P>) -> Next {
        // SAFETY: as for `merge`.
        unsafe {
            let mut next = next(state.lanes(), &mut state.live, state.least);
            let (left, right) = self.neighbours(&next);
            let none = all(u32::MAX);
            let has_left = _mm512_cmpneq_epi32_mask(next.before, none);
            let has_right = _mm512_cmpneq_epi32_mask(next.after, none);
            next.left = table.ask(has_left, left, next.number);
            next.right = table.ask(has_right, next.number, right);
            next
        }
    }

    /// Makes the merges.
    #[inline(always)]
    unsafe fn update(&mut self, table: &Table, state: &mut State<P>, next: &Next) {
        // SAFETY: as for `merge`.
        unsafe {
            let (left, right) = (table.get(&next.left), table.get(&next.right));
            let left = _mm512_or_si512(_mm512_slli_epi32::<POSITION_BITS>(left), next.before);
            let right = _mm512_or_si512(_mm512_slli_epi32::<POSITION_BITS>(right), next.at);
            let none = all(u32::MAX);
            state.least = none;
            for (p, order) in state.orders.iter_mut().enumerate() {
                let here = all(p as u32);
                let at = _mm512_cmpeq_epi32_mask(next.at, here);
                let taken = _mm512_cmpeq_epi32_mask(next.taken, here);
                let before = _mm512_cmpeq_epi32_mask(next.before, here);
                let to = self.numbers[p].as_mut_ptr().cast();
                _mm512_mask_storeu_epi32(to, at, next.number);
                *order = _mm512_mask_mov_epi32(*order, at, right);
                *order = _mm512_mask_mov_epi32(*order, before, left);
                *order = _mm512_mask_mov_epi32(*order, taken, none);
                state.least = _mm512_min_epu32(state.least, *order);
            }
        }
    }

    /// Writes the ids of piece `lane`, of which there is room for as many as it has bytes, and three
    /// more. Gives their number.
    #[inline(always)]
    pub(super) unsafe fn ids(&self, bpe: &Bpe, lane: usize, ids: *mut u32) -> u32 {
        let mut live = self.live[lane];
        let count = live.count_ones();
        // Most pieces have few tokens: a loop of as many turns could not be foretold.
        let mut done = 0;
        while done < count {
            for turn in 0..4 {
                let at = live.trailing_zeros() as usize % P;
                live &= live.wrapping_sub(1);
                let number = self.numbers[at][lane];
                let id = match bpe.offset {
                    Some(offset) => {
                        let byte = bpe.id(number.min(255));
                        if number < 256 { byte } else { number.wrapping_add(offset) }
                    }
                    None => bpe.id(number),
                };
                // SAFETY: as above; there is room for what is behind the last id, too.
                unsafe { ids.add(done as usize + turn).write(id) };
            }
            done += 4;
        }
        count
    }
}

/// Merges the pieces of both sets, each of which waits for memory while the other goes on.
///
/// # Safety
/// AVX-512 F, BW, CD, DQ and VL must be available.
#[inline(always)]
pub(super) unsafe fn merge<const P: usize>(bpe: &Bpe, [a, b]: &mut [Columns<P>; 2]) {
    const { assert!(P <= 32) };
    // No closures: they would not have the features.
    // SAFETY: features by the caller.
    unsafe {
        let table = Table::of(bpe);
        let (mut of_a, mut of_b) = (a.begin(bpe), b.begin(bpe));
        while of_a.lanes() | of_b.lanes() != 0 {
            let next_a = a.ask(&table, &mut of_a);
            let next_b = b.ask(&table, &mut of_b);
            a.update(&table, &mut of_a, &next_a);
            b.update(&table, &mut of_b, &next_b);
        }
        _mm512_storeu_si512(a.live.as_mut_ptr().cast(), of_a.live);
        _mm512_storeu_si512(b.live.as_mut_ptr().cast(), of_b.live);
    }
}

/// As [`merge`], of one set.
///
/// # Safety
/// As of [`merge`].
#[inline(always)]
pub(super) unsafe fn merge_one<const P: usize>(bpe: &Bpe, set: &mut Columns<P>) {
    const { assert!(P <= 32) };
    // SAFETY: features by the caller.
    unsafe {
        let table = Table::of(bpe);
        let mut state = set.begin(bpe);
        while state.lanes() != 0 {
            let next = set.ask(&table, &mut state);
            set.update(&table, &mut state, &next);
        }
        _mm512_storeu_si512(set.live.as_mut_ptr().cast(), state.live);
    }
}

/// The merges of `lanes`, and what `live` is after them.
#[inline(always)]
unsafe fn next(lanes: __mmask16, live: &mut __m512i, least: __m512i) -> Next {
    // SAFETY: as above.
    unsafe {
        let none = all(u32::MAX);
        let nothing = Half { lanes: 0, pair: none, at: none };
        let at = _mm512_and_si512(least, all((1 << POSITION_BITS) - 1));
        let number = _mm512_srli_epi32::<POSITION_BITS>(least);
        let above = _mm512_and_si512(*live, _mm512_sllv_epi32(all(u32::MAX - 1), at));
        let taken = _mm512_maskz_mov_epi32(lanes, lowest(above));
        *live = _mm512_xor_si512(*live, taken);
        let above = _mm512_maskz_xor_epi32(lanes, above, taken);
        let to_at = _mm512_sub_epi32(_mm512_sllv_epi32(all(1), at), all(1));
        let below = _mm512_maskz_and_epi32(lanes, *live, to_at);
        Next {
            at: _mm512_mask_mov_epi32(none, lanes, at),
            taken: highest(taken),
            before: highest(below),
            after: highest(lowest(above)),
            number,
            left: Asked { low: nothing, high: nothing },
            right: Asked { low: nothing, high: nothing },
        }
    }
}
