//! AVX-512 with VBMI and VBMI2: classes by byte permutation, characters and ends by compression.

use std::arch::x86_64::*;

use crate::split::backend::{BLOCK, Backend, Scan, scan};
use crate::split::class::{self, EITHER, LETTER, LONG_S, LOWER, NEWLINE, NUMBER, SPACE, UPPER};
use crate::split::planes::{
    APOSTROPHE, BLANK, EE, EL, Planes, SDMT, SIGNS, SIGNS_FOLDED, SLASH, VR, low,
};
use crate::split::rules::Rules;
use crate::split::tables::{ROW_OF, ROWS};

/// The backend of this level.
#[derive(Clone, Copy, Debug)]
struct Avx512;

/// Where the characters of a block begin: as mask of its bytes, and as list.
struct Places {
    mask: u64,
    list: __m512i,
}

/// The loop over a text, compiled for this level.
///
/// # Safety
/// AVX-512 F, BW, VL, VBMI, VBMI2, BMI1, BMI2, LZCNT and POPCNT must be available.
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,bmi1,bmi2,lzcnt,popcnt"
)]
pub(in crate::split) unsafe fn run<R: Rules>(
    rules: R,
    text: &[u8],
    last: bool,
    at: &mut Scan,
    ends: &mut Vec<u32>,
) {
    // SAFETY: the features are those that the backend asks for.
    unsafe { scan::<Avx512, R>(rules, text, last, at, ends) }
}

/// Numbers 0 to 63.
const IOTA: [u8; BLOCK] = {
    let mut list = [0; BLOCK];
    let mut at = 0;
    while at < BLOCK {
        list[at] = at as u8;
        at += 1;
    }
    list
};

/// Class of all characters whose three bytes begin with a byte by its low six bits, where they
/// have one class; else `MANY`.
static LEADS: [u8; BLOCK] = {
    let mut list = [MANY; BLOCK];
    let mut at = 0;
    while at < 16 {
        let mut row = 1;
        list[0x20 + at] = PAIRS[at][0];
        while row < 64 {
            if PAIRS[at][row] != PAIRS[at][0] {
                list[0x20 + at] = MANY;
            }
            row += 1;
        }
        at += 1;
    }
    list
};

/// Class of all characters of three bytes by the first two, where they have one class.
static PAIRS: [[u8; 64]; 16] = {
    let mut list = [[MANY; 64]; 16];
    let mut at = 0;
    while at < 1024 {
        let row = &ROWS[ROW_OF[at] as usize];
        let mut column = 1;
        list[at / 64][at % 64] = row[0];
        while column < 64 {
            if row[column] != row[0] {
                list[at / 64][at % 64] = MANY;
            }
            column += 1;
        }
        at += 1;
    }
    list
};

/// No class: bits that never come together.
const MANY: u8 = 0xff;

#[inline(always)]
unsafe fn load(bytes: &[u8; BLOCK]) -> __m512i {
    // SAFETY: 64 bytes are there.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline(always)]
unsafe fn splat(byte: u8) -> __m512i {
    // SAFETY: the level's features, by the contract of the caller.
    unsafe { _mm512_set1_epi8(byte as i8) }
}

/// Entries of a table of 128 by the low seven bits of `v`, 0 outside of `mask`.
#[inline(always)]
unsafe fn look_up(mask: u64, v: __m512i, table: &[u8; 128]) -> __m512i {
    // SAFETY: 128 bytes are there.
    unsafe {
        let low = _mm512_loadu_si512(table.as_ptr().cast());
        let high = _mm512_loadu_si512(table.as_ptr().add(64).cast());
        _mm512_maskz_permutex2var_epi8(mask, low, v, high)
    }
}

#[inline(always)]
const fn sign_table<R: Rules>() -> &'static [u8; 128] {
    if R::FOLD { &SIGNS_FOLDED } else { &SIGNS }
}

/// The masks of `n` characters.
#[inline(always)]
unsafe fn planes<R: Rules>(classes: __m512i, signs: __m512i, n: u32) -> Planes {
    // SAFETY: the level's features, by the contract of the caller.
    let test = |v, bit| unsafe { _mm512_test_epi8_mask(v, splat(bit)) };
    let mut planes = Planes {
        n,
        letter: test(classes, LETTER),
        number: test(classes, NUMBER),
        space: test(classes, SPACE),
        newline: test(classes, NEWLINE),
        sdmt: test(signs, SDMT),
        el: test(signs, EL),
        vr: test(signs, VR),
        ee: test(signs, EE),
        apostrophe: test(signs, APOSTROPHE),
        blank: test(signs, BLANK),
        ..Planes::default()
    };
    if R::CASE {
        planes.upper = test(classes, UPPER);
        planes.lower = test(classes, LOWER);
        planes.slash = test(signs, SLASH);
    }
    planes
}

