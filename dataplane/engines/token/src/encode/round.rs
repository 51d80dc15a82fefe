//! Pieces to ids: groups of keys whose cells are fetched, each looked up when the next has been
//! asked for; then the words that were not there, many at once; then all in order.

use super::learned::Learned;
use super::sink::{RUN, Sink};
use crate::bpe::{Bpe, Few, Scratch, WINDOW, Wide};
use crate::vocabulary::Vocabulary;
use crate::words::{Key, WORD_BYTES, WORD_IDS, WordView};

/// Words whose cells are fetched before the first of them is looked at.
const GROUP: usize = 64;
/// Words in a block, at most: so many that those which merge fill vectors.
const WORDS: usize = 1024;
/// Words of a block that are not one token of the table, at most.
const OTHERS: usize = 192;
/// Pieces of 16 to 64 bytes in a block, at most.
const WIDE: usize = 20;
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

/// Words that are looked up together: pieces, and parts of pieces between certain boundaries.
struct Group {
    keys: [Key; GROUP],
    /// The cells where they can be.
    slots: [u32; GROUP],
    /// What is known of those that are longer than a key.
    spans: [Span; GROUP],
    len: usize,
}

impl Group {
    const EMPTY: Self = Self {
        keys: [Key { low: 0, high: 0 }; GROUP],
        slots: [0; GROUP],
        spans: [Span { start: 0, end: 0, found: Found::None }; GROUP],
        len: 0,
    };
}

/// How far something is in a block.
#[derive(Clone, Copy, Default)]
struct End {
    words: usize,
    /// Of them, those that are not one token of the table.
    others: usize,
}

/// The words of a block.
pub(super) struct Keys {
    /// The group that is looked up, and the one that is asked for.
    groups: [Group; 2],
    /// The id of each word that is one token of the table; anything for the others, and behind.
    ids: [u32; WORDS + RUN],
    /// The numbers of the others.
    others: [u16; OTHERS],
    /// And their ids: none for those that are no words.
    few: [Few; OTHERS],
    /// Those of them that are in no cell, and their places among the others.
    missed: [Key; OTHERS],
    places: [u8; OTHERS],
    misses: usize,
    /// How far the block has come.
    end: End,
    /// Pieces that merge in more registers than words.
    wide: [Wide; WIDE],
    wides: usize,
    /// Where segments end: the number of words since the block's first.
    bounds: Vec<u32>,
    /// And how many others were among them.
    ends: Vec<End>,
    /// Words that have been merged before, where that is asked for.
    learned: Option<Learned>,
}

impl Keys {
    /// No words, and a cache of at most `learn` bytes.
    pub(super) fn with(learn: Option<usize>) -> Self {
        Self {
            groups: [Group::EMPTY; 2],
            ids: [0; WORDS + RUN],
            others: [0; OTHERS],
            few: [Few::default(); OTHERS],
            missed: [Key { low: 0, high: 0 }; OTHERS],
            places: [0; OTHERS],
            misses: 0,
            end: End::default(),
            wide: [Wide::default(); WIDE],
            wides: 0,
            bounds: Vec::new(),
            ends: Vec::new(),
            learned: learn.and_then(Learned::with_room),
        }
    }

    /// Bytes of memory that they take.
    pub(super) fn memory(&self) -> usize {
        let learned = self.learned.as_ref().map_or(0, Learned::memory);
        let ends = self.ends.capacity() * size_of::<End>();
        size_of::<Self>() + self.bounds.capacity() * size_of::<u32>() + ends + learned
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
        wide.set(piece);
        self.wides += 1;
        Found::Wide(self.wides as u8 - 1)
    }

    /// Whether there is room for the group that is being asked for, and for another.
    fn has_room(&self) -> bool {
        let words = self.end.words + 2 * GROUP <= WORDS;
        words && self.end.others + 2 * GROUP <= OTHERS && self.wides < WIDE
    }

    /// Looks up the words of group `which` from `from` on to before `to`.
    #[inline(never)]
    fn look_up(&mut self, words: WordView<'_>, which: usize, from: usize, to: usize) {
        let group = &self.groups[which];
        let ids = &mut self.ids[self.end.words..][..to - from];
        let all = group.keys[from..to].iter().zip(&group.slots[from..to]).zip(ids);
        let mut others = [0u8; GROUP];
        let mut count = 0;
        for (at, ((key, &slot), id)) in (from as u8..).zip(all) {
            let cell = words.cell(slot);
            *id = cell.first();
            others[count % GROUP] = at;
            count += usize::from(!cell.is_one(key));
        }
        let places = self.end.others..self.end.others + count;
        let slots = self.others[places.clone()].iter_mut().zip(&mut self.few[places.clone()]);
        for ((&at, (number, few)), place) in others[..count].iter().zip(slots).zip(places) {
            let at = usize::from(at);
            let key = group.keys[at];
            let cell = words.cell(group.slots[at]);
            *number = (self.end.words + at - from) as u16;
            few.ids[..WORD_IDS].copy_from_slice(&cell.ids());
            let hit = cell.is(&key);
            few.count = if hit { cell.count() as u32 } else { 0 };
            (self.missed[self.misses], self.places[self.misses]) = (key, place as u8);
            self.misses += usize::from(!hit);
            if !key.is_word() {
                group.spans[at].write(few);
            }
        }
        self.end.words += to - from;
        self.end.others += count;
    }
}

