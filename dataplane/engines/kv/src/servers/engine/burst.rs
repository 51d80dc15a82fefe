//! Operations of a burst on their way to the shards that own them, and their answers.

use std::ops::Range;

use crate::op::{Op, Replies, Reply, Space};

/// Bytes of values that a parcel brings at a time, and one value more.
pub(super) const PARCEL_BYTES: usize = 1 << 20;

/// Answers to a burst, by shard.
#[derive(Debug, Default)]
pub(in crate::servers) struct Burst {
    /// Answers of shards of this loop, when no other loop took part.
    pub(super) replies: Vec<Replies>,
    /// Operations and answers of every shard, when other loops took part; empty otherwise.
    pub(super) parcels: Vec<Option<Box<Parcel>>>,
    /// Shard and index of each operation's answer; empty when there is one shard.
    pub(super) places: Vec<(u32, u32)>,
    /// Parcels that are under way.
    pub(super) away: usize,
    /// Place in line of this loop that must be durable before the answers go.
    pub(super) until: Option<u64>,
    /// What another loop wrote could not be made durable.
    pub(super) broken: bool,
}

impl Burst {
    #[inline]
    pub(super) fn place(&self, index: usize) -> Option<(usize, usize)> {
        if self.places.is_empty() {
            return Some((0, index));
        }
        self.places.get(index).map(|&(shard, at)| (shard as usize, at as usize))
    }

    pub(super) fn parcel(&self, shard: usize) -> Option<&Parcel> {
        self.parcels.get(shard)?.as_deref()
    }

    /// The answer to operation `index`.
    #[inline]
    pub(in crate::servers) fn get(&self, index: usize) -> Option<Reply> {
        let (shard, at) = self.place(index)?;
        if self.parcels.is_empty() {
            return self.replies.get(shard)?.get(at);
        }
        let parcel = self.parcel(shard)?;
        parcel.replies.get(at.checked_sub(parcel.base)?)
    }

    /// Whether the answer to operation `index` is not here: its values were too many to come with
    /// those before it.
    #[inline]
    pub(super) fn lacks(&self, index: usize) -> Option<usize> {
        if self.parcels.is_empty() {
            return None;
        }
        let (shard, at) = self.place(index)?;
        self.parcel(shard).filter(|parcel| at >= parcel.done()).map(|_| shard)
    }

    /// Whether the absolute key that operation `index` did not find was once given out, as the loop
    /// that looked for it says; `None` when it was this loop.
    pub(super) fn was_given_out(&self, index: usize) -> Option<bool> {
        let (shard, at) = self.place(index)?;
        Some(self.parcel(shard)?.given_out.contains(&at))
    }

    /// Takes a parcel that has come back.
    pub(in crate::servers) fn take(&mut self, parcel: Box<Parcel>) {
        self.broken |= parcel.broken;
        if let Some(place) = self.parcels.get_mut(parcel.shard) {
            *place = Some(parcel);
            self.away -= 1;
        }
    }

    /// Place in line of this loop that must be durable before the answers go.
    pub(in crate::servers) const fn until(&self) -> Option<u64> {
        self.until
    }

    /// Whether parcels are still to come back.
    pub(in crate::servers) const fn is_away(&self) -> bool {
        self.away > 0
    }

    /// Whether something that was written will never be durable.
    pub(in crate::servers) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Bytes of memory of its parcels, about.
    pub(in crate::servers) fn memory(&self) -> usize {
        self.parcels.iter().flatten().map(|parcel| parcel.memory()).sum()
    }
}

