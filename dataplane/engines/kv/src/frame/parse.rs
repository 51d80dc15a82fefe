//! Frames as they arrive.

use super::{
    ANSWER_ALL, DELETE, EXPIRES, FrameError, GET, HEADER, HIDDEN, MAGIC, PAIR_SET, PUT, REPLY,
    VERSION, check_of,
};

/// A frame whose every byte has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    flags: u8,
    count: u16,
    sender: u64,
    sequence: u64,
    lane: u16,
    body: &'a [u8],
}

/// An operation of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Writes a value.
    Put {
        /// Any bytes, also none.
        key: &'a [u8],
        /// Any bytes, also none.
        value: &'a [u8],
        /// When it goes, in milliseconds since 1970.
        expires: Option<u64>,
    },
    /// Deletes a key and its value.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// Asks for a value.
    Get {
        /// The key.
        key: &'a [u8],
    },
    /// Binds a key of the pair table to an absolute key.
    PairSet {
        /// Not empty.
        key: &'a [u8],
        /// Below 2^48.
        abs: u64,
        /// Whether scans pass it over.
        hidden: bool,
    },
}

/// What an operation does, as its first byte says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OperationKind {
    /// Sets a key.
    Put = PUT,
    /// Deletes a key.
    Delete = DELETE,
    /// Asks for a value.
    Get = GET,
    /// Binds a pair.
    PairSet = PAIR_SET,
}

impl From<&Operation<'_>> for OperationKind {
    fn from(operation: &Operation<'_>) -> Self {
        match operation {
            Operation::Put { .. } => Self::Put,
            Operation::Delete { .. } => Self::Delete,
            Operation::Get { .. } => Self::Get,
            Operation::PairSet { .. } => Self::PairSet,
        }
    }
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Done as asked.
    Done = 0,
    /// A get or delete of a key that is not there.
    NotFound = 1,
    /// The store takes no more: memory or disk is full.
    Full = 2,
    /// The value does not fit a datagram.
    TooLarge = 3,
    /// The store failed; its log says how.
    Failed = 4,
    /// The store does not take such an operation: its key or its burst is too long.
    Refused = 5,
}

impl Status {
    fn of(byte: u8) -> Option<Self> {
        const ALL: [Status; 6] = [
            Status::Done,
            Status::NotFound,
            Status::Full,
            Status::TooLarge,
            Status::Failed,
            Status::Refused,
        ];
        ALL.get(usize::from(byte)).copied()
    }
}

/// A result in a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// Which operation of the frame, from 0.
    pub index: u16,
    /// What became of it.
    pub status: Status,
    /// A get's value; empty otherwise.
    pub value: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads and checks the frame that is `datagram`.
    ///
    /// # Errors
    /// [`FrameError`]: none of its operations may run.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, FrameError> {
        let (header, body) = datagram.split_first_chunk::<HEADER>().ok_or(FrameError::Short)?;
        let mut header = Bytes(header);
        if header.take() != Some(MAGIC) {
            return Err(FrameError::Magic);
        }
        if header.take() != Some([VERSION]) {
            return Err(FrameError::Version);
        }
        let flags = header.u8().ok_or(FrameError::Short)?;
        let count = header.u16().ok_or(FrameError::Short)?;
        let sender = header.u64().ok_or(FrameError::Short)?;
        let sequence = header.u64().ok_or(FrameError::Short)?;
        let lane = header.u16().ok_or(FrameError::Short)?;
        let reserved = header.u16().ok_or(FrameError::Short)?;
        let check = header.u32().ok_or(FrameError::Short)?;
        if check != check_of(datagram) {
            return Err(FrameError::Check);
        }
        if flags & !(REPLY | ANSWER_ALL) != 0 || reserved != 0 {
            return Err(FrameError::Reserved);
        }
        if count == 0 {
            return Err(FrameError::Empty);
        }
        if sequence == 0 {
            return Err(FrameError::Sequence);
        }
        let frame = Self { flags, count, sender, sequence, lane, body };
        frame.check_body()?;
        Ok(frame)
    }

    fn check_body(&self) -> Result<(), FrameError> {
        let mut body = Bytes(self.body);
        for _ in 0..self.count {
            if self.is_reply() {
                outcome(&mut body)?;
            } else {
                operation(&mut body)?;
            }
        }
        if body.0.is_empty() { Ok(()) } else { Err(FrameError::Trailing) }
    }

    /// Whether it answers another frame: then it has outcomes, else operations.
    #[must_use]
    pub fn is_reply(&self) -> bool {
        self.flags & REPLY != 0
    }

    /// Whether the sender wants every operation answered, not gets alone.
    #[must_use]
    pub fn answers_all(&self) -> bool {
        self.flags & ANSWER_ALL != 0
    }

    /// Number of operations or outcomes; at least 1.
    #[must_use]
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Who sent it.
    #[must_use]
    pub fn sender(&self) -> u64 {
        self.sender
    }

    /// Its place among the frames of its sender and lane, from 1.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The lane that its sender holds for the owner of its keys.
    #[must_use]
    pub fn lane(&self) -> u16 {
        self.lane
    }

    /// The operations, in order; none when it is a reply.
    pub fn operations(&self) -> impl Iterator<Item = Operation<'a>> + use<'a> {
        let mut body = Bytes(if self.is_reply() { &[] } else { self.body });
        // The body was read to its end before.
        std::iter::from_fn(move || operation(&mut body).ok())
    }

    /// The outcomes, in order; none when it is no reply.
    pub fn outcomes(&self) -> impl Iterator<Item = Outcome<'a>> + use<'a> {
        let mut body = Bytes(if self.is_reply() { self.body } else { &[] });
        std::iter::from_fn(move || outcome(&mut body).ok())
    }
}

