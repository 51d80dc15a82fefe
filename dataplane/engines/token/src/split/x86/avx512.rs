//! AVX-512 with VBMI and VBMI2: classes by byte permutation, characters and ends by compression.

use std::arch::x86_64::*;

use crate::split::backend::{BLOCK, Backend, Scan, blocks, scan};
use crate::split::class::{self, EITHER, LETTER, LONG_S, LOWER, NEWLINE, NUMBER, SPACE, UPPER};
use crate::split::planes::{
    APOSTROPHE, BLANK, EE, EL, Planes, SDMT, SIGNS, SIGNS_FOLDED, SLASH, VR, low,
};
use crate::split::rules::Rules;
use crate::split::tables::{ROW_OF, ROWS, UNIFORM};

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
    unsafe { scan::<Avx512, R>(rules, text, last, at, ends, some_blocks::<R>) }
}

/// The loop's part for other blocks than ASCII.
///
/// # Safety
/// As of [`run`].
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,bmi1,bmi2,lzcnt,popcnt"
)]
#[inline(never)]
unsafe fn some_blocks<R: Rules>(
    rules: R,
    text: &[u8],
    last: bool,
    at: &mut Scan,
    ends: &mut Vec<u32>,
    memory: &mut <Avx512 as Backend>::Memory,
) -> bool {
    // SAFETY: the features are those that the backend asks for.
    unsafe { blocks::<Avx512, R>(rules, text, last, at, ends, memory) }
}

/// Numbers 0 to 63.
const IOTA: [u8; BLOCK] = {
    let mut list = [0u8; BLOCK];
    let mut at = 0;
    while at < BLOCK {
        list[at] = at as u8;
        at += 1;
    }
    list
};

/// For each byte the index of the one before it.
const BACK: [u8; BLOCK] = {
    let mut list = IOTA;
    let mut at = 0;
    while at < BLOCK {
        list[at] = (at as u8).wrapping_sub(1) & 63;
        at += 1;
    }
    list
};

/// Row of the second bytes that make an overlong form or a surrogate.
const BROKEN: u8 = 0xff;

/// Rows of characters of three bytes by the low four bits of the first and the low six of the
/// second.
static PAIRS: [u8; 1024] = {
    let mut list = ROW_OF;
    let mut at = 0;
    while at < 1024 {
        assert!(list[at] != BROKEN);
        if at < 0x20 || at >= 0x360 && at < 0x380 {
            list[at] = BROKEN;
        }
        // What `rows_of_three` takes for granted of first bytes 0xe6 to 0xe9.
        assert!(at < 0x180 || at >= 0x280 || list[at] == ROW_OF[0x180] && list[at] < UNIFORM);
        at += 1;
    }
    list
};

/// Classes of the rows that have one only.
static CLASS_OF_ROW: [u8; BLOCK] = {
    let mut list = [0u8; BLOCK];
    let mut at = 0;
    while at < UNIFORM as usize {
        list[at] = ROWS[at][0];
        at += 1;
    }
    list
};

/// Rows of several classes that have been met last: text stays in its script.
struct Recent {
    rows: [u8; RECENT],
    oldest: usize,
}

/// As many as Japanese text needs, nearly.
const RECENT: usize = 4;

impl Default for Recent {
    fn default() -> Self {
        // Latin-1's second half, Cyrillic's first two, general punctuation.
        Self { rows: [ROW_OF[3], ROW_OF[0x10], ROW_OF[0x11], ROW_OF[0x80]], oldest: 0 }
    }
}

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
    let (past_one, past_two, past_three) = (from(0xc0), from(0xe0), from(0xf0));
    let next = !past_one & from(0x80);
    let two = from(0xc2) & !past_two;
    let three = past_two & !past_three;
    let mut four = past_three;
    if four != 0 {
        // No second bytes that make overlong forms or code points past U+10FFFF.
        let x90 = from(0x90) << 63 | from(0x90) >> 1;
        four &= !(from(0xf5) | is(0xf0) & !x90 | is(0xf4) & x90);
    }
    let cut = two >> 63 << 63 | three >> 62 << 62 | four >> 61 << 61;
    let bytes = if len > BLOCK && cut != 0 { cut.trailing_zeros() } else { len.min(BLOCK) as u32 };
    let valid = low(bytes);
    Sequences {
        two: two & next >> 1 & valid,
        three: three & next >> 1 & next >> 2 & valid,
        four: four & next >> 1 & next >> 2 & next >> 3 & valid,
        bytes,
    }
}

/// Rows of characters of three bytes that begin at `three`, at their second bytes; they are added
/// to `rows`. Takes from `three` those that are ill-formed.
#[inline(always)]
unsafe fn rows_of_three(v: __m512i, three: &mut u64, rows: __m512i) -> __m512i {
    // SAFETY: the level's features; 128 bytes are readable at each of the table's parts.
    unsafe {
        let first = _mm512_permutexvar_epi8(load(&BACK), v);
        // The second byte's low six bits, and the lowest of the first.
        let index =
            _mm512_ternarylogic_epi32::<0xca>(splat(0x40), _mm512_slli_epi16::<6>(first), v);
        let second = *three << 1;
        let mut rows = _mm512_mask_mov_epi8(rows, second, splat(ROW_OF[0x180]));
        let pair = _mm512_and_si512(first, splat(0xe));
        for part in [0, 1, 2, 5, 6, 7] {
            let from = PAIRS.as_ptr().add(128 * part);
            let low = _mm512_loadu_si512(from.cast());
            let high = _mm512_loadu_si512(from.add(64).cast());
            let here = _mm512_mask_cmpeq_epi8_mask(second, pair, splat(2 * part as u8));
            let found = _mm512_permutex2var_epi8(low, index, high);
            rows = _mm512_mask_mov_epi8(rows, here, found);
        }
        *three &= !(_mm512_mask_cmpeq_epi8_mask(second, rows, splat(BROKEN)) >> 1);
        rows
    }
}

