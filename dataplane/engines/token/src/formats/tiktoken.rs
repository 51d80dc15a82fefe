//! `.tiktoken`: one token a line, its bytes in base64, a space, its rank, which is its id.
//!
//! The file says neither how text is cut nor which special tokens there are. Those of a shipped
//! vocabulary are known by its name; others need a [`Grammar`] from the caller.

use std::io::Write;

use super::FormatError;
use crate::vocab::{Grammar, Mode, Ranks, Special, Unknown, VocabSource};

/// Name of the format in messages.
pub(crate) const FORMAT: &str = ".tiktoken";

/// Reads a rank list for byte-pair encoding.
///
/// Lines may stand in any order and end in CR LF; empty lines are skipped.
///
/// # Errors
/// [`FormatError::Line`] for a line that is not base64, one space and a number;
/// [`FormatError::Source`] for repeated ids or tokens, or a byte without a token.
pub fn read(
    text: &[u8],
    name: &str,
    grammar: Grammar,
    specials: Vec<Special>,
) -> Result<VocabSource, FormatError> {
    let mut tokens = Vec::with_capacity(text.len() / 16);
    let mut sorted = true;
    for (at, line) in text.split(|&b| b == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let (id, bytes) = entry(line).map_err(|cause| FormatError::Line {
            format: FORMAT,
            line: at + 1,
            cause: cause.to_owned(),
        })?;
        sorted &= tokens.last().is_none_or(|(last, _)| *last < id);
        tokens.push((id, bytes));
    }
    if !sorted {
        tokens.sort_by_key(|(id, _)| *id);
    }
    let source = VocabSource {
        name: name.to_owned(),
        mode: Mode::Bpe,
        tokens,
        ranks: Ranks::ById,
        whole_piece_first: true,
        grammar,
        specials,
        unknown: Unknown::AddBytes,
    };
    source.check().map_err(|source| FormatError::Source { format: FORMAT, source })?;
    Ok(source)
}

/// The rank list of a vocabulary; byte for byte the file that a shipped one came from.
///
/// # Errors
/// [`FormatError::Unsupported`] unless the tokens' ids are their ranks in byte-pair encoding.
pub fn write(source: &VocabSource) -> Result<Vec<u8>, FormatError> {
    let found = match (source.mode, &source.ranks, source.whole_piece_first) {
        (Mode::Greedy, ..) => "longest match",
        (_, Ranks::Merges(_), _) => "a list of merges apart from the ids",
        (_, _, false) => "merging pieces that are tokens",
        (Mode::Bpe, Ranks::ById, true) => return Ok(lines(source)),
    };
    let supported = "it holds byte-pair ranks that are ids; write .v3 instead";
    Err(FormatError::Unsupported { format: FORMAT, found: found.into(), supported })
}

fn lines(source: &VocabSource) -> Vec<u8> {
    let mut out = Vec::with_capacity(source.tokens.len() * 18);
    for (id, bytes) in &source.tokens {
        encode(bytes, &mut out);
        // Writing to memory cannot fail.
        let _ = writeln!(out, " {id}");
    }
    out
}

/// Whether `start`, the first bytes of a file, can be a rank list: base64, a space, a number, a line
/// break.
pub(crate) fn looks_like(start: &[u8]) -> bool {
    let line = start.split(|&b| b == b'\n').next().unwrap_or_default();
    entry(line.strip_suffix(b"\r").unwrap_or(line)).is_ok()
}

fn entry(line: &[u8]) -> Result<(u32, Vec<u8>), &'static str> {
    let space = line.iter().rposition(|&b| b == b' ').ok_or("no space before the rank")?;
    let (token, rank) = (&line[..space], &line[space + 1..]);
    if rank.is_empty() || rank.len() > 9 || !rank.iter().all(u8::is_ascii_digit) {
        return Err("the rank is not a number of 1 to 9 digits");
    }
    let id = rank.iter().fold(0, |n, &digit| n * 10 + u32::from(digit - b'0'));
    Ok((id, decode(token).ok_or("the token is not base64 (RFC 4648, padded)")?))
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Value of each base64 digit; 64 for what is none.
const VALUES: [u8; 256] = {
    let mut values = [64; 256];
    let mut at = 0;
    while at < 64 {
        values[DIGITS[at] as usize] = at as u8;
        at += 1;
    }
    values
};

