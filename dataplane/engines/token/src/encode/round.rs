//! Pieces to ids: a block of keys and prefetches, then a block of look-ups.

use super::sink::Sink;
use crate::bpe::{BESIDE, Bpe, Scratch, Short, WINDOW};
use crate::vocabulary::Vocabulary;
use crate::words::{Key, WORD_BYTES, WordView};

/// Pieces whose cells are fetched before the first of them is looked at.
const BLOCK: usize = 128;

/// A piece in which nothing merges.
const NOTHING: &[u8] = &[0];

/// Some pieces of a text.
#[derive(Clone, Copy)]
pub(super) struct Segment<'t> {
    /// The text, whole: more of it may be read than the pieces are.
    pub(super) text: &'t [u8],
    /// Where the first piece begins in it.
    pub(super) start: usize,
    /// End of each piece, counted from `start`.
    pub(super) ends: &'t [u32],
}

impl<'t> Segment<'t> {
    /// The bytes of a piece.
    #[inline(always)]
    fn piece(&self, start: u32, end: u32) -> &'t [u8] {
        &self.text[self.start + start as usize..self.start + end as usize]
    }
}

/// Keys of a block and the cells where they can be.
pub(super) struct Keys {
    keys: [Key; BLOCK],
    slots: [u32; BLOCK],
    /// The tokens of the pieces of up to 15 bytes that are in no cell.
    merged: [Short; BLOCK],
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            keys: [Key { low: 0, high: 0 }; BLOCK],
            slots: [0; BLOCK],
            merged: [Short::default(); BLOCK],
        }
    }
}

/// A place among the pieces of some segments.
#[derive(Clone, Copy, Default)]
struct Place {
    segment: usize,
    piece: usize,
    /// Where the piece begins, counted from the segment's `start`.
    start: u32,
}

impl Keys {
    /// Computes keys from `from` on, as many as fit. Gives their number and the place behind them.
    #[inline(always)]
    fn fill(
        &mut self,
        words: WordView<'_>,
        segments: &[Segment<'_>],
        mut from: Place,
    ) -> (usize, Place) {
        let mut filled = 0;
        while filled < BLOCK && from.segment < segments.len() {
            let segment = segments[from.segment];
            let left = &segment.ends[from.piece..];
            let take = left.len().min(BLOCK - filled);
            let keys = &mut self.keys[filled..filled + take];
            let slots = &mut self.slots[filled..filled + take];
            from.start = fill(words, segment, &left[..take], from.start, keys, slots);
            filled += take;
            from.piece += take;
            if from.piece == segment.ends.len() {
                from = Place { segment: from.segment + 1, ..Place::default() };
            }
        }
        (filled, from)
    }
}

/// Keys and slots of the pieces of `segment` that end at `ends`, the first of which begins at
/// `start`. Gives the last end.
#[inline(always)]
fn fill(
    words: WordView<'_>,
    segment: Segment<'_>,
    ends: &[u32],
    mut start: u32,
    keys: &mut [Key],
    slots: &mut [u32],
) -> u32 {
    let text = segment.text;
    // The last bytes of the text once more, with room to read 16 from each of them.
    let mut tail = [0u8; 32];
    let tail_start = text.len().saturating_sub(16);
    tail[..text.len() - tail_start].copy_from_slice(&text[tail_start..]);
    for ((&end, key), slot) in ends.iter().zip(keys).zip(slots) {
        let at = segment.start + start as usize;
        let len = (end - start) as usize;
        let from = if at + 16 <= text.len() {
            text.as_ptr().wrapping_add(at)
        } else {
            tail.as_ptr().wrapping_add(at - tail_start)
        };
        // SAFETY: 16 bytes from `at` on lie in the text; or `at` is one of its last 15 bytes, and
        // `tail` has 16 bytes from the place of each of them on.
        *key = unsafe { Key::load(from, len) };
        *slot = words.slot(*key);
        words.prefetch(*slot);
        start = end;
    }
    start
}

/// What a round needs of a vocabulary and an encoder.
pub(super) struct Round<'a> {
    pub(super) vocab: &'a Vocabulary,
    pub(super) bpe: &'a Bpe,
    pub(super) keys: &'a mut Keys,
    pub(super) scratch: &'a mut Scratch,
}

