//! What becomes of the ids: kept, kept with their ends, or counted.
//!
//! A sink is written through a cursor that the hot loop holds in registers.

use crate::decode::Tokens;
use crate::greedy::{Greedy, Scratch};
use crate::words::{Cell, WORD_IDS, WordTable};

/// Where ids go.
pub(super) trait Sink {
    /// Where the next id goes.
    type Cursor: Copy;

    /// A cursor at the end, with room for `pieces` words.
    fn open(&mut self, pieces: usize) -> Self::Cursor;

    /// Adds the ids of `cell`, a word of `len` bytes.
    ///
    /// # Safety
    /// `cursor` must come from [`Sink::open`], with fewer words added since than it has room for,
    /// and nothing else done to the sink.
    unsafe fn word(&self, cursor: Self::Cursor, cell: &Cell, len: u32) -> Self::Cursor;

    /// Keeps what was added up to `cursor`.
    ///
    /// # Safety
    /// `cursor` must come from the last [`Sink::open`], by way of [`Sink::word`].
    unsafe fn close(&mut self, cursor: Self::Cursor);

    /// Adds one id of `len` bytes. No cursor is open.
    fn one(&mut self, id: u32, len: u32);

    /// Ids added so far.
    fn len(&self) -> usize;

    /// Adds the ids of `text` by longest match. No cursor is open.
    fn greedy(&mut self, greedy: &Greedy, words: &WordTable, scratch: &mut Scratch, text: &[u8]);
}

/// Room for `pieces` words at the end of `ids`, and where it begins.
fn room(ids: &mut Vec<u32>, pieces: usize) -> *mut u32 {
    ids.reserve((pieces + 1) * WORD_IDS);
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

    fn open(&mut self, pieces: usize) -> *mut u32 {
        room(self.0, pieces)
    }

    #[inline(always)]
    unsafe fn word(&self, cursor: *mut u32, cell: &Cell, _len: u32) -> *mut u32 {
        // SAFETY: `open` made room for four ids per word and one word more.
        unsafe { store(cursor, cell) }
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

impl Sink for Offsets<'_> {
    /// Where the next id goes, where its end goes, and where the last token ended.
    type Cursor = (*mut u32, *mut u32, u32);

    fn open(&mut self, pieces: usize) -> Self::Cursor {
        (room(self.ids, pieces), room(self.ends, pieces), self.end)
    }

    #[inline(always)]
    unsafe fn word(&self, cursor: Self::Cursor, cell: &Cell, len: u32) -> Self::Cursor {
        let (ids, ends, start) = cursor;
        let count = cell.count();
        let mut end = start;
        for (at, &id) in cell.ids()[..count - 1].iter().enumerate() {
            end += self.tokens.length(id);
            // SAFETY: `open` made room for four ends per word and one word more.
            unsafe { ends.add(at).write(end) };
        }
        // SAFETY: as above, and likewise for the ids.
        unsafe {
            ends.add(count - 1).write(start + len);
            (store(ids, cell), ends.add(count), start + len)
        }
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

    fn open(&mut self, _pieces: usize) -> usize {
        self.count
    }

    #[inline(always)]
    unsafe fn word(&self, cursor: usize, cell: &Cell, _len: u32) -> usize {
        cursor + cell.count()
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

    fn greedy(&mut self, greedy: &Greedy, words: &WordTable, scratch: &mut Scratch, text: &[u8]) {
        self.count += greedy.count(Some(words), scratch, text);
    }
}
