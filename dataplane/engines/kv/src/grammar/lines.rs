//! Lines out of what a connection has read.

use std::ops::Range;

/// A line that does not end within the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line_too_long (limit {limit} bytes)")]
pub struct LineTooLong {
    /// The most bytes that a line may have, its end not counted.
    pub limit: usize,
}

/// The line splitter of one connection: it remembers how much of an unfinished line it has looked at.
#[derive(Debug, Default)]
pub struct Lines {
    scanned: usize,
}

impl Lines {
    /// A splitter at the start of a connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The first line of `input`, which begins with the first byte behind earlier lines: its bytes without
    /// LF, and how many bytes it takes with it. `None` when it has not arrived whole.
    ///
    /// # Errors
    /// [`LineTooLong`] when it is longer than `limit` bytes.
    pub fn next(
        &mut self,
        input: &[u8],
        limit: usize,
    ) -> Result<Option<(Range<usize>, usize)>, LineTooLong> {
        let rest = input.get(self.scanned..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', rest) else {
            self.scanned = input.len();
            return if input.len() > limit { Err(LineTooLong { limit }) } else { Ok(None) };
        };
        let end = self.scanned + end;
        self.scanned = 0;
        if end > limit { Err(LineTooLong { limit }) } else { Ok(Some((0..end, end + 1))) }
    }
}
