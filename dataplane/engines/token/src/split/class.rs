//! Character classes, and well-formed UTF-8 one character at a time.

use super::tables::{PAGE_INDEX, PAGES, ROW_OF, ROWS};

/// `\p{L}`.
pub(super) const LETTER: u8 = 1;
/// `\p{N}`.
pub(super) const NUMBER: u8 = 1 << 1;
/// `\s`, the property White_Space.
pub(super) const SPACE: u8 = 1 << 2;
/// Upper or title case: `\p{Lu}`, `\p{Lt}`.
pub(super) const UPPER: u8 = 1 << 3;
/// Lower case: `\p{Ll}`.
pub(super) const LOWER: u8 = 1 << 4;
/// What counts as either case: `\p{Lm}`, `\p{Lo}`, and marks, `\p{M}`, which are no letters.
pub(super) const EITHER: u8 = 1 << 5;
/// U+017F, which equals `s` where case is folded.
pub(super) const LONG_S: u8 = 1 << 6;
/// `\r` or `\n`.
pub(super) const NEWLINE: u8 = 1 << 7;

/// Classes of the ASCII characters.
pub(super) static ASCII: [u8; 128] = ascii();

const fn ascii() -> [u8; 128] {
    let mut table = [0; 128];
    let mut at = 0;
    while at < 128 {
        table[at] = ROWS[ROW_OF[at >> 6] as usize][at & 63];
        at += 1;
    }
    table
}

/// Class bits of a code point below 0x110000.
#[inline(always)]
pub(super) fn of_code_point(code: u32) -> u8 {
    let code = code as usize;
    row(code >> 6)[code & 63]
}

/// The row of the code points from `high << 6` on.
#[inline(always)]
fn row(high: usize) -> &'static [u8; 64] {
    let row = match ROW_OF.get(high) {
        Some(&row) => usize::from(row),
        None => {
            let page = usize::from(PAGE_INDEX[(high >> 6) & 0xff]);
            usize::from(PAGES[page][high & 63])
        }
    };
    &ROWS[row]
}

/// The row of the characters whose four bytes begin with these three, which are well-formed.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn row_of_four([a, b, c]: [u8; 3]) -> &'static [u8; 64] {
    row(code(&[a & 7, b, c]) as usize)
}

/// Class bits and length in bytes of the character at the start of `bytes`, which must not be
/// empty. A byte that begins no well-formed sequence is a character of its own without any bit.
#[inline(always)]
pub(super) fn first(bytes: &[u8]) -> (u8, usize) {
    match *bytes {
        [a @ ..0x80, ..] => (ASCII[a as usize], 1),
        [a @ 0xc2..=0xdf, b @ 0x80..=0xbf, ..] => (of_code_point(code(&[a & 0x1f, b])), 2),
        [a @ 0xe0..=0xef, b @ 0x80..=0xbf, c @ 0x80..=0xbf, ..] if three(a, b) => {
            (of_code_point(code(&[a & 0xf, b, c])), 3)
        }
        [a @ 0xf0..=0xf4, b @ 0x80..=0xbf, c @ 0x80..=0xbf, d @ 0x80..=0xbf, ..] if four(a, b) => {
            (of_code_point(code(&[a & 7, b, c, d])), 4)
        }
        _ => (0, 1),
    }
}

/// Joins the payload bits of a sequence whose first byte has been stripped of its marker.
#[inline(always)]
fn code(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |code, &byte| code << 6 | u32::from(byte & 0x3f))
}

/// Whether `b` may follow `a` in a sequence of three: no overlong form, no surrogate.
#[inline(always)]
const fn three(a: u8, b: u8) -> bool {
    !(a == 0xe0 && b < 0xa0 || a == 0xed && b > 0x9f)
}

/// Whether `b` may follow `a` in a sequence of four: no overlong form, nothing past U+10FFFF.
#[inline(always)]
const fn four(a: u8, b: u8) -> bool {
    !(a == 0xf0 && b < 0x90 || a == 0xf4 && b > 0x8f)
}

/// How many bytes at the end of `bytes` may yet become a well-formed character: 0 to 3.
pub(super) fn unfinished(bytes: &[u8]) -> usize {
    let possible = |tail: &[u8]| match *tail {
        [0xc2..=0xf4] => true,
        [a @ 0xe0..=0xef, b @ 0x80..=0xbf] => three(a, b),
        [a @ 0xf0..=0xf4, b @ 0x80..=0xbf] | [a @ 0xf0..=0xf4, b @ 0x80..=0xbf, 0x80..=0xbf] => {
            four(a, b)
        }
        _ => false,
    };
    (1..=3.min(bytes.len())).rev().find(|&n| possible(&bytes[bytes.len() - n..])).unwrap_or(0)
}
