//! AVX2: the ASCII classes by comparison; other characters one by one.

use std::arch::x86_64::*;

use crate::split::backend::{BLOCK, Backend, Scan, blocks, scan};
use crate::split::class::{EITHER, LETTER, LOWER, NEWLINE, NUMBER, SPACE, UPPER};
use crate::split::planes::{APOSTROPHE, BLANK, EE, EL, Planes, SDMT, SLASH, VR};
use crate::split::portable::{self, Places};
use crate::split::rules::Rules;

/// The backend of this level.
#[derive(Clone, Copy, Debug)]
struct Avx2;

/// The loop over a text, compiled for this level.
///
/// # Safety
/// AVX2, BMI1, BMI2, LZCNT and POPCNT must be available.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(in crate::split) unsafe fn run<R: Rules>(
    rules: R,
    text: &[u8],
    last: bool,
    at: &mut Scan,
    ends: &mut Vec<u32>,
) {
    // SAFETY: the features are those that the backend asks for.
    unsafe { scan::<Avx2, R>(rules, text, last, at, ends, some_blocks::<R>) }
}

/// The loop's part for other blocks than ASCII.
///
/// # Safety
/// As of [`run`].
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline(never)]
unsafe fn some_blocks<R: Rules>(
    rules: R,
    text: &[u8],
    last: bool,
    at: &mut Scan,
    ends: &mut Vec<u32>,
    memory: &mut <Avx2 as Backend>::Memory,
) -> bool {
    // SAFETY: the features are those that the backend asks for.
    unsafe { blocks::<Avx2, R>(rules, text, last, at, ends, memory) }
}

/// 64 bytes.
type Pair = [__m256i; 2];

#[inline(always)]
unsafe fn load(from: *const u8) -> Pair {
    // SAFETY: 64 bytes are readable by the contract of the caller.
    unsafe { [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast())] }
}

/// The same operation on both halves. (Closures would not have the level's features.)
macro_rules! both {
    ($pair:expr, $v:ident => $result:expr) => {{
        let [low, high] = $pair;
        let low = {
            let $v = low;
            $result
        };
        let high = {
            let $v = high;
            $result
        };
        [low, high]
    }};
}

/// The top bit of each byte.
#[inline(always)]
unsafe fn mask(v: Pair) -> u64 {
    // SAFETY: the level's features, by the contract of the caller.
    let [low, high] = unsafe { both!(v, v => _mm256_movemask_epi8(v) as u32) };
    u64::from(low) | u64::from(high) << 32
}

/// Which bytes equal `byte`.
#[inline(always)]
unsafe fn is(v: Pair, byte: u8) -> u64 {
    // SAFETY: the level's features, by the contract of the caller.
    unsafe { mask(both!(v, v => _mm256_cmpeq_epi8(v, _mm256_set1_epi8(byte as i8)))) }
}

/// Which bytes are in `from..=from + span`.
#[inline(always)]
unsafe fn within(v: Pair, from: u8, span: u8) -> u64 {
    // SAFETY: the level's features, by the contract of the caller.
    unsafe {
        mask(both!(v, v => {
            let v = _mm256_sub_epi8(v, _mm256_set1_epi8(from as i8));
            _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(span as i8)), v)
        }))
    }
}

/// Which bytes have the bit `1 << BIT`, with `UP` = 7 - `BIT`.
#[inline(always)]
unsafe fn bit<const UP: i32>(v: Pair) -> u64 {
    // SAFETY: the level's features, by the contract of the caller.
    unsafe { mask(both!(v, v => _mm256_slli_epi16::<UP>(v))) }
}

/// Classes of the letters of contractions by the low half of a byte; by the high half, which of
/// them it can be. Bits: 7 `l`, 6 `v r`, 5 `e`, 4 `d m`, 3 `s t`.
const LOW: [u8; 16] =
    [0, 0, 1 << 6, 1 << 3, 3 << 3, 1 << 5, 1 << 6, 0, 0, 0, 0, 0, 1 << 7, 1 << 4, 0, 0];
const HIGH: [u8; 16] =
    [0, 0, 0, 0, 0, 0, 1 << 7 | 1 << 5 | 1 << 4, 1 << 6 | 1 << 3, 0, 0, 0, 0, 0, 0, 0, 0];

