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

/// What a scan goes on from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    /// Bytes that have been looked at.
    pub(super) at: usize,
    /// The start that waits for its decision, while the carry says that there is one.
    pub(super) held: u32,
    pub(super) carry: Carry,
    /// A piece that begins at 0 is one that the caller knows of.
    pub(super) fresh: bool,
}

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
) {
    let Scan { mut at, mut held, mut carry, fresh } = *scan;
    let mut memory = B::Memory::default();
    let mut mask = if fresh { !1 } else { !0 };
    while at < text.len() {
        if ends.capacity() - ends.len() < ROOM {
            ends.reserve(ROOM);
        }
        let rest = &text[at..];
        // SAFETY: `reserve` made room for ROOM words past the end.
        let to = unsafe { ends.as_mut_ptr().add(ends.len()) };
        // SAFETY: 64 bytes are there; the instruction set by the caller.
        let ascii = if rest.len() > BLOCK { unsafe { B::ascii::<R>(rest.as_ptr()) } } else { None };
        let (found, step, count) = if let Some(planes) = ascii {
            let window = Window { advance: 62, last: false };
            let found = rules.starts(&planes, &mut carry, window);
            // SAFETY: one word is written before these 64, and ROOM is more than both.
            let count = unsafe {
                *to = held;
                let to = to.add(usize::from(found.release));
                B::indices(found.starts & mask & low(62), at as u32, to)
            };
            if found.hold != 0 {
                held = at as u32 + found.hold.trailing_zeros();
            }
            (found, 62, count)
        } else {
            // SAFETY: the instruction set by the caller.
            let (planes, places, bytes) = unsafe { B::mixed::<R>(rest, &mut memory) };
            let ending = bytes == rest.len();
            let window = match (ending && last, planes.n) {
                (true, n) => Window { advance: n, last: true },
                (false, n @ 3..) => Window { advance: n - 2, last: false },
                _ => break,
            };
            let found = rules.starts(&planes, &mut carry, window);
            let starts = found.starts & mask & low(window.advance);
            // SAFETY: as above, and the starts are within the block's characters.
            let count = unsafe {
                *to = held;
                B::places(starts, &places, at as u32, to.add(usize::from(found.release)))
            };
            if found.hold != 0 {
                held = at as u32 + B::place(&places, found.hold.trailing_zeros()) as u32;
            }
            let step = if window.last { bytes } else { B::place(&places, window.advance) };
            (found, step, count)
        };
        mask = !0;
        // SAFETY: so many words have been written.
        unsafe { ends.set_len(ends.len() + usize::from(found.release) + count) };
        at += step;
    }
    *scan = Scan { at, held, carry, fresh };
}

/// Bytes of `text` that are whole characters, whatever comes after them.
pub(super) fn whole(text: &[u8]) -> usize {
    text.len() - class::unfinished(text)
}
