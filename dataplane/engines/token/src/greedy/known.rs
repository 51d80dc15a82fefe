//! Pieces looked up in the table of words, many before their ids are put in order; those that are
//! not there are walked together.

use super::Greedy;
#[cfg(target_arch = "x86_64")]
use super::lanes;
use crate::certain::Level;
use crate::trie::View;
use crate::words::{Key, WORD_IDS, WordTable, WordView};

/// Bytes that are cut into pieces at once.
const CUT: usize = 2048;
/// Pieces whose ids are put in order at once; a power of two.
const MOST: usize = 1024;
/// Bytes of text in them, at most.
const BYTES: usize = 12 * 1024;
/// Pieces whose cells are fetched before the first of them is looked at.
const ROUND: usize = 128;
/// Bytes that a key is loaded from, and bytes that may be read behind a piece which is not open.
const BEYOND: usize = 16;
/// A piece of more bytes is walked by [`super::walk`], which knows of runs.
const LONG: usize = 256;
/// Stretches that are walked at once.
const LANES: usize = 32;
/// Bytes of a piece that is not looked up, at least: between these, so that each lane has some.
const STRETCH: std::ops::RangeInclusive<usize> = 32..=128;
/// How far a boundary is looked for behind its least end.
const REACH: usize = 512;
/// What it costs to look a piece up and put its ids in order, to walk a byte of a piece that was not
/// found, and to walk one of a stretch, both in lanes; in no particular unit. Measured on an AMD EPYC of family 26;
/// within a factor of one and a half the choice that follows from them is the same.
const LOOK_UP: usize = 75;
const MISSED: usize = 31;
const LANE: usize = 24;
/// Most blocks for which the table is not asked before it is tried again.
const MOST_REST: u32 = 32;
/// Blocks that are walked after one without a boundary, before boundaries are looked for again.
const ALONE: u32 = 3;

/// Lanes that must be busy on average to be faster than one token after the other.
#[cfg(target_arch = "x86_64")]
const BUSY: usize = 18;
/// Pieces of more bytes are given to the lanes before the others.
#[cfg(target_arch = "x86_64")]
const FIRST: u16 = 24;

/// A piece whose end is the text's, or is close to it.
const OPEN: u16 = 1 << 15;

/// Pieces that wait for their ids to be put in order.
#[derive(Debug)]
pub(super) struct Pieces {
    /// Of the block that is being cut.
    ends: Vec<u32>,
    list: Box<List>,
    len: usize,
    /// Of them, those that were looked up and not found, or not looked up.
    missed: usize,
    /// Of them, those that were looked up.
    asked: usize,
    bytes: usize,
    /// For each text that ended: the number of pieces up to its end.
    marks: Vec<u32>,
    /// Ids of missed pieces.
    buffer: Vec<u32>,
    #[cfg(target_arch = "x86_64")]
    jobs: lanes::Jobs,
    /// The piece that each job is.
    #[cfg(target_arch = "x86_64")]
    of_job: Vec<u16>,
    /// Blocks for which the table is not asked.
    rest: u32,
    /// How many it will be the next time: twice as many each time in a row.
    next_rest: u32,
    /// Blocks in which no boundary is looked for.
    alone: u32,
}

/// The pieces.
#[derive(Debug)]
struct List {
    /// Address of the first byte; in a missed piece that has been walked, where its ids are in the
    /// buffer.
    at: [u64; MOST],
    /// Bytes, and perhaps [`OPEN`].
    len: [u16; MOST],
    /// The first ids.
    ids: [[u32; WORD_IDS]; MOST],
    /// Number of ids.
    count: [u16; MOST],
    /// Numbers of the missed ones.
    missed: [u16; MOST],
    keys: [Key; ROUND],
    slots: [u32; ROUND],
}

