//! What the parser is given: the head of a frame, and how long all of it is.

use super::Malformed;

/// A received frame whose first buffer can be read.
///
/// Holds `head.len() <= captured <= wire`. The three differ when a frame lies in several
/// buffers (`head` is the first of them) and when the capture cut it (`captured < wire`).
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    head: &'a [u8],
    captured: u32,
    wire: u32,
}

impl<'a> Frame<'a> {
    /// A frame that begins with the bytes of `head`.
    ///
    /// `captured` is the bytes there over all its buffers, `wire` its bytes on the wire without
    /// FCS. A length smaller than what it must hold is raised to it, so a source that knows
    /// neither passes 0.
    #[inline]
    #[must_use]
    pub fn new(head: &'a [u8], captured: u32, wire: u32) -> Self {
        // A head of 4 GiB or more cannot come from a descriptor; it is read up to there.
        let head = head.get(..u32::MAX as usize).unwrap_or(head);
        let captured = captured.max(head.len() as u32);
        Self { head, captured, wire: wire.max(captured) }
    }

    /// Bytes of the first buffer.
    #[must_use]
    pub const fn head(&self) -> &'a [u8] {
        self.head
    }

    /// Bytes there, over all buffers.
    #[must_use]
    pub const fn captured(&self) -> u32 {
        self.captured
    }

    /// Bytes on the wire.
    #[must_use]
    pub const fn wire(&self) -> u32 {
        self.wire
    }

    /// Whether bytes of the frame are not there.
    #[inline]
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.captured < self.wire
    }

    /// The `N` bytes at `at`; without them, `short` or the reason why they are not readable.
    #[inline(always)]
    pub(super) fn at<const N: usize>(&self, at: usize, short: Malformed) -> Read<'a, N> {
        match self.head.get(at..).and_then(<[u8]>::first_chunk) {
            Some(bytes) => Ok(bytes),
            None => Err(self.missing(at + N, short)),
        }
    }

    /// Why the bytes before `end` cannot be read: the frame ends (`short`), the capture was cut,
    /// or they are in the next buffer.
    #[cold]
    pub(super) const fn missing(&self, end: usize, short: Malformed) -> Malformed {
        if end > self.wire as usize {
            short
        } else if end > self.captured as usize {
            Malformed::CutInHeader
        } else {
            Malformed::SplitHeader
        }
    }
}

type Read<'a, const N: usize> = Result<&'a [u8; N], Malformed>;

/// The big-endian 16-bit number at byte `AT` of a header.
#[inline(always)]
pub(super) const fn be16<const AT: usize, const N: usize>(bytes: &[u8; N]) -> u16 {
    const { assert!(AT + 2 <= N) };
    u16::from_be_bytes([bytes[AT], bytes[AT + 1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_raised_to_what_they_must_hold() {
        let frame = Frame::new(&[0; 10], 0, 0);
        assert_eq!((frame.captured(), frame.wire(), frame.is_truncated()), (10, 10, false));
        let frame = Frame::new(&[0; 10], 30, 20);
        assert_eq!((frame.captured(), frame.wire()), (30, 30));
        assert!(Frame::new(&[0; 10], 30, 31).is_truncated());
    }

    #[test]
    fn unreadable_bytes_have_their_reason() {
        let frame = Frame::new(&[0; 10], 30, 40);
        let read = |at| frame.at::<4>(at, Malformed::UdpShort);
        assert_eq!(read(6), Ok(&[0; 4]));
        assert_eq!(read(7), Err(Malformed::SplitHeader));
        assert_eq!(read(26), Err(Malformed::SplitHeader));
        assert_eq!(read(27), Err(Malformed::CutInHeader));
        assert_eq!(read(37), Err(Malformed::UdpShort));
    }
}