/// Fills in the letters of contractions.
#[inline(always)]
unsafe fn contractions(v: Pair, planes: &mut Planes) {
    // SAFETY: 16 bytes are readable at each table; the features by the contract of the caller.
    unsafe {
        let low = _mm256_broadcastsi128_si256(_mm_loadu_si128(LOW.as_ptr().cast()));
        let high = _mm256_broadcastsi128_si256(_mm_loadu_si128(HIGH.as_ptr().cast()));
        let kinds = both!(v, v => {
            let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(v), _mm256_set1_epi8(15));
            _mm256_and_si256(_mm256_shuffle_epi8(low, v), _mm256_shuffle_epi8(high, upper))
        });
        planes.el = bit::<0>(kinds);
        planes.vr = bit::<1>(kinds);
        planes.ee = bit::<2>(kinds);
        planes.sdmt = bit::<3>(kinds) | bit::<4>(kinds);
    }
}

impl Backend for Avx2 {
    type Places = Places;
    type Memory = ();

    #[inline(always)]
    unsafe fn ascii<R: Rules>(from: *const u8) -> Option<Planes> {
        // SAFETY: 64 bytes are readable by the contract; so are the features there.
        unsafe {
            let v = load(from);
            if mask(v) != 0 {
                return None;
            }
            let folded = both!(v, v => _mm256_or_si256(v, _mm256_set1_epi8(0x20)));
            let mut planes = Planes {
                n: BLOCK as u32,
                letter: within(folded, b'a', 25),
                number: within(v, b'0', 9),
                newline: is(v, b'\n') | is(v, b'\r'),
                apostrophe: is(v, b'\''),
                blank: is(v, b' '),
                ..Planes::default()
            };
            planes.space = planes.blank | within(v, b'\t', 4);
            contractions(if R::FOLD { folded } else { v }, &mut planes);
            if R::CASE {
                planes.upper = within(v, b'A', 25);
                planes.lower = planes.letter & !planes.upper;
                planes.slash = is(v, b'/');
            }
            Some(planes)
        }
    }

    #[inline(always)]
    unsafe fn mixed<R: Rules>(text: &[u8], (): &mut ()) -> (Planes, Places, usize) {
        let (block, places, n, bytes) = portable::decode::<R>(text, BLOCK);
        // SAFETY: each array has 64 bytes; the features are there by the contract.
        let planes = unsafe {
            let (classes, signs) = (load(block.classes.as_ptr()), load(block.signs.as_ptr()));
            const { assert!(LETTER == 1 && NUMBER == 2 && SPACE == 4 && NEWLINE == 128) };
            const { assert!(UPPER == 8 && LOWER == 16 && EITHER == 32) };
            const { assert!(SDMT == 1 && EL == 2 && VR == 4 && EE == 8) };
            const { assert!(APOSTROPHE == 16 && BLANK == 32 && SLASH == 64) };
            Planes {
                n,
                letter: bit::<7>(classes),
                number: bit::<6>(classes),
                space: bit::<5>(classes),
                upper: bit::<4>(classes),
                lower: bit::<3>(classes),
                either: bit::<2>(classes),
                newline: bit::<0>(classes),
                sdmt: bit::<7>(signs),
                el: bit::<6>(signs),
                vr: bit::<5>(signs),
                ee: bit::<4>(signs),
                apostrophe: bit::<3>(signs),
                blank: bit::<2>(signs),
                slash: bit::<1>(signs),
            }
        };
        (planes, places, bytes)
    }

    #[inline(always)]
    fn place(places: &Places, at: u32) -> usize {
        places.of(at)
    }

    #[inline(always)]
    unsafe fn indices(starts: u64, base: u32, to: *mut u32) -> usize {
        // SAFETY: 64 words by the contract.
        unsafe { portable::indices(starts, base, to) }
    }

    #[inline(always)]
    unsafe fn places(starts: u64, places: &Places, base: u32, to: *mut u32) -> usize {
        // SAFETY: 64 words by the contract.
        unsafe { places.write(starts, base, to) }
    }
}
