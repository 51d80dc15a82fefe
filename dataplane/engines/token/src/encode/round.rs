//! Pieces to ids: a block of keys and prefetches, then a block of look-ups.

use super::learned::Learned;
use super::sink::Sink;
use crate::bpe::{Bpe, Few, Scratch, WINDOW, Wide};
use crate::vocabulary::Vocabulary;
use crate::words::{Key, WORD_BYTES, WordView};

/// Pieces whose cells are fetched before the first of them is looked at.
const BLOCK: usize = 256;
/// Pieces of 16 to 64 bytes in a block, at most.
const WIDE: usize = 12;
/// Bytes that are read for a key.
const KEY_BYTES: usize = size_of::<Key>();

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
    /// The bytes from `start` to `end`, counted as ends are.
    #[inline(always)]
    fn piece(&self, start: u32, end: u32) -> &'t [u8] {
        &self.text[self.start + start as usize..self.start + end as usize]
    }
}

/// A piece of more than 15 bytes.
#[derive(Clone, Copy, Default)]
struct Span {
    start: u32,
    end: u32,
    found: Found,
}

/// What is known of a piece of more than 15 bytes.
#[derive(Clone, Copy, Default)]
enum Found {
    /// Nothing.
    #[default]
    None,
    /// The token that it is.
    Token(u32),
    /// Its place among the wide pieces.
    Wide(u8),
}

/// The words of a block: pieces, and parts of pieces between certain boundaries.
pub(super) struct Keys {
    keys: [Key; BLOCK],
    /// The cells where they can be.
    slots: [u32; BLOCK],
    /// What is known of those that are longer than a key.
    spans: [Span; BLOCK],
    /// Those that are in no cell.
    missed: [u8; BLOCK],
    /// And their ids.
    few: [Few; BLOCK],
    /// Pieces that merge in more registers than words.
    wide: [Wide; WIDE],
    wides: usize,
    /// Where segments end among the words.
    bounds: Vec<u16>,
    /// Words that have been merged before, where that is asked for.
    learned: Option<Learned>,
}

impl Keys {
    /// No words, and a cache of at most `learn` bytes.
    pub(super) fn with(learn: Option<usize>) -> Self {
        Self {
            keys: [Key { low: 0, high: 0 }; BLOCK],
            slots: [0; BLOCK],
            spans: [Span::default(); BLOCK],
            missed: [0; BLOCK],
            few: [Few::default(); BLOCK],
            wide: [Wide::default(); WIDE],
            wides: 0,
            bounds: Vec::new(),
            learned: learn.and_then(Learned::with_room),
        }
    }

    /// Bytes of memory that they take.
    pub(super) fn memory(&self) -> usize {
        let learned = self.learned.as_ref().map_or(0, Learned::memory);
        size_of::<Self>() + self.bounds.capacity() * size_of::<u16>() + learned
    }

    /// Whether there is a cache of words.
    #[cfg(test)]
    pub(super) fn has_learned(&self) -> bool {
        self.learned.is_some()
    }

    /// Keeps `piece` among the wide ones, if it is one of them; there is room for one.
    fn add_wide(&mut self, piece: &[u8]) -> Found {
        let Some(wide) = self.wide.get_mut(self.wides) else { return Found::None };
        if !(WORD_BYTES + 1..=WINDOW).contains(&piece.len()) {
            return Found::None;
        }
        wide.bytes[..piece.len()].copy_from_slice(piece);
        wide.len = piece.len() as u32;
        self.wides += 1;
        Found::Wide(self.wides as u8 - 1)
    }
}

/// As [`Bpe::few`], but takes from `learned` what is there, and adds what is not.
#[cold]
fn recall(bpe: &Bpe, learned: &mut Learned, keys: &[Key], missed: &[u8], few: &mut [Few; BLOCK]) {
    let (mut new, mut places, mut count) = ([0u8; BLOCK], [0u8; BLOCK], 0);
    let key = |at: u8| keys[usize::from(at)];
    for (place, &at) in missed.iter().enumerate() {
        if learned.get(key(at)).is_none() {
            (new[count], places[count]) = (at, place as u8);
            count += 1;
        }
    }
    bpe.few(keys, &new[..count], few);
    // Each goes to its place, none of which comes before where it is: the last first.
    for (from, &to) in places[..count].iter().enumerate().rev() {
        few[usize::from(to)] = few[from];
    }
    let mut next = places[..count].iter().copied().peekable();
    for (place, &at) in missed.iter().enumerate() {
        if next.next_if_eq(&(place as u8)).is_none()
            && let Some(found) = learned.get(key(at))
        {
            few[place] = found;
        }
    }
    for (&at, &place) in new.iter().zip(&places[..count]) {
        learned.put(key(at), &few[usize::from(place)]);
    }
}