impl Default for Pieces {
    fn default() -> Self {
        let list = List {
            at: [0; MOST],
            len: [0; MOST],
            ids: [[0; WORD_IDS]; MOST],
            count: [0; MOST],
            missed: [0; MOST],
            keys: [Key { low: 0, high: 0 }; ROUND],
            slots: [0; ROUND],
        };
        Self {
            ends: Vec::new(),
            list: Box::new(list),
            len: 0,
            missed: 0,
            asked: 0,
            bytes: 0,
            marks: Vec::new(),
            buffer: Vec::new(),
            #[cfg(target_arch = "x86_64")]
            jobs: lanes::Jobs::default(),
            #[cfg(target_arch = "x86_64")]
            of_job: Vec::new(),
            rest: 0,
            next_rest: 1,
            alone: 0,
        }
    }
}

/// What is needed to encode, and where ids go.
pub(super) struct Work<'a> {
    pub(super) greedy: &'a Greedy,
    pub(super) words: Option<&'a WordTable>,
    pub(super) pieces: &'a mut Pieces,
    pub(super) ids: &'a mut Vec<u32>,
    /// Bytes of all texts together.
    pub(super) total: usize,
    /// Number of ids after each text, where that is asked for.
    pub(super) ends: Option<&'a mut Vec<u32>>,
}

impl Work<'_> {
    /// Encodes `texts`.
    pub(super) fn texts(&mut self, texts: &[&[u8]]) {
        // Nothing may be left of a call that did not come to its end.
        self.pieces.forget();
        for text in texts {
            let mut at = 0;
            while at < text.len() {
                at += self.block(&text[at..]);
            }
            self.pieces.marks.push(self.pieces.len as u32);
        }
        self.flush();
    }

    /// Number of ids of `text`. What `ids` held is lost.
    pub(super) fn count(&mut self, text: &[u8]) -> usize {
        self.pieces.forget();
        self.ids.clear();
        let (mut at, mut count) = (0, 0);
        while at < text.len() {
            at += self.block(&text[at..]);
            count += self.ids.len();
            self.ids.clear();
        }
        self.flush();
        count += self.ids.len();
        self.ids.clear();
        count
    }

    /// Encodes the beginning of `text`, which is not empty, or lets its pieces wait; gives its length.
    fn block(&mut self, text: &[u8]) -> usize {
        if self.pieces.alone > 0 {
            self.pieces.alone -= 1;
            return self.walk(text);
        }
        let done = match self.words {
            Some(words) if self.pieces.rest == 0 => self.look_up(words.view(), text),
            _ => self.stretches(text),
        };
        if done > 0 {
            return done;
        }
        self.pieces.alone = ALONE;
        self.walk(text)
    }

    /// Walks the beginning of `text`; gives its length.
    fn walk(&mut self, text: &[u8]) -> usize {
        self.flush();
        super::walk::block(self.greedy.trie.view(), text, self.ids)
    }

    /// Cuts the beginning of `text` and looks its pieces up; gives its length, 0 without a boundary.
    fn look_up(&mut self, words: WordView<'_>, text: &[u8]) -> usize {
        let more = text.len() > CUT;
        let mut ends = std::mem::take(&mut self.pieces.ends);
        ends.clear();
        let block = &text[..text.len().min(CUT)];
        let done = self.greedy.pairs.cut_with(self.greedy.level, block, more, &mut ends);
        if ends.len() == 1 && done > LONG {
            self.pieces.ends = ends;
            return 0;
        }
        let mut start = 0;
        if self.pieces.bytes + done > BYTES {
            self.flush();
        }
        let sure = ends.partition_point(|&end| end as usize + BEYOND <= text.len());
        let (sure, open) = ends.split_at(sure);
        let mut left = sure;
        while !left.is_empty() {
            if self.pieces.len == MOST {
                self.flush();
            }
            let (now, rest) = left.split_at(left.len().min(ROUND).min(MOST - self.pieces.len));
            left = rest;
            // SAFETY: the ends ascend from `start` on, and 16 bytes follow each in the text.
            unsafe { self.pieces.ask(words, text, start, now) };
            start = now[now.len() - 1];
        }
        for &end in open {
            if self.pieces.len == MOST {
                self.flush();
            }
            self.pieces.ask_open(words, &text[start as usize..end as usize]);
            start = end;
        }
        self.pieces.bytes += done;
        self.pieces.ends = ends;
        if self.pieces.next_rest > 1 {
            // Lately most were unknown: it should not take long to see whether they still are.
            self.flush();
        }
        done
    }

    /// Cuts the beginning of `text` into longer pieces, which are not looked up; gives its length,
    /// 0 without a boundary.
    fn stretches(&mut self, text: &[u8]) -> usize {
        let pairs = &self.greedy.pairs;
        let stretch = (self.total / LANES + 1).clamp(*STRETCH.start(), *STRETCH.end());
        let mut start = 0;
        // Where a piece ends that is not open.
        let whole = text.len().saturating_sub(BEYOND).min(CUT);
        while start < whole {
            let from = (start + stretch).min(whole);
            let reach = (from + REACH).min(whole);
            let end = pairs.next(&text[..=reach], from);
            let Some(end) = end.or_else(|| Some(start + pairs.last(&text[start..=from])?)) else {
                break;
            };
            self.wait(&text[start..end], 0);
            start = end;
        }
        if text.len() - start <= stretch + BEYOND {
            self.wait(&text[start..], OPEN);
            start = text.len();
        }
        self.pieces.rest = self.pieces.rest.saturating_sub(1);
        start
    }

    /// Adds a piece of at most [`CUT`] bytes that is not looked up.
    fn wait(&mut self, piece: &[u8], open: u16) {
        if self.pieces.len == MOST || self.pieces.bytes + piece.len() > BYTES {
            self.flush();
        }
        self.pieces.bytes += piece.len();
        self.pieces.miss(piece, open);
    }

    /// Appends the ids of all pieces that wait.
    fn flush(&mut self) {
        let pieces = &mut *self.pieces;
        pieces.judge(self.greedy);
        pieces.walk(self.greedy);
        let mut first = 0;
        for &mark in &pieces.marks {
            pieces.list.emit(first, mark as usize, &pieces.buffer, self.ids);
            first = mark as usize;
            if let Some(ends) = &mut self.ends {
                ends.push(self.ids.len() as u32);
            }
        }
        pieces.list.emit(first, pieces.len, &pieces.buffer, self.ids);
        pieces.forget();
    }
}

