//! Operations and what they answer.

use thiserror::Error;

use crate::shard::Shard;

/// Longest key in bytes.
pub const KEY_MAX: usize = 64 << 10;
/// Longest value in bytes.
pub const VALUE_MAX: usize = 64 << 20;
/// Most bytes of keys and values that one burst on disk may write.
pub const BURST_MAX: usize = 1 << 30;
/// Greatest absolute key: they have 48 bits, and count from 1.
pub const ABSOLUTE_MAX: u64 = (1 << 48) - 1;

/// A set of keys with an order of its own. Spaces are numbers; names are the databases' affair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Space(pub u16);

/// When a key is to expire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// Never.
    #[default]
    Never,
    /// As before; never when the key is new.
    Keep,
    /// At this time, in milliseconds since 1970; not 0.
    At(u64),
}

/// What must hold for a write to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    Always,
    /// The key is not there.
    Absent,
    /// The key is there.
    Present,
}

/// One operation. Keys are at most [`KEY_MAX`] bytes, values [`VALUE_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// Answers [`Reply::Value`] or [`Reply::Missing`].
    Get {
        /// Where.
        space: Space,
        /// Which.
        key: &'a [u8],
    },
    /// Answers [`Reply::Done`], or [`Reply::Unmet`] when `condition` does not hold.
    Put {
        /// Where.
        space: Space,
        /// Which.
        key: &'a [u8],
        /// The new value.
        value: &'a [u8],
        /// When it is to go.
        expiry: Expiry,
        /// When it is to be done.
        condition: Condition,
        /// Scans leave the key out unless asked.
        hidden: bool,
    },
    /// Answers [`Reply::Done`] or [`Reply::Missing`].
    Delete {
        /// Where.
        space: Space,
        /// Which.
        key: &'a [u8],
    },
    /// Sets the time at which a key goes. Answers [`Reply::Done`] or [`Reply::Missing`].
    Expire {
        /// Where.
        space: Space,
        /// Which.
        key: &'a [u8],
        /// When.
        expiry: Expiry,
    },
    /// Adds to a value that is a decimal number, 0 when missing. Answers [`Reply::Number`].
    Add {
        /// Where.
        space: Space,
        /// Which.
        key: &'a [u8],
        /// How much.
        by: i64,
    },
    /// Keeps a value under a new absolute key. Answers [`Reply::Absolute`].
    Insert {
        /// Where.
        space: Space,
        /// The value.
        value: &'a [u8],
    },
    /// The value of an absolute key. Answers [`Reply::Value`] or [`Reply::Missing`].
    Read {
        /// Where.
        space: Space,
        /// Which.
        absolute: u64,
    },
    /// Another value for an absolute key that exists. Answers [`Reply::Done`] or [`Reply::Missing`].
    Edit {
        /// Where.
        space: Space,
        /// Which.
        absolute: u64,
        /// The new value.
        value: &'a [u8],
    },
    /// Forgets an absolute key, for ever. Answers [`Reply::Done`] or [`Reply::Missing`].
    Remove {
        /// Where.
        space: Space,
        /// Which.
        absolute: u64,
    },
}

impl<'a> Op<'a> {
    /// A get.
    #[must_use]
    pub const fn get(space: Space, key: &'a [u8]) -> Self {
        Self::Get { space, key }
    }

    /// A put without conditions.
    #[must_use]
    pub const fn put(space: Space, key: &'a [u8], value: &'a [u8]) -> Self {
        let (expiry, condition) = (Expiry::Never, Condition::Always);
        Self::Put { space, key, value, expiry, condition, hidden: false }
    }

    /// A delete.
    #[must_use]
    pub const fn delete(space: Space, key: &'a [u8]) -> Self {
        Self::Delete { space, key }
    }

    /// Whether it only reads.
    #[must_use]
    pub const fn reads(&self) -> bool {
        matches!(self, Self::Get { .. } | Self::Read { .. })
    }
}

/// Why an operation was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OpError {
    /// The key is longer than [`KEY_MAX`].
    #[error("a key of {len} bytes: at most {KEY_MAX} are allowed")]
    KeyTooLong {
        /// Its length.
        len: usize,
    },
    /// The value is longer than [`VALUE_MAX`].
    #[error("a value of {len} bytes: at most {VALUE_MAX} are allowed")]
    ValueTooLong {
        /// Its length.
        len: usize,
    },
    /// The changes of one burst do not fit a frame of the log.
    #[error(
        "a burst of {len} bytes: at most {BURST_MAX} are allowed; send fewer operations at once"
    )]
    BurstTooLong {
        /// Its bytes.
        len: usize,
    },
    /// The memory bound is reached.
    #[error("memory is full: a shard may use {bound} bytes; delete keys or raise the bound")]
    Full {
        /// The bound in bytes.
        bound: u64,
    },
    /// The system gave no memory.
    #[error("the system gave no memory (error {errno}); lower the bound or free memory")]
    System {
        /// The system's error number, 0 when it gave none.
        errno: i32,
    },
    /// The value is not a decimal number of 64 bits.
    #[error("the value is not an integer or out of range")]
    NotANumber,
    /// The sum does not fit 64 bits.
    #[error("increment or decrement would overflow")]
    Overflow,
    /// All absolute keys have been given out.
    #[error("all absolute keys of the space have been given out")]
    NoAbsolute,
    /// The disk is full: writes wait until there is space.
    #[error("the disk is full: the store is read-only until there is space")]
    ReadOnly,
    /// Writing or syncing the log failed.
    #[error("the log could not be made durable: the store takes no writes; open it again")]
    Poisoned,
}

