//! The bytes of a cold tree's column of codes: nodes, and what stands between them.
//!
//! | byte | |
//! |---|---|
//! | 0..=145 | a node of this number, no measured leaf |
//! | 146 | a node of a higher number, which stands elsewhere |
//! | 147 | the gap before the leaf that comes is not the usual one |
//! | 148..=159 | behind a leaf: 1 to 12 inner nodes end with it, and again for more |
//! | 160..=254 | a measured leaf of this number less 160 |
//! | 255 | a measured leaf of a higher number |

use crate::languages::{Code, SymbolId};
use crate::varint::Rest;

pub(super) const ODD_GAP: u8 = 147;
const ESCAPE: u8 = ODD_GAP - 1;
const EXIT: u8 = ODD_GAP + 1;
const EXITS: u8 = Code::MEASURED - EXIT;
const MEASURED_ESCAPE: u8 = u8::MAX;
/// Stands for the leaf before where none is known; no leaf has it.
pub(crate) const NO_LEAF: u8 = ODD_GAP;

/// The byte of a node.
#[inline]
pub(crate) fn code_of(id: SymbolId) -> u8 {
    let (first, escape) = match id.is_measured_leaf() {
        true => (Code::MEASURED, MEASURED_ESCAPE),
        false => (0, ESCAPE),
    };
    if id.index() < u16::from(escape - first) { first + id.index() as u8 } else { escape }
}

/// The symbol's number stands elsewhere.
#[inline]
pub(crate) const fn is_escape(code: u8) -> bool {
    matches!(code, ESCAPE | MEASURED_ESCAPE)
}

/// The number that a byte names by itself.
pub(crate) const fn id_of(code: u8) -> Option<SymbolId> {
    if code < ESCAPE {
        return Some(SymbolId::new(false, code as u16));
    }
    let measured = code >= Code::MEASURED && code != MEASURED_ESCAPE;
    if measured { Some(SymbolId::new(true, (code - Code::MEASURED) as u16)) } else { None }
}

/// Appends that inner nodes end.
#[inline]
pub(super) fn push_exits(codes: &mut Vec<u8>, mut count: u32) {
    while count > 0 {
        let some = count.min(u32::from(EXITS));
        codes.push(EXIT + some as u8 - 1);
        count -= some;
    }
}

/// Whether a byte is a leaf whose length is stored.
pub(super) const fn is_measured(code: u8) -> bool {
    code >= Code::MEASURED
}

/// How many inner nodes end by this byte, if it says such.
pub(super) const fn exits_of(code: u8) -> Option<u8> {
    if code >= EXIT && code < Code::MEASURED { Some(code - EXIT + 1) } else { None }
}

/// How many inner nodes end here.
#[inline]
pub(super) fn take_exits(codes: &mut Rest<'_>) -> u32 {
    let mut count = 0;
    while let Some(more) = codes.0.first().and_then(|code| exits_of(*code)) {
        count += u32::from(more);
        codes.0 = &codes.0[1..];
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_exits_come_back() {
        for measured in [false, true] {
            for index in 0..300 {
                let id = SymbolId::new(measured, index);
                let code = code_of(id);
                let told = if is_escape(code) { None } else { Some(id) };
                assert_eq!(id_of(code), told);
                assert!(!(ODD_GAP..Code::MEASURED).contains(&code));
            }
        }
        for count in [0, 1, 11, 12, 13, 24, 25, 100_000] {
            let mut codes = Vec::new();
            push_exits(&mut codes, count);
            codes.push(0);
            let mut rest = Rest(&codes);
            assert_eq!((take_exits(&mut rest), rest.0.len()), (count, 1));
        }
    }
}
