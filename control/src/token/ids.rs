//! Ids as text, JSON or words.

use std::io::Write as _;

use super::IdFormat;
use crate::failure::Failure;

/// Appends `ids` to `out`; `first` for the first ones of all.
pub(super) fn write(format: IdFormat, ids: &[u32], first: bool, out: &mut Vec<u8>) {
    match format {
        IdFormat::U32 => ids.iter().for_each(|id| out.extend_from_slice(&id.to_le_bytes())),
        // Writing to a Vec cannot fail.
        IdFormat::Ids => ids.iter().for_each(|id| drop(writeln!(out, "{id}"))),
        IdFormat::Json => {
            for (at, id) in ids.iter().enumerate() {
                let comma = if first && at == 0 { "" } else { "," };
                drop(write!(out, "{comma}{id}"));
            }
        }
    }
}

/// What stands before the first and behind the last id.
pub(super) const fn brackets(format: IdFormat) -> (&'static str, &'static str) {
    match format {
        IdFormat::Json => ("[", "]\n"),
        IdFormat::Ids | IdFormat::U32 => ("", ""),
    }
}

/// Reads all ids of `input`. Decimal ids may stand between any blanks; JSON is a list, or lines of
/// lists or of objects whose `ids` is one, as `pfs run --ids json:-` writes them.
///
/// # Errors
/// What is no id, and where.
pub(super) fn read(format: IdFormat, input: &[u8]) -> Result<Vec<u32>, Failure> {
    match format {
        IdFormat::U32 => words(input),
        IdFormat::Ids => decimal(input),
        IdFormat::Json => json(input),
    }
}

fn words(input: &[u8]) -> Result<Vec<u32>, Failure> {
    let (words, rest) = input.as_chunks::<4>();
    if !rest.is_empty() {
        let bytes = input.len();
        let message = format!("{bytes} bytes are no ids of 4 bytes each; is this --format ids?");
        return Err(Failure::failed(message));
    }
    Ok(words.iter().map(|word| u32::from_le_bytes(*word)).collect())
}

fn decimal(input: &[u8]) -> Result<Vec<u32>, Failure> {
    let number = |word: &[u8]| std::str::from_utf8(word).ok()?.parse::<u32>().ok();
    let mut ids = Vec::new();
    for (line, text) in (1..).zip(input.split(|&byte| byte == b'\n')) {
        for word in text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
            ids.push(number(word).ok_or_else(|| {
                let word = word[..word.len().min(40)].escape_ascii();
                Failure::failed(format!("line {line}: `{word}` is no id; see --format"))
            })?);
        }
    }
    Ok(ids)
}

fn json(input: &[u8]) -> Result<Vec<u32>, Failure> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Line {
        List(Vec<u32>),
        Record { ids: Vec<u32> },
    }
    let mut all = Vec::new();
    for line in serde_json::Deserializer::from_slice(input).into_iter::<Line>() {
        let line =
            line.map_err(|error| Failure::failed(format!("reading ids as JSON: {error}")))?;
        let (Line::List(ids) | Line::Record { ids }) = line;
        all.extend(ids);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_from_every_format() {
        let ids = [0, 7, 199_999, u32::MAX];
        for format in [IdFormat::Ids, IdFormat::Json, IdFormat::U32] {
            let (open, close) = brackets(format);
            let mut text = open.as_bytes().to_vec();
            write(format, &ids[..2], true, &mut text);
            write(format, &[], false, &mut text);
            write(format, &ids[2..], false, &mut text);
            text.extend_from_slice(close.as_bytes());
            assert_eq!(read(format, &text).unwrap(), ids, "{format:?}");
            assert!(read(format, b"").unwrap().is_empty(), "{format:?}");
        }
        let lines = b"{\"time_ns\":1,\"ids\":[1,2]}\n{\"ids\":[3]}\n[4]\n";
        assert_eq!(read(IdFormat::Json, lines).unwrap(), [1, 2, 3, 4]);
    }

    #[test]
    fn what_is_no_id_is_named() {
        let error = |format, text: &[u8]| read(format, text).unwrap_err().to_string();
        assert!(error(IdFormat::Ids, b"1 2\n3 x\xff\n").contains("line 2: `x\\xff`"));
        assert!(error(IdFormat::Ids, b"4294967296").contains("4294967296"));
        assert!(error(IdFormat::U32, b"12345").contains("5 bytes"));
        assert!(error(IdFormat::Json, b"[1,-2]").contains("JSON"));
    }
}
