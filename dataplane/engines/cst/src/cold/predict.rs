//! Where a leaf begins and ends, guessed from the source: with that at hand, only wrong guesses
//! are stored. A change here changes the format.

/// Bytes from `at` to the next leaf: white space.
#[inline]
pub(super) fn gap(source: &[u8], at: usize) -> u32 {
    let rest = source.get(at..).unwrap_or_default();
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'\x0c');
    rest.iter().take_while(|byte| blank(byte)).count() as u32
}

/// Bytes of the leaf at `start` whose length its kind does not tell: a word; behind a quote up to
/// the next or a backslash; a comment up to its line's end, its text with the line feed.
#[inline]
pub(super) fn length(source: &[u8], start: usize) -> u32 {
    let rest = source.get(start..).unwrap_or_default();
    let Some(first) = rest.first() else { return 0 };
    let before = start.checked_sub(1).map_or(0, |at| source[at]);
    let len = match (before, first) {
        (b'"' | b'\'' | b'`', _) => rest.iter().position(|byte| *byte == before || *byte == b'\\'),
        (b'/' | b'!', _) => rest.iter().position(|byte| *byte == b'\n').map(|at| at + 1),
        (_, b'/' | b'#') => rest.iter().position(|byte| *byte == b'\n'),
        _ => rest.iter().position(|byte| !is_word(*byte)),
    };
    len.unwrap_or(rest.len()) as u32
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}