impl Round<'_> {
    /// Encodes the pieces of `segments`. Calls `after` at the end of each.
    #[inline(always)]
    pub(super) fn run<S: Sink>(
        &mut self,
        segments: &[Segment<'_>],
        sink: &mut S,
        mut after: impl FnMut(&mut S),
    ) {
        let words = self.vocab.words.view();
        let mut keyed = Place::default();
        let mut done = Place::default();
        loop {
            let (count, next) = self.keys.fill(words, segments, keyed);
            if count == 0 {
                break;
            }
            keyed = next;
            let mut at = 0;
            while at < count {
                let segment = segments[done.segment];
                let take = (segment.ends.len() - done.piece).min(count - at);
                let ends = &segment.ends[done.piece..done.piece + take];
                done.start = self.probe(words, segment, ends, done.start, at, sink);
                at += take;
                done.piece += take;
                if done.piece == segment.ends.len() {
                    after(sink);
                    done = Place { segment: done.segment + 1, ..Place::default() };
                }
            }
        }
        // Segments without pieces at the end.
        segments[done.segment..].iter().for_each(|_| after(sink));
    }

    /// Looks up the pieces of `segment` that end at `ends`, whose keys begin at `first`. Gives the
    /// last end.
    ///
    /// Three passes: which pieces are not in the table; those, several at once; and all ids in order.
    #[inline(always)]
    fn probe<S: Sink>(
        &mut self,
        words: WordView<'_>,
        segment: Segment<'_>,
        ends: &[u32],
        mut start: u32,
        first: usize,
        sink: &mut S,
    ) -> u32 {
        let mut missed = [0u64; BLOCK / 64];
        for at in 0..ends.len() {
            let key = (first + at) % BLOCK;
            let hit = words.cell(self.keys.slots[key]).is(&self.keys.keys[key]);
            missed[at / 64 % missed.len()] |= u64::from(!hit) << (at % 64);
        }
        self.merge_missed(segment, ends, start, &missed);
        let mut left = ends.len();
        let mut cursor = sink.open(left);
        for (at, &end) in ends.iter().enumerate() {
            if missed[at / 64 % missed.len()] >> (at % 64) & 1 == 0 {
                let cell = words.cell(self.keys.slots[(first + at) % BLOCK]);
                // SAFETY: the cursor has room for every piece that is left; this is one of them.
                cursor = unsafe { sink.word(cursor, cell, end - start) };
            } else {
                // SAFETY: the cursor comes from the sink's last opening.
                unsafe { sink.close(cursor) };
                if (end - start) as usize <= WORD_BYTES {
                    for number in self.keys.merged[at % BLOCK].iter() {
                        sink.one(self.bpe.id(number), self.bpe.length(number) as u32);
                    }
                } else {
                    self.miss(segment.piece(start, end), sink);
                }
                cursor = sink.open(left);
            }
            left -= 1;
            start = end;
        }
        // SAFETY: the cursor comes from the sink's last opening.
        unsafe { sink.close(cursor) };
        start
    }

    /// Merges the pieces of up to 15 bytes that are missed.
    #[inline(always)]
    fn merge_missed(&mut self, segment: Segment<'_>, ends: &[u32], start: u32, missed: &[u64]) {
        let (mut waiting, mut pieces, mut places) = (0, [NOTHING; BESIDE], [0; BESIDE]);
        for (word, &mask) in missed.iter().enumerate() {
            let mut mask = mask;
            while mask != 0 {
                let at = word * 64 + mask.trailing_zeros() as usize;
                mask &= mask - 1;
                let start = if at == 0 { start } else { ends[at - 1] };
                let piece = segment.piece(start, ends[at]);
                // Longer ones may be whole tokens.
                if !(1..=WORD_BYTES).contains(&piece.len()) {
                    continue;
                }
                (pieces[waiting], places[waiting]) = (piece, at);
                waiting += 1;
                if waiting == BESIDE {
                    self.merge_beside(pieces, places, waiting);
                    (waiting, pieces) = (0, [NOTHING; BESIDE]);
                }
            }
        }
        match waiting {
            0 => {}
            1 => self.keys.merged[places[0] % BLOCK] = self.bpe.short(pieces[0]).into(),
            _ => self.merge_beside(pieces, places, waiting),
        }
    }

    /// Merges the first `count` of `pieces`, for the places of the block that `places` says.
    #[inline(always)]
    fn merge_beside(&mut self, pieces: [&[u8]; BESIDE], places: [usize; BESIDE], count: usize) {
        for (short, at) in self.bpe.beside(pieces).into_iter().zip(places).take(count) {
            self.keys.merged[at % BLOCK] = short;
        }
    }

    /// Encodes a piece that is not in the word table.
    #[inline(never)]
    fn miss<S: Sink>(&mut self, piece: &[u8], sink: &mut S) {
        if piece.len() > WORD_BYTES
            && let Some(id) = self.vocab.long_words.get(&self.vocab.tokens, piece)
        {
            sink.one(id, piece.len() as u32);
        } else {
            self.merged(piece, sink);
        }
    }

    /// Encodes a piece, or the rest of one from a border of tokens on, by merging.
    #[inline(always)]
    pub(super) fn merged<S: Sink>(&mut self, piece: &[u8], sink: &mut S) {
        if (1..=WINDOW).contains(&piece.len()) {
            for number in self.bpe.short(piece).iter() {
                sink.one(self.bpe.id(number), self.bpe.length(number) as u32);
            }
        } else {
            self.long(piece, sink);
        }
    }

    /// Encodes a piece of more than 64 bytes, block by block.
    #[inline(never)]
    fn long<S: Sink>(&mut self, piece: &[u8], sink: &mut S) {
        let mut rest = piece;
        let mut block = self.bpe.block();
        while !rest.is_empty() {
            let take = rest.len().min(block);
            let settled = self.bpe.settle(&rest[..take], take < rest.len(), self.scratch);
            for &number in &self.scratch.numbers {
                sink.one(self.bpe.id(number), self.bpe.length(number) as u32);
            }
            rest = &rest[settled..];
            block = if settled == 0 { block * 2 } else { self.bpe.block() };
        }
    }
}
