//! The ways in which a frame can be wrong.

/// Why a datagram is no frame: typed, and counted by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[repr(u8)]
pub enum FrameError {
    /// Fewer bytes than a header.
    #[error("the datagram ends within the frame's header")]
    Short,
    /// It does not begin with `PFKV`.
    #[error("the datagram does not begin with PFKV")]
    Magic,
    /// Not this version.
    #[error("the frame's version is not 1")]
    Version,
    /// Unknown flags, or bytes that must be 0.
    #[error("the frame's header has bits that version 1 does not know")]
    Reserved,
    /// The check does not match: torn or changed on its way.
    #[error("the frame's CRC-32C does not match its bytes")]
    Check,
    /// No operation.
    #[error("the frame has no operation")]
    Empty,
    /// Sequences begin at 1.
    #[error("the frame's sequence is 0")]
    Sequence,
    /// An operation ends beyond the datagram.
    #[error("an operation ends beyond the datagram")]
    OperationShort,
    /// An operation's kind is not known.
    #[error("an operation's kind is not known")]
    Kind,
    /// An operation's flags do not go with its kind.
    #[error("an operation's flags do not go with its kind")]
    Flags,
    /// An operation's value has a length that its kind does not have.
    #[error("an operation's value does not go with its kind")]
    Value,
    /// A pair's absolute key is 2^48 or more.
    #[error("a pair's absolute key has more than 48 bits")]
    AbsoluteKey,
    /// A pair's key is empty.
    #[error("a pair's key is empty")]
    PairKey,
    /// Bytes behind the last operation.
    #[error("bytes follow the frame's last operation")]
    Trailing,
}

impl FrameError {
    /// All kinds, in the order of their index (`kind as usize`).
    pub const ALL: [Self; 14] = [
        Self::Short,
        Self::Magic,
        Self::Version,
        Self::Reserved,
        Self::Check,
        Self::Empty,
        Self::Sequence,
        Self::OperationShort,
        Self::Kind,
        Self::Flags,
        Self::Value,
        Self::AbsoluteKey,
        Self::PairKey,
        Self::Trailing,
    ];
    /// Number of kinds.
    pub const COUNT: usize = Self::ALL.len();
}
