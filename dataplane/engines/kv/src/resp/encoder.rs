//! Replies, written behind one another into one buffer.

/// The protocol that a connection has agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// RESP2: what a connection starts with.
    #[default]
    Resp2,
    /// RESP3: after `HELLO 3`.
    Resp3,
}

/// Writes replies to the end of a buffer.
#[derive(Debug)]
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    version: Version,
}

impl<'a> Encoder<'a> {
    /// Writes to the end of `out`.
    pub fn new(out: &'a mut Vec<u8>, version: Version) -> Self {
        Self { out, version }
    }

    /// The protocol that is written.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// `+OK`.
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A simple string; `text` holds neither CR nor LF.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.bytes().any(|byte| byte == b'\r' || byte == b'\n'));
        self.line(b'+', text.as_bytes());
    }

    /// An error, its code in capitals first. CR and LF become blanks: what a client sent may be in it.
    pub fn error(&mut self, text: &str) {
        self.out.push(b'-');
        self.out.extend(text.bytes().map(|b| if b == b'\r' || b == b'\n' { b' ' } else { b }));
        self.out.extend_from_slice(b"\r\n");
    }

    /// An integer.
    pub fn integer(&mut self, value: i64) {
        self.out.push(b':');
        if value < 0 {
            self.out.push(b'-');
        }
        decimal(self.out, value.unsigned_abs());
        self.out.extend_from_slice(b"\r\n");
    }

    /// A bulk string: any bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + HEADER + 2);
        self.header(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// The header of a bulk string whose `len` bytes and CRLF the caller appends to
    /// [`Encoder::raw`].
    pub fn bulk_header(&mut self, len: usize) {
        self.header(b'$', len);
    }

    /// No value.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.version {
            Version::Resp2 => b"$-1\r\n",
            Version::Resp3 => b"_\r\n",
        });
    }

    /// The header of an array of `len` replies, which follow.
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len);
    }

    /// The header of a map of `len` pairs of replies, which follow; in RESP2 an array of twice as many.
    pub fn map(&mut self, len: usize) {
        match self.version {
            Version::Resp2 => self.header(b'*', len * 2),
            Version::Resp3 => self.header(b'%', len),
        }
    }

    /// The buffer itself.
    pub fn raw(&mut self) -> &mut Vec<u8> {
        self.out
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.push(kind);
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }

    #[inline]
    fn header(&mut self, kind: u8, len: usize) {
        self.out.push(kind);
        decimal(self.out, len as u64);
        self.out.extend_from_slice(b"\r\n");
    }
}

/// Bytes of the longest header: kind, 20 digits, CRLF.
const HEADER: usize = 23;

/// Appends `value` in decimal digits.
#[inline]
pub(crate) fn decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(version: Version, write: impl FnOnce(&mut Encoder<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Encoder::new(&mut out, version));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_kind_of_reply() {
        let both = |encoder: &mut Encoder<'_>| {
            encoder.ok();
            encoder.simple("PONG");
            encoder.integer(i64::MIN);
            encoder.integer(0);
            encoder.bulk(b"a\0\r\n");
            encoder.bulk(b"");
            encoder.array(2);
        };
        let text =
            "+OK\r\n+PONG\r\n:-9223372036854775808\r\n:0\r\n$4\r\na\0\r\n\r\n$0\r\n\r\n*2\r\n";
        assert_eq!(written(Version::Resp2, both), text);
        assert_eq!(written(Version::Resp3, both), text);
        assert_eq!(written(Version::Resp2, |e| e.null()), "$-1\r\n");
        assert_eq!(written(Version::Resp3, |e| e.null()), "_\r\n");
        assert_eq!(written(Version::Resp2, |e| e.map(3)), "*6\r\n");
        assert_eq!(written(Version::Resp3, |e| e.map(3)), "%3\r\n");
    }

    #[test]
    fn an_error_stays_one_line() {
        let text = written(Version::Resp2, |e| e.error("ERR unknown 'a\r\n+OK\r\n'"));
        assert_eq!(text, "-ERR unknown 'a  +OK  '\r\n");
    }

    #[test]
    fn decimals() {
        for value in [0, 9, 10, 99, 100, 12_345_678_901, u64::MAX] {
            let mut out = Vec::new();
            decimal(&mut out, value);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }
}
