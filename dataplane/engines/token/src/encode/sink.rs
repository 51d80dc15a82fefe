//! What becomes of the ids: kept, kept with their ends, or counted.
//!
//! A sink is written through a cursor that the hot loop holds in registers.

use crate::bpe::{Few, WINDOW, Wide};
use crate::decode::Tokens;
use crate::greedy::{Greedy, Scratch};
use crate::words::{Cell, WORD_IDS, WordTable};

/// Where ids go.
pub(super) trait Sink {
    /// Where the next id goes.
    type Cursor: Copy;
    /// What was added up to some moment.
    type Mark;

    /// A cursor at the end, with room for `words` words, of which `merged` are not in the table
    /// and `wide` are wide.
    fn open(&mut self, words: usize, merged: usize, wide: usize) -> Self::Cursor;

    /// Adds the ids of `cell`.
    ///
    /// # Safety
    /// `cursor` must come from [`Sink::open`], with fewer words added since than it has room for,
    /// and nothing else done to the sink.
    unsafe fn word(&self, cursor: Self::Cursor, cell: &Cell) -> Self::Cursor;

    /// Adds the ids of a word that is not in the table.
    ///
    /// # Safety
    /// As of [`Sink::word`], and fewer such words added than there is room for.
    unsafe fn few(&self, cursor: Self::Cursor, few: &Few) -> Self::Cursor;

    /// Adds the ids of a wide piece.
    ///
    /// # Safety
    /// As of [`Sink::word`], and fewer wide pieces added than there is room for.
    unsafe fn wide(&self, cursor: Self::Cursor, wide: &Wide) -> Self::Cursor;

    /// Keeps what was added up to `cursor`.
    ///
    /// # Safety
    /// `cursor` must come from the last [`Sink::open`], by way of [`Sink::word`].
    unsafe fn close(&mut self, cursor: Self::Cursor);

    /// Adds one id of `len` bytes. No cursor is open.
    fn one(&mut self, id: u32, len: u32);

    /// Ids added so far.
    fn len(&self) -> usize;

    /// What has been added by now. No cursor is open.
    fn mark(&self) -> Self::Mark;

    /// Takes back what was added since `mark`. No cursor is open.
    fn back_to(&mut self, mark: Self::Mark);

    /// Adds the ids of `text` by longest match. No cursor is open.
    fn greedy(&mut self, greedy: &Greedy, words: &WordTable, scratch: &mut Scratch, text: &[u8]);
}

/// Ids that are written for a word that is not in the table, at most one less of them its own.
const FEW: usize = size_of::<Few>() / size_of::<u32>();

/// Room for `words` words, `merged` of which are not in the table and `wide` wide, at the end of `ids`, and where
/// it begins.
#[inline(always)]
fn room(ids: &mut Vec<u32>, words: usize, merged: usize, wide: usize) -> *mut u32 {
    ids.reserve((words + 1) * WORD_IDS + (merged + 1) * FEW + wide * WINDOW);
    // SAFETY: the end of the elements lies in the allocation.
    unsafe { ids.as_mut_ptr().add(ids.len()) }
}

/// Stores four ids, of which `cell.count()` are the word's, and gives the place behind those.
///
/// # Safety
/// Four ids must fit at `to`.
#[inline(always)]
unsafe fn store(to: *mut u32, cell: &Cell) -> *mut u32 {
    // SAFETY: four fit by the caller; the count is at most four.
    unsafe {
        to.cast::<[u32; WORD_IDS]>().write_unaligned(cell.ids());
        to.add(cell.count())
    }
}

/// Appends ids to a vector.
pub(super) struct Ids<'a>(pub(super) &'a mut Vec<u32>);

impl Sink for Ids<'_> {
    type Cursor = *mut u32;
    type Mark = usize;

    #[inline(always)]
    fn open(&mut self, words: usize, merged: usize, wide: usize) -> *mut u32 {
        room(self.0, words, merged, wide)
    }

    #[inline(always)]
    unsafe fn word(&self, cursor: *mut u32, cell: &Cell) -> *mut u32 {
        // SAFETY: `open` made room for four ids per word and one word more.
        unsafe { store(cursor, cell) }
    }

    #[inline(always)]
    unsafe fn few(&self, cursor: *mut u32, few: &Few) -> *mut u32 {
        // SAFETY: `open` made room for 16 ids per word that is merged.
        unsafe {
            cursor.cast::<Few>().write_unaligned(*few);
            cursor.add(few.count as usize)
        }
    }

    #[inline(always)]
    unsafe fn wide(&self, cursor: *mut u32, wide: &Wide) -> *mut u32 {
        // SAFETY: `open` made room for 64 ids per wide piece.
        unsafe {
            cursor.cast::<[u32; WINDOW]>().write_unaligned(wide.ids);
            cursor.add(wide.count as usize)
        }
    }

    #[inline(always)]
    unsafe fn close(&mut self, cursor: *mut u32) {
        // SAFETY: the cursor lies behind ids that were stored into this vector's room.
        unsafe {
            let len = cursor.offset_from_unsigned(self.0.as_ptr());
            self.0.set_len(len);
        }
    }

    #[inline]
    fn one(&mut self, id: u32, _len: u32) {
        self.0.push(id);
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn mark(&self) -> Self::Mark {
        self.0.len()
    }

    fn back_to(&mut self, mark: Self::Mark) {
        self.0.truncate(mark);
    }

    fn greedy(&mut self, greedy: &Greedy, words: &WordTable, scratch: &mut Scratch, text: &[u8]) {
        greedy.encode_into(Some(words), scratch, text, self.0);
    }
}

