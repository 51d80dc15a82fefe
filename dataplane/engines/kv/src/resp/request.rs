//! Requests: bursts of commands as ranges of the bytes read.

use std::ops::Range;

use super::ProtocolError;
use super::inline::split_words;

/// A command's argument: a range of the input that it was parsed from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    at: u32,
    len: u32,
}

impl Span {
    /// The range `at..at + len`. Inputs are shorter than 4 GiB ([`Parser::MAX_INPUT`]).
    pub(super) fn new(at: usize, len: usize) -> Self {
        Self { at: at as u32, len: len as u32 }
    }

    /// The range as indices of the input.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.at as usize..self.at as usize + self.len as usize
    }

    fn moved(self, by: isize) -> Self {
        Self { at: (self.at as isize + by) as u32, len: self.len }
    }
}

/// What a client may ask for in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Arguments of one command, its name included.
    pub args: u32,
    /// Bytes of one argument.
    pub arg_bytes: u32,
    /// Bytes of one request, its framing included; below [`Parser::MAX_INPUT`].
    pub request_bytes: usize,
    /// Bytes of a request that is a line of words, and of a word's header.
    pub inline_bytes: usize,
}

impl RequestLimits {
    /// For a client that has not proved its password: enough for `AUTH` and `HELLO`.
    pub const UNAUTHENTICATED: Self =
        Self { args: 10, arg_bytes: 16 << 10, request_bytes: 64 << 10, inline_bytes: 16 << 10 };
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            args: 1 << 20,
            arg_bytes: 64 << 20,
            request_bytes: 128 << 20,
            inline_bytes: 64 << 10,
        }
    }
}

/// A burst of commands: their arguments, in order, as ranges of one input.
#[derive(Debug, Default)]
pub struct Requests {
    args: Vec<Span>,
    /// Where each command ends: in `args`, and in the input.
    ends: Vec<(u32, u32)>,
}

impl Requests {
    /// A burst without commands.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of commands.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no command.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets all commands and keeps the memory, unless one burst made it large.
    pub fn clear(&mut self) {
        self.args.clear();
        self.args.shrink_to(16 << 10);
        self.ends.clear();
        self.ends.shrink_to(16 << 10);
    }

    /// The arguments of command `index`, its name first; never empty.
    ///
    /// # Panics
    /// When `index` is not below [`Requests::len`].
    #[must_use]
    pub fn command(&self, index: usize) -> &[Span] {
        let first = index.checked_sub(1).map_or(0, |before| self.ends[before].0);
        &self.args[first as usize..self.ends[index].0 as usize]
    }

    /// Bytes of the input that the first `count` commands are.
    ///
    /// # Panics
    /// When `count` is above [`Requests::len`].
    #[must_use]
    pub fn bytes_of(&self, count: usize) -> usize {
        count.checked_sub(1).map_or(0, |last| self.ends[last].1 as usize)
    }

    /// The arguments from `first` on are a command that ends at `at`; none are none.
    fn end_command(&mut self, first: usize, at: usize) {
        if self.args.len() > first {
            self.ends.push((self.args.len() as u32, at as u32));
        }
    }

    /// All commands, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[Span]> {
        (0..self.len()).map(|index| self.command(index))
    }
}

/// What one call of [`Parser::parse`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Bytes at the front of the input that are the commands found: they may go once those are done.
    pub consumed: usize,
    /// Bytes that the input must have, counted from `consumed`, before another call can find more.
    pub need: usize,
    /// What is wrong behind the commands found, if anything is.
    pub error: Option<ProtocolError>,
}

/// The parser of one connection: it remembers how far it came in a command that has not arrived whole,
/// so that each byte is looked at once.
#[derive(Debug, Default)]
pub struct Parser {
    /// Arguments found of the unfinished command, as ranges from its first byte.
    found: Vec<Span>,
    /// Arguments that are still to come; 0 before the command's header has been read.
    missing: u32,
    /// Bytes of the unfinished command that have been looked at.
    scanned: usize,
    /// Bytes that the unfinished command must have before it is worth looking again.
    need: usize,
}

/// A number's digits, and CRLF.
enum Length {
    /// The number, and the index behind its CRLF.
    Is(u64, usize),
    /// A negative number, and the index behind its CRLF.
    Negative(usize),
    /// The input ends before the number does.
    Cut,
    /// No number.
    Bad,
    /// More digits than any length has.
    Long,
}

impl Parser {
    /// Inputs are shorter than this: ranges are 32 bits wide.
    pub const MAX_INPUT: usize = u32::MAX as usize;

    /// A parser at the start of a connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Finds up to `most` whole commands at the front of `input` and adds them to `requests`.
    ///
    /// `input` begins with the first byte that earlier calls have not consumed.
    pub fn parse(
        &mut self,
        input: &[u8],
        limits: &RequestLimits,
        most: usize,
        requests: &mut Requests,
    ) -> Parsed {
        let input = &input[..input.len().min(Self::MAX_INPUT)];
        let mut consumed = 0;
        let mut found = 0;
        while found < most && input.len() - consumed >= self.need.max(1) {
            match self.command(input, consumed, limits, requests) {
                Ok(Some(next)) => consumed = next,
                Ok(None) => break,
                Err(error) => return Parsed { consumed, need: 0, error: Some(error) },
            }
            found += 1;
        }
        Parsed { consumed, need: self.need.max(1), error: None }
    }

