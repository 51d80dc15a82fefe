//! Replies as a client reads them.

/// A reply, of RESP2 or RESP3.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `+`: a short text.
    Simple(Vec<u8>),
    /// `-` or `!`: an error, its code first.
    Error(Vec<u8>),
    /// `:`: a number.
    Integer(i64),
    /// `$` or `=`: any bytes.
    Bulk(Vec<u8>),
    /// `$-1`, `*-1` or `_`: nothing.
    Null,
    /// `*`, `~` or `>`: replies in order.
    Array(Vec<Self>),
    /// `%`: pairs of replies, in order.
    Map(Vec<(Self, Self)>),
    /// `,`: a floating-point number.
    Double(f64),
    /// `#`: true or false.
    Boolean(bool),
}

/// What a server may send in one reply.
#[derive(Clone, Copy, Debug)]
pub struct ReplyLimits {
    /// Bytes of one string.
    pub bulk_bytes: usize,
    /// Replies within one array or map (each key and each value counts).
    pub elements: usize,
    /// Arrays within arrays.
    pub depth: usize,
}

impl Default for ReplyLimits {
    fn default() -> Self {
        Self { bulk_bytes: 512 << 20, elements: 1 << 24, depth: 16 }
    }
}

/// Bytes that are not a reply, or one beyond the client's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The first byte names no kind of reply.
    #[error(
        "a reply begins with byte {0:#04x}, which names no kind: the server does not speak RESP"
    )]
    Kind(u8),
    /// A number that is none, or a line that does not end.
    #[error("a reply's number or line is malformed")]
    Line,
    /// A string does not end where its length says.
    #[error("a reply's string does not end where its length says")]
    End,
    /// More than [`ReplyLimits`] allow.
    #[error("a reply is longer or nested deeper than this client takes")]
    Limit,
}

/// Bytes of a line: numbers, short texts and errors.
const LINE: usize = 64 << 10;

impl Reply {
    /// Reads the reply at the front of `input`: the reply and its length, or `None` when it has not
    /// arrived whole.
    ///
    /// # Errors
    /// [`ReplyError`] when `input` cannot become a reply within `limits`.
    pub fn read(input: &[u8], limits: &ReplyLimits) -> Result<Option<(Self, usize)>, ReplyError> {
        let mut reader = Reader { input, at: 0, limits };
        Ok(reader.reply(limits.depth)?.map(|reply| (reply, reader.at)))
    }
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    limits: &'a ReplyLimits,
}

impl<'a> Reader<'a> {
    fn reply(&mut self, depth: usize) -> Result<Option<Reply>, ReplyError> {
        let Some(&kind) = self.input.get(self.at) else { return Ok(None) };
        if !b"+-!:$=_*~>%,#".contains(&kind) {
            return Err(ReplyError::Kind(kind));
        }
        let Some(line) = self.line()? else { return Ok(None) };
        Ok(Some(match kind {
            b'+' => Reply::Simple(line.to_vec()),
            b'-' => Reply::Error(line.to_vec()),
            b':' => Reply::Integer(number(line)?),
            b'_' => Reply::Null,
            b'#' => Reply::Boolean(line == b"t"),
            b',' => Reply::Double(text(line)?.parse().map_err(|_| ReplyError::Line)?),
            b'$' | b'=' | b'!' => match self.string(number(line)?)? {
                None => return Ok(None),
                Some(None) => Reply::Null,
                Some(Some(bytes)) if kind == b'!' => Reply::Error(bytes.to_vec()),
                Some(Some(bytes)) => Reply::Bulk(bytes.to_vec()),
            },
            _ => return self.aggregate(kind, number(line)?, depth),
        }))
    }

