//! Replies: one line each, written behind one another into one buffer.

use super::operand::append_hex;
use crate::resp::decimal;

/// Writes the line of one reply to the end of a buffer; it ends when it is dropped.
#[derive(Debug)]
pub struct ReplyLine<'a> {
    out: &'a mut Vec<u8>,
}

/// Rows of a reply, parted by `;`, before the fields ahead of them are known.
#[derive(Debug, Default)]
pub struct Rows {
    bytes: Vec<u8>,
    count: u64,
}

impl Rows {
    /// Number of rows.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Bytes that they take in the reply.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets the rows and keeps the memory, unless there were many.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(1 << 20);
        self.count = 0;
    }

    /// The row `<hex>:<number>`.
    #[inline]
    pub fn push(&mut self, key: &[u8], number: u64) {
        if self.count > 0 {
            self.bytes.push(b';');
        }
        self.count += 1;
        append_hex(&mut self.bytes, key);
        self.bytes.push(b':');
        decimal(&mut self.bytes, number);
    }

    /// The row `<hex>:<number>:<base64>`.
    pub fn push_payload(&mut self, key: &[u8], number: u64, payload: &[u8]) {
        self.push(key, number);
        self.bytes.push(b':');
        append_base64(&mut self.bytes, payload);
    }

    /// The row `<number>:<number>…`.
    pub fn push_numbers(&mut self, numbers: &[u64]) {
        if self.count > 0 {
            self.bytes.push(b';');
        }
        self.count += 1;
        for (index, &number) in numbers.iter().enumerate() {
            if index > 0 {
                self.bytes.push(b':');
            }
            decimal(&mut self.bytes, number);
        }
    }
}

impl<'a> ReplyLine<'a> {
    /// `SUCCESS`.
    pub fn success(out: &'a mut Vec<u8>) -> Self {
        out.extend_from_slice(b"SUCCESS");
        Self { out }
    }

    /// `PENDING`.
    pub fn pending(out: &'a mut Vec<u8>) -> Self {
        out.extend_from_slice(b"PENDING");
        Self { out }
    }

    /// The whole line `ERROR,<text>`.
    pub fn error(out: &'a mut Vec<u8>, text: impl std::fmt::Display) {
        out.extend_from_slice(b"ERROR,");
        Self { out }.one_line(&text.to_string());
    }

    /// `,<text>`.
    pub fn word(&mut self, text: &str) -> &mut Self {
        self.out.push(b',');
        self.one_line(text);
        self
    }

    /// `,<name>=<number>`.
    pub fn number(&mut self, name: &str, number: u64) -> &mut Self {
        self.name(name);
        decimal(self.out, number);
        self
    }

    /// `,<name>=<text>`.
    pub fn text(&mut self, name: &str, text: impl std::fmt::Display) -> &mut Self {
        self.name(name);
        self.one_line(&text.to_string());
        self
    }

    /// `,<name>=<bytes>`, as they are: the last field of a reply.
    pub fn raw(&mut self, name: &str, bytes: &[u8]) -> &mut Self {
        self.name(name);
        self.out.extend_from_slice(bytes);
        self
    }

    /// `,<name>=x<hex>`.
    pub fn hex(&mut self, name: &str, bytes: &[u8]) -> &mut Self {
        self.name(name);
        self.out.push(b'x');
        append_hex(self.out, bytes);
        self
    }

    /// `,<name>=<rows>`; nothing when there are none.
    pub fn rows(&mut self, name: &str, rows: &Rows) -> &mut Self {
        if !rows.bytes.is_empty() {
            self.raw(name, &rows.bytes);
        }
        self
    }

    fn name(&mut self, name: &str) {
        self.out.push(b',');
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'=');
    }

    /// Text of other origin must not end the line.
    fn one_line(&mut self, text: &str) {
        self.out.extend(text.bytes().map(|b| if b == b'\r' || b == b'\n' { b' ' } else { b }));
    }
}

impl Drop for ReplyLine<'_> {
    fn drop(&mut self) {
        self.out.push(b'\n');
    }
}

/// Appends `bytes` in base64, the standard alphabet, padded (RFC 4648, section 4).
fn append_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32, at: u32| ALPHABET[(bits >> at) as usize & 63];
    out.reserve(bytes.len().div_ceil(3) * 4);
    let (triples, rest) = bytes.as_chunks::<3>();
    for &[a, b, c] in triples {
        let bits = u32::from_be_bytes([0, a, b, c]);
        out.extend_from_slice(&[digit(bits, 18), digit(bits, 12), digit(bits, 6), digit(bits, 0)]);
    }
    match *rest {
        [a] => {
            let bits = u32::from(a) << 16;
            out.extend_from_slice(&[digit(bits, 18), digit(bits, 12), b'=', b'=']);
        }
        [a, b] => {
            let bits = u32::from_be_bytes([0, a, b, 0]);
            out.extend_from_slice(&[digit(bits, 18), digit(bits, 12), digit(bits, 6), b'=']);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_standard() {
        // RFC 4648, section 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = Vec::new();
            append_base64(&mut out, bytes.as_bytes());
            assert_eq!(out, text.as_bytes());
        }
        let mut out = Vec::new();
        append_base64(&mut out, &[0xfb, 0xff, 0xbf]);
        assert_eq!(out, b"+/+/");
    }

    #[test]
    fn lines() {
        let mut out = Vec::new();
        let mut rows = Rows::default();
        rows.push(b"a", 7);
        rows.push_payload(b"\x00", 1, b"f");
        rows.push_numbers(&[1, 2]);
        let mut line = ReplyLine::success(&mut out);
        line.number("count", 2).hex("next_cursor", b"a\xff").rows("items", &rows);
        line.rows("none", &Rows::default());
        drop(line);
        ReplyLine::success(&mut out).number("size", 3).raw("value", b"a,b");
        ReplyLine::error(&mut out, "no\nSUCCESS");
        ReplyLine::pending(&mut out).text("job", "reduce_1").word("so");
        let text = "SUCCESS,count=2,next_cursor=x61ff,items=61:7;00:1:Zg==;1:2\nSUCCESS,size=3,value=a,b\n\
            ERROR,no SUCCESS\nPENDING,job=reduce_1,so\n";
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }
}