/// A place among the pieces of some segments.
#[derive(Clone, Copy, Default)]
struct Place {
    segment: usize,
    piece: usize,
    /// Where the next word begins, counted from the segment's `start`.
    start: u32,
    /// Whether that is inside the piece.
    inside: bool,
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
        let mut next = Place::default();
        while next.segment < segments.len() {
            let mut segment = next.segment;
            let count = self.fill(words, segments, &mut next);
            let misses = self.compare(words, count);
            self.merge_missed(misses);
            let (mut at, mut miss) = (0, 0);
            for bound in 0..=self.keys.bounds.len() {
                let end = self.keys.bounds.get(bound).map_or(count, |&end| usize::from(end));
                if end > at {
                    miss = self.emit(words, segments[segment], at..end, miss..misses, sink);
                    at = end;
                }
                if bound < self.keys.bounds.len() {
                    after(sink);
                    segment += 1;
                }
            }
        }
    }

    /// Computes the keys of words from `next` on, as many as fit, and fetches their cells. Gives
    /// their number.
    #[inline(always)]
    fn fill(&mut self, words: WordView<'_>, segments: &[Segment<'_>], next: &mut Place) -> usize {
        let mut filled = 0;
        self.keys.bounds.clear();
        self.keys.wides = 0;
        while filled < BLOCK && self.keys.wides < WIDE && next.segment < segments.len() {
            let segment = segments[next.segment];
            filled = self.fill_short(words, segment, next, filled);
            if filled < BLOCK && next.piece < segment.ends.len() {
                filled = self.fill_other(words, segment, next, filled);
            }
            if next.piece == segment.ends.len() {
                self.keys.bounds.push(filled as u16);
                *next = Place { segment: next.segment + 1, ..Place::default() };
            }
        }
        filled
    }

    /// As [`Round::fill`], up to the first word that has more than 15 bytes or too few behind it.
    ///
    /// A function of its own, so that its loop has all registers.
    #[inline(never)]
    fn fill_short(
        &mut self,
        words: WordView<'_>,
        segment: Segment<'_>,
        next: &mut Place,
        filled: usize,
    ) -> usize {
        let text = segment.text;
        let ends = &segment.ends[next.piece..];
        let keys = self.keys.keys[filled..].iter_mut().zip(&mut self.keys.slots[filled..]);
        // Words that begin here have 16 bytes from their first on.
        let safe = (text.len() + 1).saturating_sub(segment.start + KEY_BYTES);
        let mut start = next.start;
        let mut done = 0;
        for (&end, (key, slot)) in ends.iter().zip(keys) {
            let len = end.wrapping_sub(start) as usize;
            if len > WORD_BYTES || start as usize >= safe {
                break;
            }
            let from = text.as_ptr().wrapping_add(segment.start + start as usize);
            // SAFETY: `start` is below `safe`, so 16 bytes from there on lie in the text.
            *key = unsafe { Key::load(from, len) };
            *slot = words.slot(*key);
            words.prefetch(*slot);
            start = end;
            done += 1;
        }
        if done > 0 {
            *next = Place { piece: next.piece + done, start, inside: false, ..*next };
        }
        filled + done
    }

    /// Adds the next word, whatever it is.
    #[inline(never)]
    fn fill_other(
        &mut self,
        words: WordView<'_>,
        segment: Segment<'_>,
        next: &mut Place,
        filled: usize,
    ) -> usize {
        let mut end = segment.ends[next.piece];
        let mut found = Found::None;
        if (end - next.start) as usize > WORD_BYTES {
            let piece = segment.piece(next.start, end);
            // A part of a piece that has been cut is no whole piece.
            let token = if next.inside { None } else { self.token(piece) };
            if let Some(id) = token {
                found = Found::Token(id);
            } else {
                end = next.start + self.bpe.certain_cut(piece).unwrap_or(piece.len()) as u32;
                found = self.keys.add_wide(segment.piece(next.start, end));
            }
        }
        let key = Key::of(segment.piece(next.start, end));
        self.keys.keys[filled] = key;
        self.keys.slots[filled] = words.slot(key);
        words.prefetch(self.keys.slots[filled]);
        self.keys.spans[filled] = Span { start: next.start, end, found };
        next.inside = end < segment.ends[next.piece];
        next.piece += usize::from(!next.inside);
        next.start = end;
        filled + 1
    }

    /// The token that is all of `piece`, which has more than 15 bytes.
    fn token(&self, piece: &[u8]) -> Option<u32> {
        self.vocab.long_words.get(&self.vocab.tokens, piece)
    }

    /// Lists which of the first `count` words are not in the table. Gives their number.
    #[inline(never)]
    fn compare(&mut self, words: WordView<'_>, count: usize) -> usize {
        let mut misses = 0;
        let all = self.keys.keys[..count].iter().zip(&self.keys.slots);
        for (at, (key, &slot)) in all.enumerate() {
            self.keys.missed[misses % BLOCK] = at as u8;
            misses += usize::from(!words.cell(slot).is(key));
        }
        misses
    }

    /// Finds the ids of the missed words of up to 64 bytes.
    #[inline(always)]
    fn merge_missed(&mut self, misses: usize) {
        if misses == 0 {
            return;
        }
        let Keys { keys, missed, few, wide, wides, learned, .. } = &mut *self.keys;
        match learned {
            Some(learned) => recall(self.bpe, learned, keys, &missed[..misses], few),
            None => self.bpe.few(keys, &missed[..misses], few),
        }
        if *wides > 0 {
            self.bpe.wide(&mut wide[..*wides]);
        }
    }

    /// Adds the ids of `words`, words of `segment`, to `sink`; `missed` is where those that are in
    /// no cell begin and end in their list. Gives where those behind `words` begin.
    #[inline(always)]
    fn emit<S: Sink>(
        &mut self,
        table: WordView<'_>,
        segment: Segment<'_>,
        words: std::ops::Range<usize>,
        missed: std::ops::Range<usize>,
        sink: &mut S,
    ) -> usize {
        let (mut at, mut miss) = (words.start, missed.start);
        let mut cursor = sink.open(words.len(), missed.len(), self.keys.wides);
        loop {
            let stop = self.keys.missed[..missed.end]
                .get(miss)
                .map_or(words.end, |&stop| words.end.min(usize::from(stop)));
            for &slot in &self.keys.slots[at..stop] {
                // SAFETY: the cursor has room for every word that is left; this is one of them.
                cursor = unsafe { sink.word(cursor, table.cell(slot)) };
            }
            if stop == words.end {
                break;
            }
            if self.keys.keys[stop].is_word() {
                // SAFETY: as above; the ids of a word that is merged are below the vocabulary's.
                cursor = unsafe { sink.few(cursor, &self.keys.few[miss]) };
            } else {
                let Span { start, end, found } = self.keys.spans[stop];
                match found {
                    Found::Token(id) => {
                        // SAFETY: as above.
                        cursor = unsafe { sink.few(cursor, &Few { ids: [id; 15], count: 1 }) };
                    }
                    Found::Wide(at) => {
                        // SAFETY: there is room for all wide pieces, too.
                        cursor = unsafe { sink.wide(cursor, &self.keys.wide[usize::from(at)]) };
                    }
                    Found::None => {
                        // SAFETY: the cursor comes from the sink's last opening.
                        unsafe { sink.close(cursor) };
                        self.merged(segment.piece(start, end), sink);
                        let words = words.end - stop;
                        cursor = sink.open(words, missed.end - miss, self.keys.wides);
                    }
                }
            }
            (at, miss) = (stop + 1, miss + 1);
        }
        // SAFETY: the cursor comes from the sink's last opening.
        unsafe { sink.close(cursor) };
        miss
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

    /// Encodes a piece of more than 64 bytes: in one pass, or block by block where that goes astray.
    #[inline(never)]
    fn long<S: Sink>(&mut self, piece: &[u8], sink: &mut S) {
        let (bpe, before) = (self.bpe, sink.mark());
        let add = |numbers: &[u32], sink: &mut S| {
            for &number in numbers {
                sink.one(bpe.id(number), bpe.length(number) as u32);
            }
        };
        if bpe.whole(piece, self.scratch, &mut |numbers| add(numbers, sink)) {
            return;
        }
        sink.back_to(before);
        let mut rest = piece;
        let mut block = self.bpe.block();
        while !rest.is_empty() {
            let take = rest.len().min(block);
            let settled = self.bpe.settle(&rest[..take], take < rest.len(), self.scratch);
            add(&self.scratch.numbers, sink);
            rest = &rest[settled..];
            block = if settled == 0 { block * 2 } else { self.bpe.block() };
        }
        self.scratch.trim();
    }
}
