//! Pieces looked up in the table of words: keys and fetches for some of them, then the cells.

use super::Greedy;
use crate::certain::Level;
use crate::trie::View;
use crate::words::{Key, WORD_IDS, WordTable, WordView};

/// Bytes that are cut into pieces at once.
const BLOCK: usize = 2048;
/// Pieces whose cells are fetched before the first of them is looked at.
const ROUND: usize = 128;
/// Bytes that a key is loaded from.
const KEY: usize = 16;
/// A piece of more bytes is not walked here, but by [`super::walk`], which knows of runs.
const LONG: usize = 256;
/// What it costs to look a piece up, to walk one token of a piece that is not there, and to walk one
/// in a lane; in no particular unit. Measured on a Zen 5; within a factor of two the choice that
/// follows from them is the same.
const LOOK_UP: usize = 13;
const WALK: usize = 50;
const LANE: usize = 20;
/// Most blocks left to the lanes before the table is tried again.
const MOST_REST: u32 = 8;

/// What [`block`] works in.
#[derive(Debug)]
pub(super) struct Scratch {
    ends: Vec<u32>,
    round: Box<Round>,
    /// Blocks for which the table is not asked.
    rest: u32,
    /// How many it will be the next time: twice as many each time in a row.
    next_rest: u32,
}

impl Default for Scratch {
    fn default() -> Self {
        let round = Round { keys: [Key { low: 0, high: 0 }; ROUND], slots: [0; ROUND] };
        Self { ends: Vec::new(), round: Box::new(round), rest: 0, next_rest: 1 }
    }
}

impl Scratch {
    pub(super) fn memory(&self) -> usize {
        self.ends.capacity() * size_of::<u32>() + size_of::<Round>()
    }
}

/// Keys of some pieces and the numbers of the cells where they can be.
#[derive(Debug)]
struct Round {
    keys: [Key; ROUND],
    slots: [u32; ROUND],
}

/// A text, its pieces, and what they are looked up in.
#[derive(Clone, Copy)]
struct Job<'a> {
    words: WordView<'a>,
    view: View<'a>,
    text: &'a [u8],
}

/// Encodes the beginning of `text`, up to a boundary, and gives its length: 0 where there is no
/// boundary, or lately most pieces were unknown.
pub(super) fn block(
    greedy: &Greedy,
    words: &WordTable,
    scratch: &mut Scratch,
    text: &[u8],
    ids: &mut Vec<u32>,
) -> usize {
    if scratch.rest > 0 {
        scratch.rest -= 1;
        return 0;
    }
    let Some(keyed) = text.len().checked_sub(KEY) else { return 0 };
    scratch.ends.clear();
    greedy.pairs.cut_with(greedy.level, &text[..BLOCK.min(keyed)], true, &mut scratch.ends);
    let job = Job { words: words.view(), view: greedy.trie.view(), text };
    let (mut start, mut walked) = (0, 0);
    let before = ids.len();
    for ends in scratch.ends.chunks(ROUND) {
        // SAFETY: the pieces lie before `keyed`, one behind the other.
        unsafe { scratch.round.fill(job, start, ends) };
        walked += scratch.round.probe(job, start, ends, ids);
        start = ends[ends.len() - 1];
    }
    let here = scratch.ends.len() * LOOK_UP + walked * WALK;
    if greedy.level != Level::Portable && here > (ids.len() - before) * LANE {
        scratch.rest = scratch.next_rest;
        scratch.next_rest = (scratch.next_rest * 2).min(MOST_REST);
    } else {
        scratch.next_rest = 1;
    }
    start as usize
}

impl Round {
    /// Computes the keys of the pieces that begin at `start` and end at `ends`, at most [`ROUND`].
    ///
    /// # Safety
    /// The ends must be ascending from `start` on, and the last be at least [`KEY`] bytes before
    /// the end of the text.
    #[inline(always)]
    unsafe fn fill(&mut self, job: Job<'_>, mut start: u32, ends: &[u32]) {
        for ((&end, key), slot) in ends.iter().zip(&mut self.keys).zip(&mut self.slots) {
            // SAFETY: `start` is before an end, so 16 bytes from there on lie in the text.
            *key =
                unsafe { Key::load(job.text.as_ptr().add(start as usize), (end - start) as usize) };
            *slot = job.words.slot(*key);
            job.words.prefetch(*slot);
            start = end;
        }
    }

    /// Appends the ids of the pieces that [`Round::fill`] was given. Gives the number of ids of those
    /// that are not in the table.
    #[inline(always)]
    fn probe(&self, job: Job<'_>, mut start: u32, ends: &[u32], ids: &mut Vec<u32>) -> usize {
        let last = ends[ends.len() - 1];
        let mut to = room(ids, (last - start) as usize);
        let mut walked = 0;
        for ((&end, key), &slot) in ends.iter().zip(&self.keys).zip(&self.slots) {
            let cell = job.words.cell(slot);
            if cell.is(key) {
                // SAFETY: each id stands for a byte or more, so that where this piece begins there
                // is room for as many ids as bytes follow it, and for four more.
                to = unsafe {
                    to.cast::<[u32; WORD_IDS]>().write_unaligned(cell.ids());
                    to.add(cell.count())
                };
            } else {
                let piece = &job.text[start as usize..end as usize];
                let count;
                if piece.len() <= LONG {
                    // SAFETY: as above.
                    count = unsafe { walk(job.view, piece, to) };
                    // SAFETY: so many ids have been written.
                    to = unsafe { to.add(count) };
                } else {
                    // SAFETY: `to` lies behind the ids written since `room`.
                    unsafe { keep(ids, to) };
                    count = long(job.view, piece, ids);
                    to = room(ids, (last - end) as usize);
                }
                walked += count;
            }
            start = end;
        }
        // SAFETY: as above.
        unsafe { keep(ids, to) };
        walked
    }
}

/// The end of `ids`, with room for `bytes` ids and a whole cell.
fn room(ids: &mut Vec<u32>, bytes: usize) -> *mut u32 {
    ids.reserve(bytes + WORD_IDS);
    // SAFETY: the end of the elements lies in the allocation.
    unsafe { ids.as_mut_ptr().add(ids.len()) }
}

/// Keeps the ids before `to`.
///
/// # Safety
/// `to` must come from [`room`], and all before it be written.
unsafe fn keep(ids: &mut Vec<u32>, to: *mut u32) {
    // SAFETY: both lie in the same allocation, and what is between them is written.
    unsafe {
        let len = to.offset_from_unsigned(ids.as_ptr());
        ids.set_len(len);
    }
}

/// Writes the ids of `piece` and gives their number.
///
/// # Safety
/// As many ids as the piece has bytes must fit at `to`.
#[inline(never)]
unsafe fn walk(view: View<'_>, piece: &[u8], to: *mut u32) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < piece.len() {
        let found = view.find(&piece[at..]);
        // SAFETY: each id stands for a byte or more.
        unsafe { to.add(count).write(found.id) };
        count += 1;
        at += found.len.max(1);
    }
    count
}

/// Appends the ids of `piece` and gives their number.
#[cold]
fn long(view: View<'_>, piece: &[u8], ids: &mut Vec<u32>) -> usize {
    let (mut at, before) = (0, ids.len());
    while at < piece.len() {
        at += super::walk::block(view, &piece[at..], ids);
    }
    ids.len() - before
}