/// What an operation answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done.
    Done,
    /// There is no such key.
    Missing,
    /// The condition did not hold.
    Unmet,
    /// There is a value; [`Replies::value`] gives it.
    Value {
        /// When it goes, in milliseconds since 1970; 0 for never.
        expiry: u64,
    },
    /// The new number.
    Number(i64),
    /// The new absolute key.
    Absolute(u64),
    /// Not done.
    Failed(OpError),
}

/// Place of a value: in the log, or among the copies.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: usize,
    len: usize,
}

/// The answers to a burst, in the order of its operations. It is filled again and again, so that
/// nothing is allocated once it has grown.
#[derive(Debug, Default)]
pub struct Replies {
    list: Vec<(Reply, Span)>,
    copies: Vec<u8>,
    /// Values were copied; otherwise they lie in the log of the shard and state in `origin`.
    copied: bool,
    origin: (u64, u64),
}

impl Replies {
    /// Room for answers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn begin(&mut self, copied: bool, origin: (u64, u64)) {
        self.list.clear();
        self.copies.clear();
        (self.copied, self.origin) = (copied, origin);
    }

    /// Empties it, and keeps at most about `kept` bytes of memory.
    pub(crate) fn reset(&mut self, kept: usize) {
        self.begin(false, (0, 0));
        self.copies.shrink_to(kept);
        self.list.shrink_to(kept / size_of::<(Reply, Span)>());
    }

    /// Bytes of memory of copied values.
    pub(crate) const fn memory(&self) -> usize {
        self.copies.capacity()
    }

    pub(crate) fn push(&mut self, reply: Reply) {
        self.list.push((reply, Span::default()));
    }

    /// Adds a value that begins `start` bytes into the log.
    #[inline]
    pub(crate) fn push_value(&mut self, expiry: u64, start: usize, value: &[u8]) {
        let mut span = Span { start, len: value.len() };
        if self.copied {
            span.start = self.copies.len();
            self.copies.extend_from_slice(value);
        }
        self.list.push((Reply::Value { expiry }, span));
    }

    /// Turns every success into `error`: what was done is not going to be durable.
    pub(crate) fn fail_writes(&mut self, error: OpError) {
        for (reply, _) in &mut self.list {
            if matches!(reply, Reply::Done | Reply::Number(_) | Reply::Absolute(_)) {
                *reply = Reply::Failed(error);
            }
        }
    }

    /// Answers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The answer to operation `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Reply> {
        Some(self.list.get(index)?.0)
    }

    /// All answers in order.
    pub fn iter(&self) -> impl Iterator<Item = Reply> + '_ {
        self.list.iter().map(|&(reply, _)| reply)
    }

    /// Copies the values that lie in the log of `shard`, which answered, so that they can be read
    /// whatever it does next: as many as `most` bytes have room for, and at least the first. The
    /// answers behind them are dropped.
    pub(crate) fn detach(&mut self, shard: &Shard, most: usize) {
        if self.copied {
            return;
        }
        let mut kept = 0;
        for (reply, span) in &mut self.list {
            if self.copies.len() > most {
                break;
            }
            if let Reply::Value { .. } = reply {
                let value = shard.bytes_at(self.origin, span.start, span.len).unwrap_or_default();
                (span.start, span.len) = (self.copies.len(), value.len());
                self.copies.extend_from_slice(value);
            }
            kept += 1;
        }
        self.list.truncate(kept);
        self.copied = true;
    }

    /// As [`Replies::value`], of values that were copied.
    pub(crate) fn copied_value(&self, index: usize) -> Option<&[u8]> {
        let &(reply, Span { start, len }) = self.list.get(index)?;
        let found = self.copied && matches!(reply, Reply::Value { .. });
        if found { self.copies.get(start..start + len) } else { None }
    }

    /// The value that operation `index` found, where it lies; `shard` is the one that answered.
    /// `None` when it found none, or when the shard has executed something else since.
    #[inline]
    #[must_use]
    pub fn value<'a>(&'a self, shard: &'a Shard, index: usize) -> Option<&'a [u8]> {
        let &(reply, Span { start, len }) = self.list.get(index)?;
        match reply {
            Reply::Value { .. } if self.copied => self.copies.get(start..start + len),
            Reply::Value { .. } => shard.bytes_at(self.origin, start, len),
            _ => None,
        }
    }
}