/// Writes the bytes of `list`, each plus `base`, of which `count` matter.
#[inline(always)]
unsafe fn write(list: __m512i, count: u32, base: u32, to: *mut u32) {
    // SAFETY: 64 words are writable by the contract of the caller.
    unsafe {
        let base = _mm512_set1_epi32(base as i32);
        let put = |part: __m128i, at: usize| {
            let words = _mm512_add_epi32(_mm512_cvtepu8_epi32(part), base);
            _mm512_storeu_si512(to.add(at).cast(), words);
        };
        put(_mm512_castsi512_si128(list), 0);
        put(_mm512_extracti32x4_epi32::<1>(list), 16);
        if count > 32 {
            put(_mm512_extracti32x4_epi32::<2>(list), 32);
            put(_mm512_extracti32x4_epi32::<3>(list), 48);
        }
    }
}

/// Where sequences of two, three and four bytes begin, and the block's length, which is cut where
/// a sequence may go on after it.
struct Sequences {
    two: u64,
    three: u64,
    four: u64,
    bytes: u32,
}

#[inline(always)]
unsafe fn sequences(v: __m512i, len: usize) -> Sequences {
    // SAFETY: the level's features, by the contract of the caller.
    let (from, is) = unsafe {
        (
            |byte| _mm512_cmpge_epu8_mask(v, splat(byte)),
            |byte| _mm512_cmpeq_epi8_mask(v, splat(byte)),
        )
    };
    let (past_two, past_three) = (from(0xe0), from(0xf0));
    let two = from(0xc2) & !past_two;
    let three = past_two & !past_three;
    let four = past_three & !from(0xf5);
    let next = from(0x80) & !from(0xc0);
    // Second bytes that make overlong forms, surrogates, or code points past U+10FFFF.
    let (a0, x90) = (from(0xa0), from(0x90));
    let second = next
        & !(is(0xe0) << 1 & !a0 | is(0xed) << 1 & a0 | is(0xf0) << 1 & !x90 | is(0xf4) << 1 & x90);
    let cut = two >> 63 << 63 | three >> 62 << 62 | four >> 61 << 61;
    let bytes = if len > BLOCK && cut != 0 { cut.trailing_zeros() } else { len.min(BLOCK) as u32 };
    let valid = low(bytes);
    Sequences {
        two: two & next >> 1 & valid,
        three: three & second >> 1 & next >> 2 & valid,
        four: four & second >> 1 & next >> 2 & next >> 3 & valid,
        bytes,
    }
}

/// Adds to `classes` those of characters of two bytes, each at its last byte. One turn for each
/// first byte that there is.
#[inline(always)]
unsafe fn classes_of_two(v: __m512i, text: *const u8, mut todo: u64, into: &mut __m512i) {
    while todo != 0 {
        // SAFETY: `todo` has bits of bytes of the text only; rows by the range of first bytes.
        unsafe {
            let first = *text.add(todo.trailing_zeros() as usize);
            let same = todo & _mm512_cmpeq_epi8_mask(v, splat(first));
            let row = &ROWS[usize::from(ROW_OF[usize::from(first & 0x1f)])];
            *into = _mm512_mask_permutexvar_epi8(*into, same << 1, v, load(row));
            todo &= !same;
        }
    }
}

/// The same for characters of three bytes: by the first byte where that says enough, by the
/// second one where that does; else one turn for each pair.
#[inline(always)]
unsafe fn classes_of_three(v: __m512i, text: *const u8, three: u64, into: &mut __m512i) {
    // SAFETY: `three` has bits of bytes of the text only, each with two more after it.
    unsafe {
        // By the first byte, at the first byte.
        let leads = _mm512_maskz_permutexvar_epi8(three, v, load(&LEADS));
        let mut todo = _mm512_mask_cmpeq_epi8_mask(three, leads, splat(MANY));
        // By the second, at the second.
        let back = load(&const { shifted(1) });
        let mut pairs = _mm512_maskz_permutexvar_epi8(three << 1, back, leads);
        while todo != 0 {
            let first = *text.add(todo.trailing_zeros() as usize);
            let same = todo & _mm512_cmpeq_epi8_mask(v, splat(first));
            let row = &PAIRS[usize::from(first & 0xf)];
            pairs = _mm512_mask_permutexvar_epi8(pairs, same << 1, v, load(row));
            todo &= !same;
        }
        let mut todo = _mm512_mask_cmpeq_epi8_mask(three << 1, pairs, splat(MANY));
        *into = _mm512_mask_permutexvar_epi8(*into, three << 2, back, pairs);
        while todo != 0 {
            let at = todo.trailing_zeros() as usize;
            let (first, second) = (*text.add(at - 1), *text.add(at));
            let same = todo
                & _mm512_cmpeq_epi8_mask(v, splat(first)) << 1
                & _mm512_cmpeq_epi8_mask(v, splat(second));
            let pair = usize::from(first & 0xf) << 6 | usize::from(second & 0x3f);
            let row = &ROWS[usize::from(ROW_OF[pair])];
            *into = _mm512_mask_permutexvar_epi8(*into, same << 1, v, load(row));
            todo &= !same;
        }
    }
}

