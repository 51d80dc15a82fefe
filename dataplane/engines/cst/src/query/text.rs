//! A query's text, read from left to right.

use super::error::{QueryError, Wrong};

/// Where reading stands in a query's text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'q> {
    bytes: &'q [u8],
    pub(super) at: usize,
}

impl<'q> Text<'q> {
    pub(super) fn new(text: &'q str) -> Self {
        Self { bytes: text.as_bytes(), at: 0 }
    }

    pub(super) fn next(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn error(&self, offset: usize, what: Wrong) -> QueryError {
        QueryError::new(self.bytes, offset, what)
    }

    pub(super) fn expected<T>(&self, what: &'static str) -> Result<T, QueryError> {
        Err(self.error(self.at, Wrong::Expected(what)))
    }

    /// Goes on behind `byte`, if it is next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let there = self.next() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Goes on behind white space and comments.
    pub(super) fn skip_blank(&mut self) {
        while let Some(byte) = self.next() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => self.at += 1,
                b';' => {
                    let rest = &self.bytes[self.at..];
                    self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    /// A name begins here.
    pub(super) fn at_name(&self) -> bool {
        self.next().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    }

    /// The name that begins here.
    pub(super) fn name(&mut self, what: &'static str) -> Result<&'q str, QueryError> {
        if !self.at_name() {
            return self.expected(what);
        }
        let rest = &self.bytes[self.at..];
        let within = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let len = rest.iter().position(|byte| !within(byte)).unwrap_or(rest.len());
        self.at += len;
        Ok(std::str::from_utf8(&rest[..len]).unwrap_or_default())
    }

    /// The text in quotes that begins here, escapes resolved.
    pub(super) fn string(&mut self) -> Result<String, QueryError> {
        let start = self.at;
        if !self.take(b'"') {
            return self.expected("a text in quotes");
        }
        let mut out = Vec::new();
        loop {
            let byte = self.next();
            self.at += 1;
            match byte {
                Some(b'"') => break,
                Some(b'\\') => {
                    let escaped = self.next();
                    self.at += 1;
                    out.push(match escaped {
                        Some(b'n') => b'\n',
                        Some(b'r') => b'\r',
                        Some(b't') => b'\t',
                        Some(b'0') => 0,
                        Some(other) => other,
                        None => {
                            return Err(self.error(start, Wrong::Expected("the end of this text")));
                        }
                    });
                }
                Some(b'\n') | None => {
                    return Err(
                        self.error(start, Wrong::Expected("the end of this text on its line"))
                    );
                }
                Some(other) => out.push(other),
            }
        }
        // Whole characters only were left out or put in.
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// Bytes from `start` to here, as text.
    pub(super) fn since(&self, start: usize) -> &'q str {
        std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default()
    }
}
