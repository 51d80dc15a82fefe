//! Merging 16 pieces at once, with AVX-512: a lane each, a register for each place in a piece.
//!
//! In each step every lane makes its next merge: what that is comes from the least of a lane's
//! orders, as in [`super::merge`], and the look-ups of all lanes' new neighbours are made together.

use std::arch::x86_64::*;

use super::merge::POSITION_BITS;
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
    cells: *const i32,
    results: *const i32,
    pilots: *const i32,
    factors: [__m512i; 2],
    bits: __m128i,
    over: __m128i,
    bucket: __m128i,
    part: __m128i,
    inner: __m128i,
    inner_bits: __m128i,
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
        let (cells, results, pilots) = bpe.pairs.arrays();
        let shape = bpe.pairs.shape();
        // SAFETY: as above.
        unsafe {
            Self {
                cells: cells.cast(),
                results: results.cast(),
                pilots: pilots.cast(),
                factors: [all(shape.factors[0]), all(shape.factors[1])],
                bits: count(shape.bits),
                over: count(32 - shape.bits),
                bucket: count(shape.bucket),
                part: count(shape.part),
                inner: count(shape.inner),
                inner_bits: count(32 - shape.inner),
            }
        }
    }

    /// Where the pairs of `lanes` can be but for the displacement, and that. As
    /// [`super::pairs::Pairs::get`], whose bounds hold here likewise.
    #[inline(always)]
    unsafe fn ask(&self, lanes: __mmask16, left: __m512i, right: __m512i) -> Asked {
        // SAFETY: the lanes' numbers are the vocabulary's, so that all places are in their arrays.
        // Displacements are read by fours, of which there is a whole number.
        unsafe {
            let cell = _mm512_or_si512(_mm512_sll_epi32(left, self.bits), right);
            let over = _mm512_srl_epi32(left, self.over);
            let hash = _mm512_mullo_epi32(cell, self.factors[0]);
            let mixed = _mm512_xor_si512(hash, _mm512_srli_epi32::<15>(hash));
            let mixed = _mm512_mullo_epi32(mixed, self.factors[1]);
            let bucket = _mm512_srl_epi32(mixed, self.bucket);
            let part = _mm512_xor_si512(_mm512_srl_epi32(mixed, self.part), over);
            let four = _mm512_srli_epi32::<2>(bucket);
            let zero = _mm512_setzero_si512();
            let pilots = _mm512_mask_i32gather_epi32::<4>(zero, lanes, four, self.pilots);
            let shift = _mm512_slli_epi32::<3>(_mm512_and_si512(bucket, all(3)));
            let pilot = _mm512_and_si512(_mm512_srlv_epi32(pilots, shift), all(0xff));
            let factor = _mm512_or_si512(_mm512_slli_epi32::<1>(pilot), all(1));
            let inner = _mm512_srl_epi32(_mm512_mullo_epi32(hash, factor), self.inner);
            let at = _mm512_or_si512(_mm512_sll_epi32(part, self.inner_bits), inner);
            Asked { lanes, cell, at }
        }
    }

    /// What asked pairs merge into, [`NONE`] for nothing and in other lanes.
    #[inline(always)]
    unsafe fn get(&self, asked: &Asked) -> __m512i {
        // SAFETY: as above.
        unsafe {
            let zero = _mm512_setzero_si512();
            let Asked { lanes, cell, at } = *asked;
            let found = _mm512_mask_i32gather_epi32::<4>(zero, lanes, at, self.cells);
            let same = _mm512_mask_cmpeq_epi32_mask(lanes, found, cell);
            _mm512_mask_i32gather_epi32::<4>(all(NONE), same, at, self.results)
        }
    }
}

/// Pairs and where they can be.
#[derive(Clone, Copy)]
struct Asked {
    lanes: __mmask16,
    cell: __m512i,
    at: __m512i,
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
            left: Asked { lanes: 0, cell: none, at: none },
            right: Asked { lanes: 0, cell: none, at: none },
        }
    }
}
