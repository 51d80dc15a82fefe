//! Replies: one line each, written behind one another into one buffer.

use super::operand::append_hex;
use crate::resp::decimal;

/// Writes the line of one reply to the end of a buffer; it ends when it is dropped.
#[derive(Debug)]
pub struct ReplyLine<'a> {
    out: &'a mut Vec<u8>,
    /// Whether a row has been written.
    rows: bool,
}

impl<'a> ReplyLine<'a> {
    /// `SUCCESS`.
    pub fn success(out: &'a mut Vec<u8>) -> Self {
        out.extend_from_slice(b"SUCCESS");
        Self { out, rows: false }
    }

    /// `PENDING`.
    pub fn pending(out: &'a mut Vec<u8>) -> Self {
        out.extend_from_slice(b"PENDING");
        Self { out, rows: false }
    }

    /// The whole line `ERROR,<text>`.
    pub fn error(out: &'a mut Vec<u8>, text: impl std::fmt::Display) {
        out.extend_from_slice(b"ERROR,");
        Self { out, rows: false }.one_line(&text.to_string());
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

    /// Begins a row `<hex>:<number>` of the field `name`; rows are parted by `;`.
    pub fn row(&mut self, name: &str, key: &[u8], number: u64) -> &mut Self {
        if self.rows {
            self.out.push(b';');
        } else {
            self.name(name);
            self.rows = true;
        }
        append_hex(self.out, key);
        self.out.push(b':');
        decimal(self.out, number);
        self
    }

    /// Adds `:<base64>` to the row.
    pub fn base64(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.push(b':');
        append_base64(self.out, bytes);
        self
    }

    /// The next row begins a field of its own.
    pub fn end_rows(&mut self) -> &mut Self {
        self.rows = false;
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
        ReplyLine::success(&mut out)
            .number("count", 2)
            .hex("next_cursor", b"a\xff")
            .row("items", b"a", 7)
            .row("items", b"\x00", 1)
            .base64(b"f");
        ReplyLine::success(&mut out).number("size", 3).raw("value", b"a,b");
        ReplyLine::error(&mut out, "no\nSUCCESS");
        ReplyLine::pending(&mut out).text("job", "reduce_1").word("so");
        let text = "SUCCESS,count=2,next_cursor=x61ff,items=61:7;00:1:Zg==\nSUCCESS,size=3,value=a,b\n\
            ERROR,no SUCCESS\nPENDING,job=reduce_1,so\n";
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }
}
