//! The ways in which a frame or a message can be wrong.

/// Why a datagram is no frame, or what its parts make no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than a header.
    #[error("the datagram ends within the frame's header")]
    Short,
    /// It does not begin with `PFVC`.
    #[error("the datagram does not begin with PFVC")]
    Magic,
    /// Not this version.
    #[error("the frame's version is not 1")]
    Version,
    /// The check does not match: torn or changed on its way.
    #[error("the frame's CRC-32C does not match its bytes")]
    Check,
    /// Unknown flags, or bytes that must be 0.
    #[error("there are bits that version 1 does not know")]
    Reserved,
    /// The sequence is 0, or no message can have begun so that this is its part.
    #[error("the frame's sequence is not above its part")]
    Sequence,
    /// The message's length is 0 or more than any may have.
    #[error("the message has 0 bytes or more than 1 MiB")]
    Length,
    /// The step is 0, or so small that parts have no numbers, or the part is none of the message's.
    #[error("the part is none that the message can have")]
    Part,
    /// The frame has fewer or more bytes than its part of the message.
    #[error("the frame has not as many bytes as its part of the message")]
    Bytes,
    /// A reply in parts.
    #[error("a reply is in parts")]
    ReplyPart,
    /// The collection's name is empty, too long, or ends beyond the message.
    #[error("the collection's name has not 1 to 64 bytes")]
    Name,
    /// No operation.
    #[error("the message has no operation")]
    Empty,
    /// An operation ends beyond the message.
    #[error("an operation ends beyond the message")]
    OperationShort,
    /// An operation's kind is not known.
    #[error("an operation's kind is not known")]
    Kind,
    /// A vector's element is not known.
    #[error("a vector's element is not known")]
    Element,
    /// An id is empty.
    #[error("an id is empty")]
    Id,
    /// A text is no UTF-8.
    #[error("a text is no UTF-8")]
    Text,
    /// A number that must be finite is not, a recall is not from 0 to 1, a least score is no number, or a time
    /// ends before it begins.
    #[error("a number is out of its range")]
    Number,
    /// A search asks for no hit or for too many.
    #[error("a search asks for 0 hits or for more than 1,024")]
    Hits,
    /// An outcome's status is not known, or its hits do not fill their bytes.
    #[error("an outcome is none of version 1")]
    Outcome,
}

impl FrameError {
    /// Whether the bytes are no frame of this format at all.
    #[must_use]
    pub const fn is_foreign(self) -> bool {
        matches!(self, Self::Magic | Self::Version)
    }

    /// Whether bytes are missing or were changed on the way.
    #[must_use]
    pub const fn is_torn(self) -> bool {
        matches!(self, Self::Short | Self::Check)
    }
}