    /// The rest of the line behind the kind, without CRLF.
    fn line(&mut self) -> Result<Option<&'a [u8]>, ReplyError> {
        let rest = &self.input[self.at + 1..];
        let Some(end) = memchr::memchr(b'\n', &rest[..rest.len().min(LINE)]) else {
            return if rest.len() < LINE { Ok(None) } else { Err(ReplyError::Line) };
        };
        let line = rest[..end].strip_suffix(b"\r").ok_or(ReplyError::Line)?;
        self.at += end + 2;
        Ok(Some(line))
    }

    /// The string of `len` bytes: `None` when it has not arrived, `Some(None)` when it is null.
    fn string(&mut self, len: i64) -> Result<Option<Option<&'a [u8]>>, ReplyError> {
        if len == -1 {
            return Ok(Some(None));
        }
        let len = usize::try_from(len).map_err(|_| ReplyError::Line)?;
        if len > self.limits.bulk_bytes {
            return Err(ReplyError::Limit);
        }
        let Some(rest) = self.input[self.at..].get(..len + 2) else { return Ok(None) };
        let bytes = rest.strip_suffix(b"\r\n").ok_or(ReplyError::End)?;
        self.at += len + 2;
        Ok(Some(Some(bytes)))
    }

    fn aggregate(&mut self, kind: u8, len: i64, depth: usize) -> Result<Option<Reply>, ReplyError> {
        if len == -1 && kind == b'*' {
            return Ok(Some(Reply::Null));
        }
        let len = usize::try_from(len).map_err(|_| ReplyError::Line)?;
        let count = if kind == b'%' { len.saturating_mul(2) } else { len };
        if count > self.limits.elements || depth == 0 {
            return Err(ReplyError::Limit);
        }
        // Not `with_capacity(count)`: the count is only announced.
        let mut replies = Vec::new();
        for _ in 0..count {
            let Some(reply) = self.reply(depth - 1)? else { return Ok(None) };
            replies.push(reply);
        }
        if kind != b'%' {
            return Ok(Some(Reply::Array(replies)));
        }
        let mut replies = replies.into_iter();
        let mut pairs = Vec::with_capacity(len);
        while let (Some(key), Some(value)) = (replies.next(), replies.next()) {
            pairs.push((key, value));
        }
        Ok(Some(Reply::Map(pairs)))
    }
}

fn text(line: &[u8]) -> Result<&str, ReplyError> {
    std::str::from_utf8(line).map_err(|_| ReplyError::Line)
}

fn number(line: &[u8]) -> Result<i64, ReplyError> {
    text(line)?.parse().map_err(|_| ReplyError::Line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY_KIND: &[u8] =
        b"*9\r\n+OK\r\n-ERR no\r\n:-12\r\n$3\r\na\r\n\r\n$-1\r\n%1\r\n+k\r\n_\r\n\
        ,1.5\r\n#t\r\n!5\r\nERR x\r\n";

    fn read(input: &[u8]) -> Result<Option<(Reply, usize)>, ReplyError> {
        Reply::read(input, &ReplyLimits::default())
    }

    #[test]
    fn each_kind_and_cut_at_each_byte() {
        let expected = Reply::Array(vec![
            Reply::Simple(b"OK".to_vec()),
            Reply::Error(b"ERR no".to_vec()),
            Reply::Integer(-12),
            Reply::Bulk(b"a\r\n".to_vec()),
            Reply::Null,
            Reply::Map(vec![(Reply::Simple(b"k".to_vec()), Reply::Null)]),
            Reply::Double(1.5),
            Reply::Boolean(true),
            Reply::Error(b"ERR x".to_vec()),
        ]);
        assert_eq!(read(EVERY_KIND), Ok(Some((expected, EVERY_KIND.len()))));
        for cut in 0..EVERY_KIND.len() {
            assert_eq!(read(&EVERY_KIND[..cut]), Ok(None), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_reply() {
        assert_eq!(read(b"HTTP/1.1 200\r\n"), Err(ReplyError::Kind(b'H')));
        for line in [&b":\r\n"[..], b":1x\r\n", b":99999999999999999999\r\n", b"$-2\r\n", b"+a\n"] {
            assert_eq!(read(line), Err(ReplyError::Line), "{}", line.escape_ascii());
        }
        assert_eq!(read(b"$1\r\nabc\r\n"), Err(ReplyError::End));
        assert_eq!(read(&[b'+'; LINE + 1]), Err(ReplyError::Line));
    }

    #[test]
    fn bombs_are_refused_when_announced() {
        assert_eq!(read(b"$9999999999\r\n"), Err(ReplyError::Limit));
        assert_eq!(read(b"*9223372036854775807\r\n"), Err(ReplyError::Limit));
        assert_eq!(read(b"%9223372036854775807\r\n"), Err(ReplyError::Limit));
        assert_eq!(read(&b"*1\r\n".repeat(100_000)), Err(ReplyError::Limit));
        assert_eq!(read(&b"*16777216\r\n".repeat(16)), Ok(None));
    }
}
