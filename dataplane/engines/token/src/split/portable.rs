//! Blocks by table, eight bytes of classes in a general register; runs everywhere.

use super::backend::{BLOCK, Backend};
use super::class::{self, EITHER, LETTER, LONG_S, LOWER, NEWLINE, NUMBER, SPACE, UPPER};
use super::planes::{APOSTROPHE, BLANK, EE, EL, Planes, SDMT, SIGNS, SIGNS_FOLDED, SLASH, VR};
use super::rules::Rules;

/// The portable backend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

/// Places of the characters of a block and their count.
#[derive(Debug)]
pub(super) struct Places([u8; BLOCK]);

/// Classes and signs of 64 characters, as bytes.
#[derive(Debug)]
pub(super) struct Classes {
    pub(super) classes: [u8; BLOCK],
    pub(super) signs: [u8; BLOCK],
}

/// One bit of each of eight bytes, gathered in the order of the bytes.
#[inline(always)]
const fn gather(bytes: u64, bit: u8) -> u64 {
    let bits = bytes >> bit.trailing_zeros() & 0x0101_0101_0101_0101;
    bits.wrapping_mul(0x0102_0408_1020_4080) >> 56
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
        Self::HIGH - (self.0 ^ Self::ONES * byte as u64)
    }

    /// Sets the bits from `shift` on of all masks.
    #[inline(always)]
    fn add_to<R: Rules>(self, planes: &mut Planes, shift: usize) {
        let set = |mask: &mut u64, bits: u64| *mask |= gather(bits, 0x80) << shift;
        let folded = Self(self.0 | Self::ONES * 0x20);
        let cased = if R::FOLD { folded } else { self };
        set(&mut planes.letter, folded.within(b'a', b'z'));
        set(&mut planes.number, self.within(b'0', b'9'));
        set(&mut planes.space, self.within(b'\t', b'\r') | self.is(b' '));
        set(&mut planes.newline, self.is(b'\n') | self.is(b'\r'));
        set(&mut planes.blank, self.is(b' '));
        let one = cased.is(b's') | cased.is(b'd') | cased.is(b'm') | cased.is(b't');
        set(&mut planes.apostrophe, self.is(b'\''));
        set(&mut planes.sdmt, one);
        set(&mut planes.el, cased.is(b'l'));
        set(&mut planes.vr, cased.is(b'v') | cased.is(b'r'));
        set(&mut planes.ee, cased.is(b'e'));
        if R::CASE {
            set(&mut planes.upper, self.within(b'A', b'Z'));
            set(&mut planes.lower, self.within(b'a', b'z'));
            set(&mut planes.slash, self.is(b'/'));
        }
    }
}

impl Classes {
    /// Masks of the first `n` characters; bytes from `n` on are 0.
    #[inline(always)]
    fn planes<R: Rules>(&self, n: u32) -> Planes {
        let mut planes = Planes { n, ..Planes::default() };
        let words = self.classes.as_chunks::<8>().0.iter().zip(self.signs.as_chunks::<8>().0);
        for (at, (class, sign)) in words.enumerate() {
            let (class, sign) = (u64::from_le_bytes(*class), u64::from_le_bytes(*sign));
            let shift = 8 * at;
            planes.letter |= gather(class, LETTER) << shift;
            planes.number |= gather(class, NUMBER) << shift;
            planes.space |= gather(class, SPACE) << shift;
            planes.newline |= gather(class, NEWLINE) << shift;
            planes.sdmt |= gather(sign, SDMT) << shift;
            planes.el |= gather(sign, EL) << shift;
            planes.vr |= gather(sign, VR) << shift;
            planes.ee |= gather(sign, EE) << shift;
            planes.apostrophe |= gather(sign, APOSTROPHE) << shift;
            planes.blank |= gather(sign, BLANK) << shift;
            if R::CASE {
                planes.upper |= gather(class, UPPER) << shift;
                planes.lower |= gather(class, LOWER) << shift;
                planes.either |= gather(class, EITHER) << shift;
                planes.slash |= gather(sign, SLASH) << shift;
            }
        }
        planes
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
        let mut planes = Planes { n: BLOCK as u32, ..Planes::default() };
        for (at, word) in words.iter().enumerate() {
            Word(u64::from_le_bytes(*word)).add_to::<R>(&mut planes, 8 * at);
        }
        Some(planes)
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
