//! Blocks by table, eight bytes of classes in a general register; runs everywhere.

use super::backend::{BLOCK, Backend, Scan, blocks, scan};
use super::class::{self, EITHER, LETTER, LONG_S, LOWER, NEWLINE, NUMBER, SPACE, UPPER};
use super::planes::{APOSTROPHE, BLANK, EE, EL, Planes, SDMT, SIGNS, SIGNS_FOLDED, SLASH, VR};
use super::rules::Rules;

/// The portable backend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

/// The loop over a text.
pub(super) fn run<R: Rules>(rules: R, text: &[u8], last: bool, at: &mut Scan, ends: &mut Vec<u32>) {
    // SAFETY: no instruction set is needed.
    unsafe { scan::<Portable, R>(rules, text, last, at, ends, blocks::<Portable, R>) }
}

/// Places of the characters of a block and their count.
#[derive(Debug)]
pub(super) struct Places([u8; BLOCK]);

/// Classes and signs of 64 characters, as bytes.
#[derive(Debug)]
pub(super) struct Classes {
    pub(super) classes: [u8; BLOCK],
    pub(super) signs: [u8; BLOCK],
}

/// Takes the top bits of eight bytes into a mask in the making: of eight such steps each shifts
/// those before it down by one bit.
#[inline(always)]
const fn take(mask: &mut u64, bits: u64) {
    *mask = *mask >> 1 | bits & Word::HIGH;
}

/// Turns what eight steps of [`take`] have made, bit `i` of byte `j` for byte `j` of step `i`, into
/// a mask in the order of the bytes: transposes 8 by 8 bits.
#[inline(always)]
const fn order(mut bits: u64) -> u64 {
    let swap = (bits ^ bits >> 7) & 0x00aa_00aa_00aa_00aa;
    bits ^= swap ^ swap << 7;
    let swap = (bits ^ bits >> 14) & 0x0000_cccc_0000_cccc;
    bits ^= swap ^ swap << 14;
    let swap = (bits ^ bits >> 28) & 0x0000_0000_f0f0_f0f0;
    bits ^ swap ^ swap << 28
}

/// The masks of 64 characters, whose words have all been taken.
#[inline(always)]
fn ordered<R: Rules>(taken: Planes, n: u32) -> Planes {
    let mut planes = Planes {
        n,
        letter: order(taken.letter),
        number: order(taken.number),
        space: order(taken.space),
        newline: order(taken.newline),
        sdmt: order(taken.sdmt),
        el: order(taken.el),
        vr: order(taken.vr),
        ee: order(taken.ee),
        apostrophe: order(taken.apostrophe),
        blank: order(taken.blank),
        ..Planes::default()
    };
    if R::CASE {
        planes.upper = order(taken.upper);
        planes.lower = order(taken.lower);
        planes.either = order(taken.either);
        planes.slash = order(taken.slash);
    }
    planes
}

/// Eight ASCII characters.
#[derive(Clone, Copy)]
struct Word(u64);

impl Word {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const ONES: u64 = 0x0101_0101_0101_0101;

    /// The top bit of each byte that is `byte` or more. No sum goes over its byte: both terms are
    /// below 0x80, or `byte` is 0.
    #[inline(always)]
    const fn from(self, byte: u8) -> u64 {
        self.0 + Self::ONES * (0x80 - byte as u64)
    }

    /// The top bit of each byte in `first..=last`; other bits are left as they come.
    #[inline(always)]
    const fn within(self, first: u8, last: u8) -> u64 {
        self.from(first) & !self.from(last + 1)
    }

    /// The top bit of each byte that is `byte`; other bits are left as they come.
    #[inline(always)]
    const fn is(self, byte: u8) -> u64 {
        Self::HIGH - (self.0 ^ (Self::ONES * byte as u64))
    }

    /// Takes what these are into all masks.
    #[inline(always)]
    fn add_to<R: Rules>(self, planes: &mut Planes) {
        let folded = Self(self.0 | (Self::ONES * 0x20));
        let cased = if R::FOLD { folded } else { self };
        take(&mut planes.letter, folded.within(b'a', b'z'));
        take(&mut planes.number, self.within(b'0', b'9'));
        take(&mut planes.space, self.within(b'\t', b'\r') | self.is(b' '));
        take(&mut planes.newline, self.is(b'\n') | self.is(b'\r'));
        take(&mut planes.blank, self.is(b' '));
        let one = cased.is(b's') | cased.is(b'd') | cased.is(b'm') | cased.is(b't');
        take(&mut planes.apostrophe, self.is(b'\''));
        take(&mut planes.sdmt, one);
        take(&mut planes.el, cased.is(b'l'));
        take(&mut planes.vr, cased.is(b'v') | cased.is(b'r'));
        take(&mut planes.ee, cased.is(b'e'));
        if R::CASE {
            take(&mut planes.upper, self.within(b'A', b'Z'));
            take(&mut planes.lower, self.within(b'a', b'z'));
            take(&mut planes.slash, self.is(b'/'));
        }
    }
}