/// RFC 4648 base64, padded; `None` unless it is the only spelling of what it decodes to.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take(2).take_while(|&&b| b == b'=').count();
    let digits = &text[..text.len() - padding];
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for &digit in group {
            let value = VALUES[usize::from(digit)];
            if value == 64 {
                return None;
            }
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        let bytes = group.len() * 6 / 8;
        let [_, whole @ ..] = bits.to_be_bytes();
        if whole[bytes..].iter().any(|&b| b != 0) {
            return None;
        }
        out.extend_from_slice(&whole[..bytes]);
    }
    Some(out)
}

fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    for group in bytes.chunks(3) {
        let mut padded = [0; 3];
        padded[..group.len()].copy_from_slice(group);
        let bits = padded.iter().fold(0usize, |n, &b| n << 8 | usize::from(b));
        for place in 0..4 {
            let digit = DIGITS[bits >> (18 - 6 * place) & 63];
            out.push(if place <= group.len() { digit } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::SourceError;

    fn bytes_list() -> Vec<u8> {
        let tokens = (0..=255u8).map(|b| (u32::from(b), vec![b])).collect();
        let name = "test".to_owned();
        lines(&VocabSource {
            name,
            mode: Mode::Bpe,
            tokens,
            ranks: Ranks::ById,
            whole_piece_first: true,
            grammar: Grammar::Whole,
            specials: vec![],
            unknown: Unknown::AddBytes,
        })
    }

    fn with(line: &[u8]) -> Result<VocabSource, FormatError> {
        read(&[&bytes_list(), line].concat(), "test", Grammar::R50k, vec![])
    }

    #[test]
    fn base64_is_read_as_rfc_4648_writes_it_and_no_other_way() {
        let vectors: [(&[u8], &[u8]); 7] = [
            (b"", b""),
            (b"f", b"Zg=="),
            (b"fo", b"Zm8="),
            (b"foo", b"Zm9v"),
            (b"foob", b"Zm9vYg=="),
            (b"fooba", b"Zm9vYmE="),
            (b"foobar", b"Zm9vYmFy"),
        ];
        for (plain, coded) in vectors {
            let mut out = Vec::new();
            encode(plain, &mut out);
            assert_eq!(out, coded);
            assert_eq!(decode(coded).as_deref(), Some(plain));
        }
        for bad in ["Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm 9", "Zg==Zg==", "Zm9vé"] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn lines_in_any_order_are_sorted_and_written_back() {
        let source = with(b"\r\nYWI= 300\r\nYWM= 299\n").unwrap();
        assert_eq!(source.tokens[256..], [(299, b"ac".to_vec()), (300, b"ab".to_vec())]);
        let again = read(&write(&source).unwrap(), "test", Grammar::R50k, vec![]).unwrap();
        assert_eq!(again, source);
    }

    #[test]
    fn bad_lines_are_named() {
        for bad in ["YWI=", "YWI= x", "YWI= ", "YWI= 4294967296", "YWI 300", "YWI= -1"] {
            let error = with(bad.as_bytes()).unwrap_err();
            assert!(matches!(error, FormatError::Line { line: 257, .. }), "{bad}: {error}");
        }
        type Case<'a> = (&'a [u8], fn(&SourceError) -> bool);
        let cases: [Case<'_>; 4] = [
            (b"YQ== 300", |e| matches!(e, SourceError::Duplicate { first: 97, .. })),
            (b"YWI= 97", |e| matches!(e, SourceError::Order { id: 97 })),
            (b"YWI= 99999999", |e| matches!(e, SourceError::Id { id: 99_999_999 })),
            (b" 300", |e| matches!(e, SourceError::Length { bytes: 0, .. })),
        ];
        for (line, expected) in cases {
            let error = with(line).unwrap_err();
            let FormatError::Source { source, .. } = &error else { panic!("{error}") };
            assert!(expected(source), "{error}");
        }
        assert!(read(b"", "test", Grammar::R50k, vec![]).is_err());
    }

    #[test]
    fn a_list_cut_anywhere_is_refused_or_lacks_only_what_was_cut() {
        let list = bytes_list();
        for len in 0..list.len() - 1 {
            assert!(read(&list[..len], "test", Grammar::R50k, vec![]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn only_rank_lists_can_be_written() {
        let mut source = with(b"").unwrap();
        source.mode = Mode::Greedy;
        assert!(matches!(write(&source), Err(FormatError::Unsupported { .. })));
    }
}