/// Appends ids and where each ends in the text.
pub(super) struct Offsets<'a> {
    pub(super) ids: &'a mut Vec<u32>,
    pub(super) ends: &'a mut Vec<u32>,
    pub(super) tokens: &'a Tokens,
    /// Where the last token ended.
    pub(super) end: u32,
}

impl Offsets<'_> {
    /// Stores `all` and where they end.
    ///
    /// # Safety
    /// There must be room for them at the cursor.
    #[inline(always)]
    unsafe fn add(&self, cursor: <Self as Sink>::Cursor, all: &[u32]) -> <Self as Sink>::Cursor {
        let (mut ids, mut ends, mut end) = cursor;
        for &id in all {
            end += self.tokens.length(id);
            // SAFETY: there is room by the caller.
            unsafe {
                ids.write(id);
                ends.write(end);
                (ids, ends) = (ids.add(1), ends.add(1));
            }
        }
        (ids, ends, end)
    }
}

impl Sink for Offsets<'_> {
    /// Where the next id goes, where its end goes, and where the last token ended.
    type Cursor = (*mut u32, *mut u32, u32);
    type Mark = (usize, usize, u32);

    fn open(&mut self, words: usize, merged: usize, wide: usize) -> Self::Cursor {
        let ids = room(self.ids, words, merged, wide);
        (ids, room(self.ends, words, merged, wide), self.end)
    }

    #[inline(always)]
    unsafe fn word(&self, cursor: Self::Cursor, cell: &Cell) -> Self::Cursor {
        // SAFETY: `open` made room for four ids per word.
        unsafe { self.add(cursor, &cell.ids()[..cell.count()]) }
    }

    unsafe fn few(&self, cursor: Self::Cursor, few: &Few) -> Self::Cursor {
        // SAFETY: `open` made room for 16 ids per word that is merged.
        unsafe { self.add(cursor, &few.ids[..few.ids.len().min(few.count as usize)]) }
    }

    unsafe fn wide(&self, cursor: Self::Cursor, wide: &Wide) -> Self::Cursor {
        // SAFETY: `open` made room for 64 ids per wide piece.
        unsafe { self.add(cursor, &wide.ids[..WINDOW.min(wide.count as usize)]) }
    }

    unsafe fn close(&mut self, cursor: Self::Cursor) {
        let (ids, ends, end) = cursor;
        // SAFETY: both lie behind what was stored into their vector's room.
        unsafe {
            let len = ids.offset_from_unsigned(self.ids.as_ptr());
            self.ids.set_len(len);
            let len = ends.offset_from_unsigned(self.ends.as_ptr());
            self.ends.set_len(len);
        }
        self.end = end;
    }

    fn one(&mut self, id: u32, len: u32) {
        self.end += len;
        self.ids.push(id);
        self.ends.push(self.end);
    }

    fn len(&self) -> usize {
        self.ids.len()
    }

    fn mark(&self) -> Self::Mark {
        (self.ids.len(), self.ends.len(), self.end)
    }

    fn back_to(&mut self, mark: Self::Mark) {
        let (ids, ends, end) = mark;
        self.ids.truncate(ids);
        self.ends.truncate(ends);
        self.end = end;
    }

    fn greedy(&mut self, greedy: &Greedy, words: &WordTable, scratch: &mut Scratch, text: &[u8]) {
        let first = self.ids.len();
        greedy.encode_into(Some(words), scratch, text, self.ids);
        let mut at = 0;
        self.ends.extend(self.ids[first..].iter().map(|&id| {
            at += greedy.length(id, self.tokens.length(id), &text[at as usize..]);
            self.end + at
        }));
        self.end += at;
    }
}

/// Counts ids.
#[derive(Default)]
pub(super) struct Count {
    pub(super) count: usize,
}

impl Sink for Count {
    type Cursor = usize;
    type Mark = usize;

    fn open(&mut self, _words: usize, _merged: usize, _wide: usize) -> usize {
        self.count
    }

    #[inline(always)]
    unsafe fn word(&self, cursor: usize, cell: &Cell) -> usize {
        cursor + cell.count()
    }

    #[inline(always)]
    unsafe fn few(&self, cursor: usize, few: &Few) -> usize {
        cursor + few.count as usize
    }

    #[inline(always)]
    unsafe fn wide(&self, cursor: usize, wide: &Wide) -> usize {
        cursor + wide.count as usize
    }

    unsafe fn close(&mut self, cursor: usize) {
        self.count = cursor;
    }

    fn one(&mut self, _id: u32, _len: u32) {
        self.count += 1;
    }

    fn len(&self) -> usize {
        self.count
    }

    fn mark(&self) -> Self::Mark {
        self.count
    }

    fn back_to(&mut self, mark: Self::Mark) {
        self.count = mark;
    }

    fn greedy(&mut self, greedy: &Greedy, words: &WordTable, scratch: &mut Scratch, text: &[u8]) {
        self.count += greedy.count(Some(words), scratch, text);
    }
}