impl Pieces {
    /// Bytes of memory that it has allocated.
    pub(super) fn memory(&self) -> usize {
        let words = self.ends.capacity() + self.marks.capacity() + self.buffer.capacity();
        #[cfg(target_arch = "x86_64")]
        let jobs = self.jobs.memory() + self.of_job.capacity() * size_of::<u16>();
        #[cfg(not(target_arch = "x86_64"))]
        let jobs = 0;
        size_of::<Self>() + size_of::<List>() + words * size_of::<u32>() + jobs
    }

    /// Forgets the pieces that wait.
    fn forget(&mut self) {
        (self.len, self.missed, self.asked, self.bytes) = (0, 0, 0, 0);
        self.marks.clear();
    }

    /// Looks up the pieces of `text` that begin at `start` and end at `ends`, at most [`ROUND`] and
    /// as many as there is room for.
    ///
    /// # Safety
    /// The ends must be ascending from `start` on, and [`BEYOND`] bytes follow each in the text.
    unsafe fn ask(&mut self, words: WordView<'_>, text: &[u8], start: u32, ends: &[u32]) {
        let list = &mut *self.list;
        let range = self.len..self.len + ends.len();
        let mut at = start;
        let places = list.at[range.clone()].iter_mut().zip(&mut list.len[range.clone()]);
        let keys = list.keys.iter_mut().zip(&mut list.slots);
        for ((&end, (place, len)), (key, slot)) in ends.iter().zip(places).zip(keys) {
            // SAFETY: `at` is before an end, so 16 bytes from there on lie in the text.
            let from = unsafe { text.as_ptr().add(at as usize) };
            // SAFETY: as above.
            *key = unsafe { Key::load(from, (end - at) as usize) };
            *slot = words.slot(*key);
            words.prefetch(*slot);
            (*place, *len) = (from as u64, (end - at) as u16);
            at = end;
        }
        let found = list.ids[range.clone()].iter_mut().zip(&mut list.count[range.clone()]);
        let keys = list.keys.iter().zip(&list.slots);
        for ((number, (ids, count)), (key, &slot)) in range.clone().zip(found).zip(keys) {
            let cell = words.cell(slot);
            let hit = cell.is(key);
            *ids = cell.ids();
            *count = if hit { cell.count() as u16 } else { 0 };
            list.missed[self.missed % MOST] = number as u16;
            self.missed += usize::from(!hit);
        }
        self.len = range.end;
        self.asked += ends.len();
    }

