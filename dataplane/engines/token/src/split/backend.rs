//! What the loop over a text needs of an instruction set, and that loop.

use super::class;
use super::planes::{Planes, low};
use super::rules::{Carry, Rules, Window};

/// Most characters that a block can have, and most ends that it can add, held place included.
pub(super) const BLOCK: usize = 64;
/// Words past the ends so far that a backend may write to.
pub(super) const ROOM: usize = 2 * BLOCK;

/// An instruction set's way to read blocks and to write down ends.
///
/// # Safety
/// The implementor's instruction set must be available to whoever calls these.
pub(super) trait Backend {
    /// Where the characters of a block begin that has others than ASCII.
    type Places;
    /// What the backend remembers from block to block, for speed only.
    type Memory: Default;

    /// The classes of 64 bytes if all are ASCII.
    ///
    /// # Safety
    /// Besides the instruction set: 64 bytes must be readable.
    unsafe fn ascii<R: Rules>(from: *const u8) -> Option<Planes>;

    /// The classes of the first characters of `text` (64 at most), where each begins, and how
    /// many bytes they have together. `text` is not empty.
    unsafe fn mixed<R: Rules>(
        text: &[u8],
        memory: &mut Self::Memory,
    ) -> (Planes, Self::Places, usize);

    /// Where character `at` of a block begins.
    fn place(places: &Self::Places, at: u32) -> usize;

    /// Writes `base` plus the index of each bit of `starts`; gives back how many.
    ///
    /// # Safety
    /// Besides the instruction set: 64 words must be writable at `to`.
    unsafe fn indices(starts: u64, base: u32, to: *mut u32) -> usize;

    /// Writes `base` plus the place of each character of `starts`; gives back how many.
    ///
    /// # Safety
    /// As of `indices`; and `starts` has no bits but of the block's characters.
    unsafe fn places(starts: u64, places: &Self::Places, base: u32, to: *mut u32) -> usize;
}

/// How far a text has been looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    /// Bytes that have been looked at.
    pub(super) at: usize,
    /// The start that waits for its decision, while the carry says that there is one.
    pub(super) held: u32,
    pub(super) carry: Carry,
    /// Nothing has been looked at: that a piece begins at 0 is known.
    pub(super) fresh: bool,
}

/// A level's [`blocks`], compiled for its instruction set. Not inlined, so that the loop over
/// ASCII has the registers for itself.
pub(super) type Blocks<B, R> =
    unsafe fn(R, &[u8], bool, &mut Scan, &mut Vec<u32>, &mut <B as Backend>::Memory) -> bool;

/// Appends the places where pieces begin from `scan` on, as far as they can be known.
///
/// With `last`, the text ends where `text` ends.
///
/// # Safety
/// The backend's instruction set must be available.
#[inline(always)]
pub(super) unsafe fn scan<B: Backend, R: Rules>(
    rules: R,
    text: &[u8],
    last: bool,
    scan: &mut Scan,
    ends: &mut Vec<u32>,
    blocks: Blocks<B, R>,
) {
    let mut memory = B::Memory::default();
    // SAFETY: the instruction set by the caller.
    unsafe {
        loop {
            ascii_blocks::<B, R>(rules, text, scan, ends);
            if scan.at >= text.len() || !blocks(rules, text, last, scan, ends, &mut memory) {
                break;
            }
        }
    }
}

/// The part of [`scan`] for blocks of ASCII; goes as far as they do.
///
/// # Safety
/// The backend's instruction set must be available.
#[inline(always)]
unsafe fn ascii_blocks<B: Backend, R: Rules>(
    rules: R,
    text: &[u8],
    scan: &mut Scan,
    ends: &mut Vec<u32>,
) {
    const STEP: u32 = BLOCK as u32 - 2;
    let Scan { mut at, mut held, mut carry, fresh } = *scan;
    let mut mask = if fresh { low(STEP) & !1 } else { low(STEP) };
    let mut len = ends.len();
    while text.len().saturating_sub(at) > BLOCK {
        // SAFETY: more than 64 bytes are there; the instruction set by the caller.
        let Some(planes) = (unsafe { B::ascii::<R>(text.as_ptr().add(at)) }) else { break };
        let found = rules.starts(&planes, &mut carry, Window { advance: STEP, last: false });
        if ends.capacity() - len < ROOM {
            // SAFETY: so many have been written.
            unsafe { ends.set_len(len) };
            ends.reserve(ROOM);
        }
        // SAFETY: there is room for ROOM words after `len`: the one held and 64 more.
        len += unsafe {
            let to = ends.as_mut_ptr().add(len);
            *to = held;
            let released = usize::from(found.release);
            released + B::indices(found.starts & mask, at as u32, to.add(released))
        };
        if found.hold != 0 {
            held = at as u32 + found.hold.trailing_zeros();
        }
        mask = low(STEP);
        at += STEP as usize;
    }
    // SAFETY: so many have been written.
    unsafe { ends.set_len(len) };
    *scan = Scan { at, held, carry, fresh: fresh && at == scan.at };
}

/// The part of [`scan`] for other blocks and for the last one; goes on until a block is ASCII,
/// else gives back `false`: the text is at its end, or what is left of it cannot be decided.
///
/// # Safety
/// The backend's instruction set must be available.
#[inline(always)]
pub(super) unsafe fn blocks<B: Backend, R: Rules>(
    rules: R,
    text: &[u8],
    last: bool,
    scan: &mut Scan,
    ends: &mut Vec<u32>,
    memory: &mut B::Memory,
) -> bool {
    let Scan { mut at, mut held, mut carry, mut fresh } = *scan;
    let mut go_on = false;
    while at < text.len() {
        let rest = &text[at..];
        // SAFETY: 64 bytes are there where they are asked for; the instruction set by the caller.
        if rest.len() > BLOCK && unsafe { B::ascii::<R>(rest.as_ptr()) }.is_some() {
            go_on = true;
            break;
        }
        // SAFETY: the instruction set by the caller.
        let (planes, places, bytes) = unsafe { B::mixed::<R>(rest, memory) };
        let window = match (last && bytes == rest.len(), planes.n) {
            (true, n) => Window { advance: n, last: true },
            (false, n @ 3..) => Window { advance: n - 2, last: false },
            _ => break,
        };
        let found = rules.starts(&planes, &mut carry, window);
        let starts = found.starts & low(window.advance) & !u64::from(fresh);
        ends.reserve(ROOM);
        // SAFETY: there is room for ROOM words: the one held and 64 more; the starts are within
        // the block's characters.
        unsafe {
            let to = ends.as_mut_ptr().add(ends.len());
            *to = held;
            let released = usize::from(found.release);
            let count = B::places(starts, &places, at as u32, to.add(released));
            ends.set_len(ends.len() + released + count);
        }
        if found.hold != 0 {
            held = at as u32 + B::place(&places, found.hold.trailing_zeros()) as u32;
        }
        fresh = false;
        at += if window.last { bytes } else { B::place(&places, window.advance) };
    }
    *scan = Scan { at, held, carry, fresh };
    go_on
}

/// Bytes of `text` that are whole characters, whatever comes after them.
pub(super) fn whole(text: &[u8]) -> usize {
    text.len() - class::unfinished(text)
}
