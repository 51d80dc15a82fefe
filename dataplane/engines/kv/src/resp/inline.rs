//! Requests that are a line of words, for people with a terminal.

use super::{ProtocolError, Span};

/// Splits `line` (without its LF) at blanks; a word may stand in single or double quotes, with blanks
/// within. The words' ranges, moved by `base`, are added to `words`.
///
/// # Errors
/// [`ProtocolError::Quotes`], and [`ProtocolError::Escape`] for a backslash within double quotes: what it
/// stands for is not a range of the line.
pub(super) fn split_words(
    line: &[u8],
    base: usize,
    words: &mut Vec<Span>,
) -> Result<(), ProtocolError> {
    let mut at = 0;
    while at < line.len() {
        let byte = line[at];
        if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let (from, len, next) = if byte == b'"' || byte == b'\'' {
            let len = quoted(&line[at + 1..], byte)?;
            (at + 1, len, at + len + 2)
        } else {
            let len = bare(&line[at..])?;
            (at, len, at + len)
        };
        words.push(Span::new(base + from, len));
        at = next;
    }
    Ok(())
}

/// Length of a word without quotes.
fn bare(rest: &[u8]) -> Result<usize, ProtocolError> {
    let len = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
    match memchr::memchr2(b'"', b'\'', &rest[..len]) {
        Some(_) => Err(ProtocolError::Quotes),
        None => Ok(len),
    }
}

/// Length of a word in quotes, from behind the first to before the second.
fn quoted(rest: &[u8], quote: u8) -> Result<usize, ProtocolError> {
    let len = memchr::memchr(quote, rest).ok_or(ProtocolError::Quotes)?;
    if memchr::memchr(b'\\', &rest[..len]).is_some() {
        return Err(ProtocolError::Escape);
    }
    match rest.get(len + 1) {
        Some(byte) if !byte.is_ascii_whitespace() => Err(ProtocolError::Quotes),
        _ => Ok(len),
    }
}
