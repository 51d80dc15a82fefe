//! Bytes as people write and read them: as they are, with escapes, in hexadecimal digits.

use clap::ValueEnum;

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// As they are; a terminal gets a line's end behind them.
    Raw,
    /// Escapes \\ \t \n \r \xHH for what is no printable UTF-8.
    Escape,
    /// Two hexadecimal digits each.
    Hex,
}

impl Form {
    /// The bytes that `given` stands for.
    ///
    /// # Errors
    /// What is wrong, in one sentence.
    pub(crate) fn read(self, given: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::Raw => Ok(given.to_vec()),
            Self::Escape => unescape(given),
            Self::Hex => unhex(given),
        }
    }

    /// Appends `bytes` to `out`.
    pub(crate) fn write(self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Raw => out.extend_from_slice(bytes),
            Self::Escape => escape(bytes, out),
            Self::Hex => hex(bytes, out),
        }
    }
}

/// Appends `bytes` in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}

/// The bytes of pairs of hexadecimal digits.
///
/// # Errors
/// What is wrong, in one sentence.
pub(crate) fn unhex(digits: &[u8]) -> Result<Vec<u8>, String> {
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(format!("{} hexadecimal digits are no whole bytes", digits.len()));
    }
    pairs.iter().map(|pair| byte_of(*pair)).collect()
}

fn byte_of([high, low]: [u8; 2]) -> Result<u8, String> {
    let value = |digit: u8| {
        let found = char::from(digit).to_digit(16).map(|value| value as u8);
        found.ok_or_else(|| format!("`{}` is no hexadecimal digit", digit.escape_ascii()))
    };
    Ok(value(high)? << 4 | value(low)?)
}

/// Appends `bytes` with escapes for backslashes, control characters and what is no UTF-8.
pub(crate) fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for part in bytes.utf8_chunks() {
        for letter in part.valid().chars() {
            match letter {
                '\\' => out.extend_from_slice(b"\\\\"),
                '\t' => out.extend_from_slice(b"\\t"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                _ if letter.is_control() => {
                    letter.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| escape_byte(byte, out));
                }
                _ => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        part.invalid().iter().for_each(|&byte| escape_byte(byte, out));
    }
}

fn escape_byte(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\x");
    hex(&[byte], out);
}

/// The bytes that `text` with escapes stands for.
///
/// # Errors
/// What is wrong, in one sentence.
pub(crate) fn unescape(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        if byte != b'\\' {
            bytes.push(byte);
            rest = behind;
            continue;
        }
        let (byte, taken) = escaped(behind)?;
        bytes.push(byte);
        rest = behind.get(taken..).unwrap_or_default();
    }
    Ok(bytes)
}

/// The byte that the escape whose backslash is before `text` stands for, and its length.
fn escaped(text: &[u8]) -> Result<(u8, usize), String> {
    match *text {
        [b'x', high, low, ..] => Ok((byte_of([high, low])?, 3)),
        [b'n', ..] => Ok((b'\n', 1)),
        [b't', ..] => Ok((b'\t', 1)),
        [b'r', ..] => Ok((b'\r', 1)),
        [letter @ (b'\\' | b'"' | b'\''), ..] => Ok((letter, 1)),
        [other, ..] => Err(format!(
            "`\\{}` is no escape; there are \\\\ \\t \\n \\r \\xHH",
            other.escape_ascii()
        )),
        [] => Err("a backslash at the end escapes nothing".to_owned()),
    }
}

/// The words of a line: split at blanks; within `"` blanks and escapes count, within `'` blanks.
///
/// # Errors
/// What is wrong, in one sentence.
pub(crate) fn words(line: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii();
    while let Some(&first) = rest.first() {
        let mut word = Vec::new();
        if first == b'"' || first == b'\'' {
            rest = quoted(&rest[1..], first, &mut word)?;
            if rest.first().is_some_and(|next| !next.is_ascii_whitespace()) {
                return Err("a closing quote is followed by no blank".to_owned());
            }
        } else {
            let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
            word.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
        }
        words.push(word);
        rest = rest.trim_ascii_start();
    }
    Ok(words)
}

/// Reads up to the closing quote; what is behind it.
fn quoted<'a>(text: &'a [u8], quote: u8, word: &mut Vec<u8>) -> Result<&'a [u8], String> {
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte == quote {
            return Ok(rest);
        }
        if byte == b'\\' && quote == b'"' {
            let (byte, taken) = escaped(rest)?;
            word.push(byte);
            rest = rest.get(taken..).unwrap_or_default();
        } else {
            word.push(byte);
        }
    }
    Err(format!("a {} is not closed", char::from(quote)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_come_back() {
        let all: Vec<u8> = (0..=255).chain("äö\u{85}\u{2028}\\x41".bytes()).collect();
        for form in [Form::Raw, Form::Escape, Form::Hex] {
            let mut text = Vec::new();
            form.write(&all, &mut text);
            assert_eq!(form.read(&text).unwrap(), all, "{form:?}");
            assert!(form == Form::Raw || !text.contains(&b'\n') && !text.contains(&b'\t'));
        }
        let mut text = Vec::new();
        escape("ä\n\u{1b}".as_bytes(), &mut text);
        assert_eq!(text, "ä\\n\\x1b".as_bytes());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (form, text, why) in [
            (Form::Hex, "abc", "no whole bytes"),
            (Form::Hex, "zz", "`z` is no hexadecimal digit"),
            (Form::Escape, "a\\", "escapes nothing"),
            (Form::Escape, "\\q", "`\\q` is no escape"),
            (Form::Escape, "\\x4", "no escape"),
            (Form::Escape, "\\xg0", "no hexadecimal digit"),
        ] {
            assert!(form.read(text.as_bytes()).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn words_may_be_quoted() {
        let found = words(br#"  SET "a \"b\x00" 'c\d' e"f "" "#).unwrap();
        let expected: [&[u8]; 5] = [b"SET", b"a \"b\0", b"c\\d", b"e\"f", b""];
        assert_eq!(found, expected);
        for bad in ["\"a", "'a", "\"a\"b", "\"\\q\""] {
            assert!(words(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(words(b" \t ").unwrap().is_empty());
    }
}