fn operation<'a>(body: &mut Bytes<'a>) -> Result<Operation<'a>, FrameError> {
    const SHORT: FrameError = FrameError::OperationShort;
    let kind = body.u8().ok_or(SHORT)?;
    let flags = body.u8().ok_or(SHORT)?;
    let key_len = body.u16().ok_or(SHORT)?;
    let value_len = body.u32().ok_or(SHORT)?;
    let key = body.bytes(usize::from(key_len)).ok_or(SHORT)?;
    let mut value = Bytes(body.bytes(value_len as usize).ok_or(SHORT)?);
    let known = match kind {
        PUT => EXPIRES,
        DELETE | GET => 0,
        PAIR_SET => HIDDEN,
        _ => return Err(FrameError::Kind),
    };
    if flags & !known != 0 {
        return Err(FrameError::Flags);
    }
    match kind {
        PUT => {
            let expires = if flags & EXPIRES == 0 {
                None
            } else {
                Some(value.u64().ok_or(FrameError::Value)?)
            };
            Ok(Operation::Put { key, value: value.0, expires })
        }
        PAIR_SET => {
            let abs = value.u64().filter(|_| value.0.is_empty()).ok_or(FrameError::Value)?;
            if abs >> 48 != 0 {
                return Err(FrameError::AbsoluteKey);
            }
            if key.is_empty() {
                return Err(FrameError::PairKey);
            }
            Ok(Operation::PairSet { key, abs, hidden: flags & HIDDEN != 0 })
        }
        _ if !value.0.is_empty() => Err(FrameError::Value),
        DELETE => Ok(Operation::Delete { key }),
        _ => Ok(Operation::Get { key }),
    }
}

fn outcome<'a>(body: &mut Bytes<'a>) -> Result<Outcome<'a>, FrameError> {
    const SHORT: FrameError = FrameError::OperationShort;
    let kind = body.u8().ok_or(SHORT)?;
    let status = body.u8().ok_or(SHORT)?;
    let index = body.u16().ok_or(SHORT)?;
    let len = body.u32().ok_or(SHORT)?;
    let value = body.bytes(len as usize).ok_or(SHORT)?;
    if !(PUT..=PAIR_SET).contains(&kind) {
        return Err(FrameError::Kind);
    }
    let status = Status::of(status).ok_or(FrameError::Flags)?;
    if !value.is_empty() && (kind != GET || status != Status::Done) {
        return Err(FrameError::Value);
    }
    Ok(Outcome { index, status, value })
}

/// Bytes that are taken from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}