/// The same for characters of four bytes: one turn for each that differs in its first three.
#[inline(always)]
unsafe fn classes_of_four(v: __m512i, text: *const u8, mut todo: u64, into: &mut __m512i) {
    while todo != 0 {
        // SAFETY: `todo` has bits of bytes of the text only, each with three more after it.
        unsafe {
            let from = text.add(todo.trailing_zeros() as usize);
            let bytes = from.cast::<[u8; 3]>().read();
            let same = todo
                & _mm512_cmpeq_epi8_mask(v, splat(bytes[0]))
                & _mm512_cmpeq_epi8_mask(v, splat(bytes[1])) >> 1
                & _mm512_cmpeq_epi8_mask(v, splat(bytes[2])) >> 2;
            let row = class::row_of_four(bytes);
            *into = _mm512_mask_permutexvar_epi8(*into, same << 3, v, load(row));
            todo &= !same;
        }
    }
}

/// For each byte the index of the one `by` before it.
const fn shifted(by: usize) -> [u8; BLOCK] {
    let mut list = IOTA;
    let mut at = 0;
    while at < BLOCK {
        list[at] = (at.wrapping_sub(by) & 63) as u8;
        at += 1;
    }
    list
}

impl Backend for Avx512 {
    type Places = Places;

    #[inline(always)]
    unsafe fn ascii<R: Rules>(from: *const u8) -> Option<Planes> {
        // SAFETY: 64 bytes are readable by the contract; so are the features there.
        unsafe {
            let v = _mm512_loadu_si512(from.cast());
            if _mm512_movepi8_mask(v) != 0 {
                return None;
            }
            let classes = look_up(!0, v, &class::ASCII);
            Some(planes::<R>(classes, look_up(!0, v, sign_table::<R>()), 64))
        }
    }

    #[inline(always)]
    unsafe fn mixed<R: Rules>(text: &[u8]) -> (Planes, Places, usize) {
        // SAFETY: the mask keeps the load inside the text; the features by the contract.
        unsafe {
            let from = text.as_ptr();
            let v = _mm512_maskz_loadu_epi8(low(text.len().min(BLOCK) as u32), from.cast());
            let ascii = !_mm512_movepi8_mask(v);
            let Sequences { two, three, four, bytes } = sequences(v, text.len());
            let mut classes = look_up(ascii, v, &class::ASCII);
            classes_of_two(v, from, two, &mut classes);
            if three != 0 {
                classes_of_three(v, from, three, &mut classes);
            }
            classes_of_four(v, from, four, &mut classes);
            let all = low(bytes);
            let firsts = two | three | four;
            let later = three | four;
            let first = all & !(firsts << 1 | later << 2 | four << 3);
            let last = first & !firsts | two << 1 | three << 2 | four << 3;
            let n = first.count_ones();
            let classes = _mm512_maskz_compress_epi8(last, classes);
            let signs = look_up(ascii, v, sign_table::<R>());
            let mut planes = planes::<R>(classes, _mm512_maskz_compress_epi8(first, signs), n);
            if R::CASE {
                planes.either = _mm512_test_epi8_mask(classes, splat(EITHER));
            }
            if R::FOLD {
                planes.sdmt |= _mm512_test_epi8_mask(classes, splat(LONG_S));
            }
            let list = _mm512_maskz_compress_epi8(first, load(&IOTA));
            (planes, Places { mask: first, list }, bytes as usize)
        }
    }

    #[inline(always)]
    fn place(places: &Places, at: u32) -> usize {
        // SAFETY: BMI2 is among the features of this level.
        unsafe { _pdep_u64(1 << at, places.mask) }.trailing_zeros() as usize
    }

    #[inline(always)]
    unsafe fn indices(starts: u64, base: u32, to: *mut u32) -> usize {
        let count = starts.count_ones();
        // SAFETY: 64 words are writable by the contract; so are the features there.
        unsafe { write(_mm512_maskz_compress_epi8(starts, load(&IOTA)), count, base, to) };
        count as usize
    }

    #[inline(always)]
    unsafe fn places(starts: u64, places: &Places, base: u32, to: *mut u32) -> usize {
        let count = starts.count_ones();
        // SAFETY: 64 words are writable by the contract; so are the features there.
        unsafe { write(_mm512_maskz_compress_epi8(starts, places.list), count, base, to) };
        count as usize
    }
}