impl Classes {
    /// Masks of the first `n` characters; bytes from `n` on are 0.
    #[inline(always)]
    fn planes<R: Rules>(&self, n: u32) -> Planes {
        let mut planes = Planes::default();
        let words = self.classes.as_chunks::<8>().0.iter().zip(self.signs.as_chunks::<8>().0);
        for (class, sign) in words {
            let (class, sign) = (u64::from_le_bytes(*class), u64::from_le_bytes(*sign));
            take(&mut planes.letter, class << LETTER.leading_zeros());
            take(&mut planes.number, class << NUMBER.leading_zeros());
            take(&mut planes.space, class << SPACE.leading_zeros());
            take(&mut planes.newline, class << NEWLINE.leading_zeros());
            take(&mut planes.sdmt, sign << SDMT.leading_zeros());
            take(&mut planes.el, sign << EL.leading_zeros());
            take(&mut planes.vr, sign << VR.leading_zeros());
            take(&mut planes.ee, sign << EE.leading_zeros());
            take(&mut planes.apostrophe, sign << APOSTROPHE.leading_zeros());
            take(&mut planes.blank, sign << BLANK.leading_zeros());
            if R::CASE {
                take(&mut planes.upper, class << UPPER.leading_zeros());
                take(&mut planes.lower, class << LOWER.leading_zeros());
                take(&mut planes.either, class << EITHER.leading_zeros());
                take(&mut planes.slash, sign << SLASH.leading_zeros());
            }
        }
        ordered::<R>(planes, n)
    }
}

/// Classes, signs and places of the first characters of `text`; then their number and bytes.
#[inline(always)]
pub(super) fn decode<R: Rules>(text: &[u8], most: usize) -> (Classes, Places, u32, usize) {
    let table = if R::FOLD { &SIGNS_FOLDED } else { &SIGNS };
    let mut block = Classes { classes: [0; BLOCK], signs: [0; BLOCK] };
    let mut places = Places([0; BLOCK]);
    let (mut n, mut at) = (0, 0);
    while n < most && at < text.len() {
        let (class, len) = class::first(&text[at..]);
        block.classes[n] = class;
        block.signs[n] = match text[at] {
            byte @ ..0x80 => table[byte as usize],
            _ if R::FOLD && class & LONG_S != 0 => SDMT,
            _ => 0,
        };
        places.0[n] = at as u8;
        n += 1;
        at += len;
    }
    (block, places, n as u32, at)
}

/// Writes down what `place` gives for each bit of `starts`, in steps of eight: how many bits there
/// are is hard to predict, how many steps is not.
///
/// # Safety
/// 64 words must be writable at `to`.
#[inline(always)]
unsafe fn write(mut starts: u64, to: *mut u32, place: impl Fn(u32) -> u32) -> usize {
    let count = starts.count_ones() as usize;
    let mut at = 0;
    while at < count {
        for next in at..at + 8 {
            // SAFETY: `at` is a multiple of eight below `count`, so `next` is below 64.
            unsafe { to.add(next).write(place(starts.trailing_zeros())) };
            starts &= starts.wrapping_sub(1);
        }
        at += 8;
    }
    count
}

/// Writes `base` plus the index of each bit of `starts`; gives back how many.
///
/// # Safety
/// 64 words must be writable at `to`.
#[inline(always)]
pub(super) unsafe fn indices(starts: u64, base: u32, to: *mut u32) -> usize {
    // SAFETY: by the contract.
    unsafe { write(starts, to, |at| base.wrapping_add(at)) }
}

impl Places {
    /// Where character `at` begins, `at` below 64.
    #[inline(always)]
    pub(super) fn of(&self, at: u32) -> usize {
        usize::from(self.0[at as usize & (BLOCK - 1)])
    }

    /// Writes `base` plus the place of each character of `starts`; gives back how many.
    ///
    /// # Safety
    /// 64 words must be writable at `to`.
    #[inline(always)]
    pub(super) unsafe fn write(&self, starts: u64, base: u32, to: *mut u32) -> usize {
        // SAFETY: by the contract.
        unsafe { write(starts, to, |at| base.wrapping_add(self.of(at) as u32)) }
    }
}

impl Backend for Portable {
    type Places = Places;
    type Memory = ();

    #[inline(always)]
    unsafe fn ascii<R: Rules>(from: *const u8) -> Option<Planes> {
        // SAFETY: 64 bytes are readable by the contract.
        let bytes = unsafe { from.cast::<[u8; BLOCK]>().read() };
        let words = bytes.as_chunks::<8>().0;
        let all = words.iter().fold(0, |all, word| all | u64::from_le_bytes(*word));
        if all & Word::HIGH != 0 {
            return None;
        }
        let mut planes = Planes::default();
        for word in words {
            Word(u64::from_le_bytes(*word)).add_to::<R>(&mut planes);
        }
        Some(ordered::<R>(planes, BLOCK as u32))
    }

    #[inline(always)]
    unsafe fn mixed<R: Rules>(text: &[u8], (): &mut ()) -> (Planes, Places, usize) {
        let (block, places, n, bytes) = decode::<R>(text, BLOCK);
        (block.planes::<R>(n), places, bytes)
    }

    #[inline(always)]
    fn place(places: &Places, at: u32) -> usize {
        places.of(at)
    }

    #[inline(always)]
    unsafe fn indices(starts: u64, base: u32, to: *mut u32) -> usize {
        // SAFETY: 64 words by the contract.
        unsafe { indices(starts, base, to) }
    }

    #[inline(always)]
    unsafe fn places(starts: u64, places: &Places, base: u32, to: *mut u32) -> usize {
        // SAFETY: 64 words by the contract.
        unsafe { places.write(starts, base, to) }
    }
}
