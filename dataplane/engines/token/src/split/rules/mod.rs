//! The split grammars as algebra on masks of characters.
//!
//! All of them cut at places that depend on a bounded neighbourhood, but for these, which the
//! [`Carry`] takes from block to block: the phase of a run of digits, the newlines that belong to
//! the punctuation before them, the blanks after the last newline of a run (an end there is known
//! only when the run is over), and o200k's case.

mod cl100k;
mod o200k;
mod r50k;

pub(super) use cl100k::Cl100k;
pub(super) use o200k::O200k;
pub(super) use r50k::R50k;

use super::planes::{Planes, low};

/// What a block has to know of the characters before it: flags that are 0 or 1, and short masks
/// of the first characters. The default is the start of a text.
///
/// Every field but `held` speaks of the character just before the block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Carry {
    /// Letter; in o200k, part of a word.
    pub(super) letter: u64,
    /// Number.
    pub(super) number: u64,
    /// Numbers in the piece so far, while `number`: 1 to 3.
    pub(super) phase: u64,
    /// Punctuation; in o200k, part of a run of it.
    pub(super) other: u64,
    /// Punctuation that begins a piece; in o200k, one that a word has as its first character.
    pub(super) prefix: u64,
    /// U+0020.
    pub(super) blank: u64,
    /// White space that belongs to no punctuation.
    pub(super) space: u64,
    /// The same but for newlines.
    pub(super) indent: u64,
    /// Newline, or o200k's slash, that belongs to the punctuation before it.
    pub(super) tail: u64,
    /// Mask: characters of the block that end an unfinished contraction.
    pub(super) inside: u64,
    /// Mask: characters of the block that come right after a contraction.
    pub(super) after: u64,
    /// o200k: the piece has had a lower-case letter, and only `EITHER` since.
    pub(super) cased: u64,
    /// o200k: of class `EITHER`, in a word.
    pub(super) either: u64,
    /// o200k: punctuation, part of a run or not, but no mark.
    pub(super) sign: u64,
    /// A place behind is an end if the run of blanks (1) or of capitals (2) that the block goes on
    /// with ends the right way.
    pub(super) held: u64,
}

/// Bits of each field in a packed [`Carry`], in order.
const WIDTHS: [u32; 15] = [1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 3, 1, 1, 1, 2];

impl Carry {
    const fn fields(&mut self) -> [&mut u64; 15] {
        [
            &mut self.letter,
            &mut self.number,
            &mut self.phase,
            &mut self.other,
            &mut self.prefix,
            &mut self.blank,
            &mut self.space,
            &mut self.indent,
            &mut self.tail,
            &mut self.inside,
            &mut self.after,
            &mut self.cased,
            &mut self.either,
            &mut self.sign,
            &mut self.held,
        ]
    }

    /// In 20 bits.
    pub(super) fn pack(mut self) -> u32 {
        let fields = self.fields().map(|field| *field as u32);
        fields.iter().zip(WIDTHS).rev().fold(0, |bits, (field, width)| bits << width | field)
    }

    pub(super) fn unpack(mut bits: u32) -> Self {
        let mut carry = Self::default();
        for (field, width) in carry.fields().into_iter().zip(WIDTHS) {
            *field = u64::from(bits & ((1 << width) - 1));
            bits >>= width;
        }
        carry
    }
}

/// Ends that a block decides. "At character `i`" means just before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Characters that begin a piece, from bit 0 on; only the first `advance` bits count.
    pub(super) starts: u64,
    /// The place held so far is an end, before all of `starts`.
    pub(super) release: bool,
    /// Mask of one or no bit: a character to be held from now on. When 0, what was held stays so
    /// as long as the carry says that something is.
    pub(super) hold: u64,
}

/// A block's place in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Characters to decide on; those of the block after them are only looked at. At least 1.
    pub(super) advance: u32,
    /// The text ends with the block.
    pub(super) last: bool,
}

impl Window {
    /// Bit of the last character that is decided on, brought to bit 0.
    #[inline(always)]
    const fn leaving(self, mask: u64) -> u64 {
        mask >> (self.advance - 1) & 1
    }

