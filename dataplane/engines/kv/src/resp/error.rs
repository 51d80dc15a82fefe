//! What a request can break.

/// A request that is not RESP. The connection cannot be read on: where the next request begins is
/// not known.
///
/// The texts are those of Redis where Redis has the same case; a server writes them behind
/// `-ERR Protocol error: `.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The count after `*` is no number, or more than [`RequestLimits::args`](super::RequestLimits).
    #[error("invalid multibulk length")]
    ArrayLength,
    /// The digits after `*` do not end.
    #[error("too big mbulk count string")]
    ArrayHeader,
    /// An argument does not begin with `$`; arrays in arrays are such a case.
    #[error("expected '$', got '{}'", char::from(*.0).escape_default())]
    NotBulk(u8),
    /// The length after `$` is no number, or more than
    /// [`RequestLimits::arg_bytes`](super::RequestLimits).
    #[error("invalid bulk length")]
    BulkLength,
    /// The digits after `$` do not end.
    #[error("too big bulk count string")]
    BulkHeader,
    /// The bytes of an argument are not followed by CRLF: its length lies.
    #[error("a bulk string does not end where its length says")]
    BulkEnd,
    /// All arguments together are more than
    /// [`RequestLimits::request_bytes`](super::RequestLimits).
    #[error("request larger than this server takes; send fewer or smaller arguments")]
    RequestBytes,
    /// A line of words that does not end within
    /// [`RequestLimits::inline_bytes`](super::RequestLimits).
    #[error("too big inline request")]
    InlineLength,
    /// A quote in a line of words that does not close, or not at a word's end.
    #[error("unbalanced quotes in request")]
    Quotes,
    /// A backslash within quotes in a line of words.
    #[error("escapes in inline requests are not supported; send an array of bulk strings")]
    Escape,
}