    /// One command, from `start` on; gives the index behind it, or `None` when it is not whole.
    fn command(
        &mut self,
        input: &[u8],
        start: usize,
        limits: &RequestLimits,
        requests: &mut Requests,
    ) -> Result<Option<usize>, ProtocolError> {
        let first = requests.args.len();
        let mut at = start + self.scanned;
        if self.missing == 0 {
            if input[start] != b'*' {
                return self.inline(input, start, limits, requests);
            }
            match length(input, start + 1) {
                Length::Is(count, next) if count <= u64::from(limits.args) => {
                    self.missing = count as u32;
                    at = next;
                }
                Length::Negative(next) => at = next,
                Length::Cut => return Ok(self.wait(0, input.len() - start + 1)),
                Length::Long => return Err(ProtocolError::ArrayHeader),
                Length::Is(..) | Length::Bad => return Err(ProtocolError::ArrayLength),
            }
        } else {
            requests.args.extend(self.found.drain(..).map(|span| span.moved(start as isize)));
        }
        while self.missing > 0 {
            match bulk(input, start, at, limits)? {
                Bulk::Is(span, next) => {
                    requests.args.push(span);
                    self.missing -= 1;
                    at = next;
                }
                Bulk::Needs(bytes) => {
                    let unfinished = requests.args.drain(first..);
                    self.found.extend(unfinished.map(|span| span.moved(-(start as isize))));
                    return Ok(self.wait(at - start, bytes));
                }
            }
        }
        self.finish();
        requests.end_command(first, at);
        Ok(Some(at))
    }

    fn inline(
        &mut self,
        input: &[u8],
        start: usize,
        limits: &RequestLimits,
        requests: &mut Requests,
    ) -> Result<Option<usize>, ProtocolError> {
        let line = &input[start..];
        let Some(end) = memchr::memchr(b'\n', &line[self.scanned..]) else {
            if line.len() > limits.inline_bytes {
                return Err(ProtocolError::InlineLength);
            }
            return Ok(self.wait(line.len(), line.len() + 1));
        };
        let end = self.scanned + end;
        if end > limits.inline_bytes {
            return Err(ProtocolError::InlineLength);
        }
        let before = requests.args.len();
        split_words(&line[..end], start, &mut requests.args).inspect_err(|_| {
            requests.args.truncate(before);
        })?;
        self.finish();
        requests.end_command(before, start + end + 1);
        Ok(Some(start + end + 1))
    }

    /// The command is not whole: `scanned` of its bytes are done with, `need` must be there.
    fn wait(&mut self, scanned: usize, need: usize) -> Option<usize> {
        (self.scanned, self.need) = (scanned, need);
        None
    }

    fn finish(&mut self) {
        (self.missing, self.scanned, self.need) = (0, 0, 0);
        // One command with a million arguments must not cost its connection memory for good.
        self.found.shrink_to(64);
    }
}

enum Bulk {
    /// An argument, and the index behind its CRLF.
    Is(Span, usize),
    /// Bytes that the command must have before the argument is whole.
    Needs(usize),
}

/// The bulk string at `at`, of the command that begins at `start`.
fn bulk(
    input: &[u8],
    start: usize,
    at: usize,
    limits: &RequestLimits,
) -> Result<Bulk, ProtocolError> {
    match input.get(at) {
        Some(b'$') => {}
        Some(&other) => return Err(ProtocolError::NotBulk(other)),
        None => return Ok(Bulk::Needs(at - start + 1)),
    }
    let (len, from) = match length(input, at + 1) {
        Length::Is(len, from) if len <= u64::from(limits.arg_bytes) => (len as usize, from),
        Length::Cut => return Ok(Bulk::Needs(input.len() - start + 1)),
        Length::Long => return Err(ProtocolError::BulkHeader),
        Length::Is(..) | Length::Negative(_) | Length::Bad => {
            return Err(ProtocolError::BulkLength);
        }
    };
    // A length is refused when it is announced: nothing is held for bytes that may not come.
    if from - start + len + 2 > limits.request_bytes {
        return Err(ProtocolError::RequestBytes);
    }
    match input.get(from + len..from + len + 2) {
        Some(b"\r\n") => Ok(Bulk::Is(Span::new(from, len), from + len + 2)),
        Some(_) => Err(ProtocolError::BulkEnd),
        None => Ok(Bulk::Needs(from + len + 2 - start)),
    }
}

/// The number at `at`, with its CRLF.
fn length(input: &[u8], at: usize) -> Length {
    /// Digits of the largest number that fits 32 bits.
    const DIGITS: usize = 10;
    let rest = &input[at..];
    let negative = rest.first() == Some(&b'-');
    let digits = &rest[usize::from(negative)..];
    let mut value = 0_u64;
    for (index, &byte) in digits.iter().take(DIGITS + 1).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            value = value * 10 + u64::from(digit);
            continue;
        }
        if byte != b'\r' || index == 0 {
            return Length::Bad;
        }
        let next = at + usize::from(negative) + index + 2;
        return match digits.get(index + 1) {
            Some(b'\n') if negative => Length::Negative(next),
            Some(b'\n') => Length::Is(value, next),
            Some(_) => Length::Bad,
            None => Length::Cut,
        };
    }
    if digits.len() > DIGITS { Length::Long } else { Length::Cut }
}