    /// Bits from `advance` on of `mask << by`, brought to bit 0.
    #[inline(always)]
    const fn beyond(self, mask: u64, by: u32) -> u64 {
        ((mask as u128) << by >> self.advance) as u64
    }
}

/// A grammar: from the classes of a block's characters to the pieces' starts.
pub(super) trait Rules: Copy {
    /// Contractions are found in either case.
    const FOLD: bool;
    /// Needs the planes `upper`, `lower`, `either`, `slash`.
    const CASE: bool;

    fn starts(self, planes: &Planes, carry: &mut Carry, window: Window) -> Found;
}

/// Starts of pieces of up to `most` numbers each, with the carry's phase brought up to date.
#[inline(always)]
fn numbers(most: u64, number: u64, carry: &mut Carry, window: Window) -> u64 {
    if most == 1 {
        carry.number = window.leaving(number);
        carry.phase = carry.number;
        return number;
    }
    let before = number << 1 | carry.number;
    // A run that goes on from the last block has its next start where its phase is complete.
    let resumed = number & !number.wrapping_add(carry.number);
    let mut starts = (number & !before) | (resumed & 1 << (most - carry.phase));
    let full = if most == 3 { number & before & before << 1 } else { number & before };
    let mut next = starts << most & full;
    while next != 0 {
        starts |= next;
        next = next << most & full;
    }
    carry.number = window.leaving(number);
    let phase = match starts & low(window.advance) {
        0 => carry.phase + u64::from(window.advance),
        starts => u64::from(window.advance) - u64::from(63 - starts.leading_zeros()),
    };
    carry.phase = if carry.number == 0 { 0 } else { phase };
    starts
}

/// A run that decides about the place where it began by what comes after it.
#[derive(Clone, Copy)]
struct Trial {
    /// Members of such runs.
    run: u64,
    /// Where the runs in question begin.
    candidates: u64,
    /// What must not follow a run for its beginning to be a start.
    refuse: u64,
    /// Whether it is one where the text ends with the run.
    at_end: bool,
    /// A place before the block is on trial, and the block goes on with its run.
    held: bool,
}

impl Trial {
    /// Ends inside runs of white space after a newline of the run: the blanks (`indent`) that
    /// follow one (`candidates`) begin a piece if no newline comes after them.
    #[inline(always)]
    const fn indents(
        indent: u64,
        candidates: u64,
        newline: u64,
        at_end: bool,
        carry: &Carry,
    ) -> Self {
        Self { run: indent, candidates, refuse: newline, at_end, held: carry.held == 1 }
    }

    /// The starts that are decided; with them, whether the last run goes on past the block, so
    /// that its beginning (`Found::hold`, or what was held before) is held.
    #[inline(always)]
    fn settle(self, window: Window) -> (Found, bool) {
        let Self { run, candidates, refuse, at_end, held } = self;
        let inside = candidates & low(window.advance);
        let sum = run.wrapping_add(inside).wrapping_add(u64::from(held));
        let marked = run & !sum;
        let ends = sum & !run;
        // Open is a run that the character after the decided ones belongs to.
        let open = if window.last { window.leaving(marked) } else { window.beyond(marked, 0) & 1 };
        let mut found = Found { starts: inside, release: held, hold: 0 };
        if open != 0 {
            let top = if inside == 0 { 0 } else { 1 << (63 - inside.leading_zeros()) };
            let counts = window.last && at_end;
            found.release = held && (inside != 0 || counts);
            found.starts = if counts { inside } else { inside & !top };
            found.hold = if window.last { 0 } else { top };
        }
        if ends & refuse != 0 {
            refused(&mut found, held, ends, refuse);
        }
        (found, open != 0 && !window.last)
    }
}

/// Takes back the starts whose runs end the wrong way.
#[cold]
#[inline(never)]
fn refused(found: &mut Found, held: bool, mut ends: u64, refuse: u64) {
    let mut starts = found.starts;
    if held && found.release {
        found.release = (ends & ends.wrapping_neg()) & refuse == 0;
        ends &= ends.wrapping_sub(1);
    }
    while starts != 0 {
        if (ends & ends.wrapping_neg()) & refuse != 0 {
            found.starts &= !(starts & starts.wrapping_neg());
        }
        starts &= starts - 1;
        ends &= ends.wrapping_sub(1);
    }
}