impl Span {
    /// Writes it into `few`, which then has no ids.
    fn write(&self, few: &mut Few) {
        let (kind, number) = match self.found {
            Found::None => (0, 0),
            Found::Token(id) => (1, id),
            Found::Wide(at) => (2, u32::from(at)),
        };
        few.ids[..4].copy_from_slice(&[self.start, self.end, kind, number]);
        few.count = 0;
    }

    /// What [`Span::write`] has written.
    fn read(few: &Few) -> Self {
        let [start, end, kind, number, ..] = few.ids;
        let found = match kind {
            1 => Found::Token(number),
            2 => Found::Wide(number as u8),
            _ => Found::None,
        };
        Self { start, end, found }
    }
}

/// As [`Bpe::few`], but takes from `learned` what is there, and adds what is not.
#[cold]
fn recall(bpe: &Bpe, learned: &mut Learned, keys: &[Key], places: &[u8], few: &mut [Few]) {
    let (mut new, mut new_places) = ([Key { low: 0, high: 0 }; OTHERS], [0u8; OTHERS]);
    let mut count = 0;
    for (&key, &place) in keys.iter().zip(places) {
        match learned.get(key) {
            Some(found) => few[usize::from(place)] = found,
            None => {
                (new[count], new_places[count]) = (key, place);
                count += 1;
            }
        }
    }
    bpe.few(&new[..count], &new_places[..count], few);
    for (&key, &place) in new[..count].iter().zip(&new_places) {
        learned.put(key, &few[usize::from(place)]);
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
        let mut next = Place::default();
        while next.segment < segments.len() {
            let mut segment = next.segment;
            self.block(segments, &mut next);
            self.merge_missed();
            let mut from = End::default();
            for bound in 0..=self.keys.ends.len() {
                let end = self.keys.ends.get(bound).copied();
                let to = end.unwrap_or(self.keys.end);
                if let Some(segment) = segments.get(segment) {
                    self.emit(*segment, from, to, sink);
                }
                from = to;
                if end.is_some() {
                    after(sink);
                    segment += 1;
                }
            }
        }
    }

    /// Looks up the words from `next` on, as many as there is room for.
    #[inline(always)]
    fn block(&mut self, segments: &[Segment<'_>], next: &mut Place) {
        let words = self.vocab.words.view();
        self.keys.end = End::default();
        self.keys.misses = 0;
        self.keys.wides = 0;
        self.keys.bounds.clear();
        self.keys.ends.clear();
        let (mut now, mut first) = (0, 0);
        self.fill(words, segments, next, now, first);
        while self.keys.groups[now].len > 0 {
            let len = self.keys.groups[now].len;
            self.keys.groups[1 - now].len = 0;
            if self.keys.has_room() {
                self.fill(words, segments, next, 1 - now, first + len);
            }
            let mut from = 0;
            while let Some(&bound) = self.keys.bounds.get(self.keys.ends.len()) {
                let to = bound as usize - first;
                if to > len {
                    break;
                }
                self.keys.look_up(words, now, from, to);
                self.keys.ends.push(self.keys.end);
                from = to;
            }
            self.keys.look_up(words, now, from, len);
            first += len;
            now = 1 - now;
        }
        // Segments that end without a word behind the last one looked up.
        while self.keys.ends.len() < self.keys.bounds.len() {
            self.keys.ends.push(self.keys.end);
        }
    }

    /// Computes the keys of words from `next` on, as many as fit into a group, and fetches their
    /// cells. `first` words of the block are before it.
    #[inline(always)]
    fn fill(
        &mut self,
        words: WordView<'_>,
        segments: &[Segment<'_>],
        next: &mut Place,
        group: usize,
        first: usize,
    ) {
        let mut filled = 0;
        while filled < GROUP && self.keys.wides < WIDE && next.segment < segments.len() {
            let segment = segments[next.segment];
            filled = fill_short(&mut self.keys.groups[group], segment, next, filled);
            if filled < GROUP && next.piece < segment.ends.len() {
                filled = self.fill_other(segment, next, group, filled);
            }
            if next.piece == segment.ends.len() {
                self.keys.bounds.push((first + filled) as u32);
                *next = Place { segment: next.segment + 1, ..Place::default() };
            }
        }
        let group = &mut self.keys.groups[group];
        group.len = filled;
        // Those behind the last are of former words, or of none: they do no harm.
        let used = filled.next_multiple_of(8);
        words.slots(self.bpe.level(), &group.keys[..used], &mut group.slots[..used]);
    }

    /// Adds the next word, whatever it is.
    #[inline(never)]
    fn fill_other(
        &mut self,
        segment: Segment<'_>,
        next: &mut Place,
        group: usize,
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
        let group = &mut self.keys.groups[group];
        group.keys[filled] = key;
        group.spans[filled] = Span { start: next.start, end, found };
        next.inside = end < segment.ends[next.piece];
        next.piece += usize::from(!next.inside);
        next.start = end;
        filled + 1
    }

    /// The token that is all of `piece`, which has more than 15 bytes.
    fn token(&self, piece: &[u8]) -> Option<u32> {
        self.vocab.long_words.get(&self.vocab.tokens, piece)
    }

    /// Finds the ids of the missed words of up to 64 bytes.
    #[inline(always)]
    fn merge_missed(&mut self) {
        let Keys { missed, places, misses, few, wide, wides, learned, .. } = &mut *self.keys;
        if *misses == 0 {
            return;
        }
        let (missed, places) = (&missed[..*misses], &places[..*misses]);
        match learned {
            Some(learned) => recall(self.bpe, learned, missed, places, few),
            None => self.bpe.few(missed, places, few),
        }
        if *wides > 0 {
            self.bpe.wide(&mut wide[..*wides]);
        }
    }

    /// Adds the ids of the words from `from` to before `to`, which are of `segment`, to `sink`.
    #[inline(always)]
    fn emit<S: Sink>(&mut self, segment: Segment<'_>, from: End, to: End, sink: &mut S) {
        let mut at = from.words;
        let mut cursor = sink.open(to.words - at, to.others - from.others, self.keys.wides);
        for other in from.others..to.others {
            let stop = usize::from(self.keys.others[other]);
            // SAFETY: the cursor has room for the ids of all words that are one token; these are
            // the next of them.
            cursor = unsafe { sink.words(cursor, &self.keys.ids[at..], stop - at) };
            at = stop + 1;
            let few = &self.keys.few[other];
            if few.count > 0 {
                // SAFETY: as above; the ids of a word that is merged are below the vocabulary's.
                cursor = unsafe { sink.few(cursor, few) };
                continue;
            }
            let Span { start, end, found } = Span::read(few);
            match found {
                Found::Token(id) => {
                    // SAFETY: as above.
                    cursor = unsafe { sink.few(cursor, &Few { ids: [id; 15], count: 1 }) };
                }
                Found::Wide(wide) => {
                    // SAFETY: there is room for all wide pieces, too.
                    cursor = unsafe { sink.wide(cursor, &self.keys.wide[usize::from(wide)]) };
                }
                Found::None => {
                    // SAFETY: the cursor comes from the sink's last opening.
                    unsafe { sink.close(cursor) };
                    self.merged(segment.piece(start, end), sink);
                    let others = to.others - other;
                    cursor = sink.open(to.words - at, others, self.keys.wides);
                }
            }
        }
        // SAFETY: as above; the cursor comes from the sink's last opening.
        unsafe {
            cursor = sink.words(cursor, &self.keys.ids[at..], to.words - at);
            sink.close(cursor);
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
        self.scratch.trim();
    }
}

/// As [`Round::fill`], up to the first word that has more than 15 bytes or too few behind it, and
/// the keys alone.
///
/// A function of its own, so that its loop has all registers.
#[inline(never)]
fn fill_short(group: &mut Group, segment: Segment<'_>, next: &mut Place, filled: usize) -> usize {
    let ends = &segment.ends[next.piece..];
    let ends = &ends[..ends.len().min(GROUP - filled)];
    // Words that end here or before have 16 bytes from their first on.
    let safe = (segment.text.len() + 1).saturating_sub(segment.start + KEY_BYTES);
    let safe = |end: u32| end as usize <= safe;
    let all = ends.last().is_some_and(|&end| safe(end));
    let ends = if all { ends } else { &ends[..ends.partition_point(|&end| safe(end))] };
    let text = segment.text.as_ptr().wrapping_add(segment.start);
    let mut start = next.start;
    let mut done = 0;
    for (&end, key) in ends.iter().zip(&mut group.keys[filled..]) {
        let len = end.wrapping_sub(start) as usize;
        if len > WORD_BYTES {
            break;
        }
        // SAFETY: the word ends where 15 bytes more lie in the text, and begins before.
        *key = unsafe { Key::load(text.wrapping_add(start as usize), len) };
        start = end;
        done += 1;
    }
    if done > 0 {
        *next = Place { piece: next.piece + done, start, inside: false, ..*next };
    }
    filled + done
}