    /// Looks up `piece`, behind which nothing may be read.
    fn ask_open(&mut self, words: WordView<'_>, piece: &[u8]) {
        let key = Key::of(piece);
        let cell = words.cell(words.slot(key));
        self.asked += 1;
        if cell.is(&key) {
            self.list.ids[self.len] = cell.ids();
            self.list.count[self.len] = cell.count() as u16;
            self.len += 1;
        } else {
            self.miss(piece, OPEN);
        }
    }

    /// Adds `piece` as one that was not found.
    fn miss(&mut self, piece: &[u8], open: u16) {
        self.list.at[self.len] = piece.as_ptr() as u64;
        self.list.len[self.len] = piece.len() as u16 | open;
        self.list.count[self.len] = 0;
        self.list.missed[self.missed] = self.len as u16;
        self.missed += 1;
        self.len += 1;
    }

    /// Finds the ids of the missed pieces.
    fn walk(&mut self, greedy: &Greedy) {
        if self.missed == 0 {
            return;
        }
        self.buffer.clear();
        let mut left = self.missed;
        #[cfg(target_arch = "x86_64")]
        if greedy.level == Level::Avx512 {
            left = self.walk_in_lanes(greedy);
        }
        for i in 0..left {
            let place = self.buffer.len();
            let number = usize::from(self.list.missed[i]);
            // SAFETY: the address and the length are those of a piece of a text that is borrowed
            // until all pieces are flushed.
            let piece = unsafe { self.list.piece(number) };
            walk(greedy.trie.view(), piece, &mut self.buffer);
            self.list.walked(number, place, self.buffer.len(), &self.buffer);
        }
    }

    /// Finds the ids of missed pieces by lanes, as far as that is worth it; leaves the others at the
    /// front of the list and gives their number.
    #[cfg(target_arch = "x86_64")]
    fn walk_in_lanes(&mut self, greedy: &Greedy) -> usize {
        let list = &mut *self.list;
        let lens = list.missed[..self.missed].iter().map(|&number| list.len[usize::from(number)]);
        let bytes: usize = lens.map(|len| usize::from(len & !OPEN)).sum();
        // All lanes wait for the longest piece.
        let most = (bytes / BUSY).max(LANES) as u16;
        self.jobs.clear();
        self.of_job.clear();
        let mut left = 0;
        // The longer ones first, so that the lanes end together.
        for i in 0..self.missed {
            let number = list.missed[i];
            let len = list.len[usize::from(number)];
            if len > FIRST && len <= most {
                self.jobs.push(list.at[usize::from(number)], usize::from(len));
                self.of_job.push(number);
            }
        }
        for i in 0..self.missed {
            let number = list.missed[i];
            let len = list.len[usize::from(number)];
            if len <= FIRST {
                self.jobs.push(list.at[usize::from(number)], usize::from(len));
                self.of_job.push(number);
            } else if len > most {
                list.missed[left] = number;
                left += 1;
            }
        }
        // SAFETY: this is called on the level that has these instructions. The pieces are of texts
        // that are borrowed until all are flushed, each between certain boundaries (or the start of
        // its text and one), and none is open: `most` is less than `OPEN`.
        unsafe { self.jobs.walk(greedy.trie.view(), &mut self.buffer) };
        for (job, from, to) in self.jobs.done() {
            list.walked(usize::from(self.of_job[job]), from, to, &self.buffer);
        }
        left
    }

