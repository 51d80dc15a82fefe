//! Frames as they arrive.

use super::bytes::Bytes;
use super::{ANSWER_ALL, CHECK, FrameError, HEADER, MAGIC, MESSAGE_MAX, REPLY, VERSION, check_of};

/// A frame whose header and check are right; what its message says is another matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub(super) flags: u8,
    pub(super) stream: u16,
    pub(super) sender: u64,
    pub(super) sequence: u64,
    pub(super) part: u16,
    pub(super) step: u16,
    pub(super) length: u32,
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads the frame that is `datagram`.
    ///
    /// # Errors
    /// [`FrameError`]: nothing of it may be used.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, FrameError> {
        let (header, bytes) = datagram.split_first_chunk::<HEADER>().ok_or(FrameError::Short)?;
        let mut header = Bytes(header);
        if header.array() != Some(MAGIC) {
            return Err(FrameError::Magic);
        }
        if header.u8() != Some(VERSION) {
            return Err(FrameError::Version);
        }
        if datagram[CHECK..HEADER] != check_of(datagram).to_le_bytes() {
            return Err(FrameError::Check);
        }
        let frame = Self {
            flags: header.u8().ok_or(FrameError::Short)?,
            stream: header.u16().ok_or(FrameError::Short)?,
            sender: header.u64().ok_or(FrameError::Short)?,
            sequence: header.u64().ok_or(FrameError::Short)?,
            part: header.u16().ok_or(FrameError::Short)?,
            step: header.u16().ok_or(FrameError::Short)?,
            length: header.u32().ok_or(FrameError::Short)?,
            bytes,
        };
        frame.check().map(|()| frame)
    }

    fn check(&self) -> Result<(), FrameError> {
        if self.flags & !(REPLY | ANSWER_ALL) != 0 {
            return Err(FrameError::Reserved);
        }
        if self.sequence <= u64::from(self.part) {
            return Err(FrameError::Sequence);
        }
        if !(1..=MESSAGE_MAX as u32).contains(&self.length) {
            return Err(FrameError::Length);
        }
        let parts = self.length.checked_div(self.step.into()).unwrap_or(u32::MAX);
        if parts >= u32::from(u16::MAX) || u32::from(self.part) >= self.parts() {
            return Err(FrameError::Part);
        }
        let left = self.length as usize - self.offset();
        if self.bytes.len() != left.min(self.step.into()) {
            return Err(FrameError::Bytes);
        }
        if self.is_reply() && !self.is_whole() {
            return Err(FrameError::ReplyPart);
        }
        Ok(())
    }

    /// Whether it answers a message: then it has outcomes, else operations.
    #[must_use]
    pub const fn is_reply(&self) -> bool {
        self.flags & REPLY != 0
    }

    /// Whether the sender wants every operation answered, not searches alone.
    #[must_use]
    pub const fn answers_all(&self) -> bool {
        self.flags & ANSWER_ALL != 0
    }

    /// Who sent it.
    #[must_use]
    pub const fn sender(&self) -> u64 {
        self.sender
    }

    /// Which of the sender's flows it came in, as the sender says.
    #[must_use]
    pub const fn stream(&self) -> u16 {
        self.stream
    }

    /// Its place among the frames of its sender and stream, from 1.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The sequence of its message's first part, which says which message it is.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.sequence - self.part as u64
    }

    /// Which part of the message it has, from 0.
    #[must_use]
    pub const fn part(&self) -> u16 {
        self.part
    }

    /// How many parts the message has, 1 to 65,535.
    #[must_use]
    pub fn parts(&self) -> u32 {
        self.length.div_ceil(self.step.into())
    }

    /// Whether the message has no other part.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.bytes.len() == self.length as usize
    }

    /// Where its bytes belong in the message.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.part as usize * self.step as usize
    }

    /// Bytes of the whole message.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length as usize
    }

    /// Its part of the message.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}