/// Operations for one shard with copies of their keys and values, and later their answers. It
/// travels to the loop that owns the shard and back.
#[derive(Debug, Default)]
pub(in crate::servers) struct Parcel {
    pub(super) shard: usize,
    /// Whom it goes back to: a connection, or the ticket of who waits for it.
    pub(super) token: u64,
    /// The loop that sent it waits for it, and sees to durability later.
    pub(super) waits: bool,
    /// What was written could not be made durable.
    pub(super) broken: bool,
    bytes: Vec<u8>,
    /// Operations without their keys and values, and where these lie in `bytes`.
    ops: Vec<(Op<'static>, Range<usize>, Range<usize>)>,
    /// Answers to the operations from `base` on.
    pub(super) replies: Replies,
    pub(super) base: usize,
    /// Operations about absolute keys that are missing and were once given out.
    pub(super) given_out: Vec<usize>,
}

/// A parcel at the loop that executes it.
pub(super) struct Opened<'a> {
    pub(super) base: usize,
    pub(super) ops: Vec<Op<'a>>,
    pub(super) replies: &'a mut Replies,
    pub(super) given_out: &'a mut Vec<usize>,
}

/// Bytes of memory that an empty parcel keeps.
const KEPT: usize = 256 << 10;

impl Parcel {
    /// Empties it for operations of `shard`.
    pub(super) fn begin(&mut self, shard: usize) {
        (self.shard, self.base, self.broken, self.waits) = (shard, 0, false, false);
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.ops.clear();
        self.given_out.clear();
        self.replies.reset(KEPT);
    }

    pub(super) fn len(&self) -> usize {
        self.ops.len()
    }

    fn memory(&self) -> usize {
        self.bytes.capacity() + self.replies.memory()
    }

    /// Whether any of its operations writes.
    pub(super) fn writes(&self) -> bool {
        !self.ops.iter().all(|(op, ..)| op.reads())
    }

    /// Operations that are executed.
    pub(super) fn done(&self) -> usize {
        self.base + self.replies.len()
    }

    pub(super) fn push(&mut self, op: &Op<'_>) {
        let (key, value) = strings(op);
        let at = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        let key = at..at + key.len();
        let value = key.end..self.bytes.len();
        self.ops.push((with(op, b"", b""), key, value));
    }

    /// The operations that are not executed, and the answers to be filled in.
    pub(super) fn open(&mut self) -> Opened<'_> {
        self.base = self.done();
        let Self { bytes, ops, replies, base, given_out, .. } = self;
        let text = |range: &Range<usize>| bytes.get(range.clone()).unwrap_or_default();
        let left = ops.get(*base..).unwrap_or_default();
        let ops = left.iter().map(|(op, key, value)| with(op, text(key), text(value))).collect();
        Opened { base: *base, ops, replies, given_out }
    }
}

/// The key and the value of an operation; empty where it has none.
const fn strings<'a>(op: &Op<'a>) -> (&'a [u8], &'a [u8]) {
    match *op {
        Op::Get { key, .. }
        | Op::Delete { key, .. }
        | Op::Expire { key, .. }
        | Op::Add { key, .. } => (key, b""),
        Op::Put { key, value, .. } => (key, value),
        Op::Insert { value, .. } | Op::Edit { value, .. } => (b"", value),
        Op::Read { .. } | Op::Remove { .. } => (b"", b""),
    }
}

/// The same operation with another key and value.
const fn with<'b>(op: &Op<'_>, key: &'b [u8], value: &'b [u8]) -> Op<'b> {
    match *op {
        Op::Get { space, .. } => Op::Get { space, key },
        Op::Delete { space, .. } => Op::Delete { space, key },
        Op::Expire { space, expiry, .. } => Op::Expire { space, key, expiry },
        Op::Add { space, by, .. } => Op::Add { space, key, by },
        Op::Put { space, expiry, condition, hidden, .. } => {
            Op::Put { space, key, value, expiry, condition, hidden }
        }
        Op::Insert { space, .. } => Op::Insert { space, value },
        Op::Edit { space, absolute, .. } => Op::Edit { space, absolute, value },
        Op::Read { space, absolute } => Op::Read { space, absolute },
        Op::Remove { space, absolute } => Op::Remove { space, absolute },
    }
}

/// The space and the number of an absolute key that an operation is about.
pub(super) const fn absolute_of(op: &Op<'_>) -> Option<(Space, u64)> {
    match *op {
        Op::Read { space, absolute }
        | Op::Edit { space, absolute, .. }
        | Op::Remove { space, absolute } => Some((space, absolute)),
        _ => None,
    }
}