    /// Leaves the table alone for some blocks, if lanes alone would have been faster.
    fn judge(&mut self, greedy: &Greedy) {
        if self.asked == 0 || greedy.level == Level::Portable {
            return;
        }
        let lens = self.list.missed[..self.missed].iter();
        let missed = lens.map(|&number| self.list.len[usize::from(number)] & !OPEN);
        let missed: usize = missed.map(usize::from).sum();
        if self.asked * LOOK_UP + missed * MISSED > self.bytes * LANE {
            self.rest = self.next_rest;
            self.next_rest = (self.next_rest * 2).min(MOST_REST);
        } else {
            self.next_rest = 1;
        }
    }
}

impl List {
    /// The bytes of a piece.
    ///
    /// # Safety
    /// Its text must be borrowed, and the piece not have been walked.
    unsafe fn piece<'t>(&self, number: usize) -> &'t [u8] {
        let (at, len) = (self.at[number] as *const u8, self.len[number] & !OPEN);
        // SAFETY: both come from a slice of that text.
        unsafe { std::slice::from_raw_parts(at, usize::from(len)) }
    }

    /// Notes where the ids of a piece are in `buffer`.
    #[inline(always)]
    fn walked(&mut self, number: usize, from: usize, to: usize, buffer: &[u32]) {
        self.at[number] = from as u64;
        self.count[number] = (to - from) as u16;
        let first = buffer.get(from..from + WORD_IDS).and_then(|ids| ids.try_into().ok());
        self.ids[number] = first.unwrap_or_else(|| {
            let mut ids = [0; WORD_IDS];
            ids.iter_mut().zip(&buffer[from..to]).for_each(|(to, from)| *to = *from);
            ids
        });
    }

    /// Appends the ids of the pieces from `first` to before `last`.
    fn emit(&self, first: usize, last: usize, buffer: &[u32], ids: &mut Vec<u32>) {
        let counts = &self.count[first..last];
        ids.reserve(counts.iter().map(|&n| usize::from(n)).sum::<usize>() + WORD_IDS);
        let mut len = ids.len();
        let pieces = counts.iter().zip(&self.ids[first..last]).zip(&self.at[first..last]);
        for ((&count, few), &at) in pieces {
            let count = usize::from(count);
            // SAFETY: there is room for the counts of all these pieces and four ids more.
            unsafe { ids.as_mut_ptr().add(len).cast::<[u32; WORD_IDS]>().write_unaligned(*few) };
            if count > WORD_IDS {
                let all = &buffer[at as usize..at as usize + count];
                // SAFETY: as above; the buffer is another allocation.
                unsafe { ids.as_mut_ptr().add(len).copy_from_nonoverlapping(all.as_ptr(), count) };
            }
            len += count;
        }
        // SAFETY: so many have been written.
        unsafe { ids.set_len(len) };
    }
}

/// Appends the ids of `piece`.
fn walk(view: View<'_>, piece: &[u8], ids: &mut Vec<u32>) {
    let mut at = 0;
    if piece.len() > LONG {
        while at < piece.len() {
            at += super::walk::block(view, &piece[at..], ids);
        }
        return;
    }
    ids.reserve(piece.len());
    let mut len = ids.len();
    while at < piece.len() {
        let found = view.find(&piece[at..]);
        // SAFETY: each id stands for a byte or more, so that there is room.
        unsafe { ids.as_mut_ptr().add(len).write(found.id) };
        len += 1;
        at += found.len.max(1);
    }
    // SAFETY: so many have been written.
    unsafe { ids.set_len(len) };
}