/// Adds to `classes` those of the characters of two and three bytes, each at its last byte.
#[inline(always)]
unsafe fn classes_of_some(
    v: __m512i,
    text: *const u8,
    found: &mut Sequences,
    recent: &mut Recent,
    classes: __m512i,
) -> __m512i {
    // SAFETY: the level's features; rows by the range of the tables' entries.
    unsafe {
        let first_rows = load(ROW_OF.first_chunk().expect("it has 1,024"));
        let mut rows = _mm512_maskz_permutexvar_epi8(found.two, v, first_rows);
        if found.three != 0 {
            rows = rows_of_three(v, &mut found.three, rows);
        }
        let last = found.two << 1 | found.three << 2;
        let rows = _mm512_maskz_permutexvar_epi8(last, load(&BACK), rows);
        let mut classes = _mm512_mask_permutexvar_epi8(classes, last, rows, load(&CLASS_OF_ROW));
        let mut todo = _mm512_mask_cmpge_epu8_mask(last, rows, splat(UNIFORM));
        for row in recent.rows {
            let here = _mm512_mask_cmpeq_epi8_mask(last, rows, splat(row));
            let row = load(&ROWS[usize::from(row)]);
            classes = _mm512_mask_permutexvar_epi8(classes, here, v, row);
            todo &= !here;
        }
        for _ in 0..TURNS {
            if todo == 0 {
                return classes;
            }
            let row = _mm512_cvtsi512_si32(_mm512_maskz_compress_epi8(todo, rows)) as u8;
            let here = _mm512_mask_cmpeq_epi8_mask(last, rows, splat(row));
            let table = load(&ROWS[usize::from(row)]);
            classes = _mm512_mask_permutexvar_epi8(classes, here, v, table);
            todo &= !here;
            recent.rows[recent.oldest % RECENT] = row;
            recent.oldest += 1;
        }
        if todo != 0 {
            let mut list = [0u8; BLOCK];
            _mm512_storeu_si512(list.as_mut_ptr().cast(), rows);
            classes = one_by_one(classes, todo, text, |at| &ROWS[usize::from(list[at])]);
        }
        classes
    }
}

/// Turns of a loop over what differs among the characters of a block, before the rest of them are
/// taken one by one.
const TURNS: usize = 4;

/// Adds the classes of the characters whose last bytes are at `todo`, from the rows that `row_of`
/// gives for those places.
#[inline(always)]
unsafe fn one_by_one(
    classes: __m512i,
    mut todo: u64,
    text: *const u8,
    row_of: impl Fn(usize) -> &'static [u8; 64],
) -> __m512i {
    let mut list = [0u8; BLOCK];
    // SAFETY: the array has 64 bytes; `todo` has bits of bytes of the text only.
    unsafe {
        _mm512_storeu_si512(list.as_mut_ptr().cast(), classes);
        while todo != 0 {
            let at = todo.trailing_zeros() as usize;
            list[at] = row_of(at)[usize::from(*text.add(at) & 63)];
            todo &= todo - 1;
        }
        load(&list)
    }
}

/// Adds the classes of characters of four bytes: one turn for each that differs in its first three.
#[inline(always)]
unsafe fn classes_of_four(
    v: __m512i,
    text: *const u8,
    mut todo: u64,
    mut classes: __m512i,
) -> __m512i {
    // SAFETY: `todo` has bits of bytes of the text only, each with three more after it.
    unsafe {
        for _ in 0..TURNS {
            if todo == 0 {
                return classes;
            }
            let from = text.add(todo.trailing_zeros() as usize);
            let bytes = from.cast::<[u8; 3]>().read();
            let same = todo
                & _mm512_cmpeq_epi8_mask(v, splat(bytes[0]))
                & _mm512_cmpeq_epi8_mask(v, splat(bytes[1])) >> 1
                & _mm512_cmpeq_epi8_mask(v, splat(bytes[2])) >> 2;
            let row = load(class::row_of_four(bytes));
            classes = _mm512_mask_permutexvar_epi8(classes, same << 3, v, row);
            todo &= !same;
        }
        if todo == 0 {
            return classes;
        }
        one_by_one(classes, todo << 3, text, |at| {
            class::row_of_four(text.add(at - 3).cast::<[u8; 3]>().read())
        })
    }
}

impl Backend for Avx512 {
    type Places = Places;
    type Memory = Recent;

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
    unsafe fn mixed<R: Rules>(text: &[u8], recent: &mut Recent) -> (Planes, Places, usize) {
        // SAFETY: the mask keeps the load inside the text; the features by the contract.
        unsafe {
            let from = text.as_ptr();
            let v = _mm512_maskz_loadu_epi8(low(text.len().min(BLOCK) as u32), from.cast());
            let ascii = !_mm512_movepi8_mask(v);
            let mut found = sequences(v, text.len());
            let mut classes = look_up(ascii, v, &class::ASCII);
            if found.two | found.three != 0 {
                classes = classes_of_some(v, from, &mut found, recent, classes);
            }
            classes = classes_of_four(v, from, found.four, classes);
            let Sequences { two, three, four, bytes } = found;
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
