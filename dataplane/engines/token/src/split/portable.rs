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

/// Writes down the bits of `starts` one by one.
///
/// # Safety
/// As many words must be writable at `to` as `starts` has bits.
#[inline(always)]
pub(super) unsafe fn indices(mut starts: u64, base: u32, to: *mut u32) -> usize {
    let count = starts.count_ones() as usize;
    for at in 0..count {
        // SAFETY: below the number of bits.
        unsafe { to.add(at).write(base + starts.trailing_zeros()) };
        starts &= starts - 1;
    }
    count
}

impl Places {
    #[inline(always)]
    pub(super) fn of(&self, at: u32) -> usize {
        usize::from(self.0[at as usize & (BLOCK - 1)])
    }

    /// Writes down the places of the characters of `starts` one by one.
    ///
    /// # Safety
    /// As many words must be writable at `to` as `starts` has bits.
    #[inline(always)]
    pub(super) unsafe fn write(&self, mut starts: u64, base: u32, to: *mut u32) -> usize {
        let count = starts.count_ones() as usize;
        for at in 0..count {
            // SAFETY: below the number of bits.
            unsafe { to.add(at).write(base + self.of(starts.trailing_zeros()) as u32) };
            starts &= starts - 1;
        }
        count
    }
}

impl Backend for Portable {
    type Places = Places;
    type Memory = ();

    #[inline(always)]
    unsafe fn ascii<R: Rules>(from: *const u8) -> Option<Planes> {
        // SAFETY: 64 bytes are readable by the contract.
        let bytes = unsafe { &*from.cast::<[u8; BLOCK]>() };
        let high = bytes.as_chunks::<8>().0.iter().fold(0, |all, w| all | u64::from_le_bytes(*w));
        if high & 0x8080_8080_8080_8080 != 0 {
            return None;
        }
        let signs = if R::FOLD { &SIGNS_FOLDED } else { &SIGNS };
        let block = Classes {
            classes: bytes.map(|byte| class::ASCII[usize::from(byte & 0x7f)]),
            signs: bytes.map(|byte| signs[usize::from(byte & 0x7f)]),
        };
        Some(block.planes::<R>(BLOCK as u32))
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
