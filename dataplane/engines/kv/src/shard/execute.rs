//! Bursts: hash all, fetch the buckets, fetch the records, then do them.

use super::{Journal, NoJournal, Shard};
use crate::change::Change;
use crate::index::Place;
use crate::log::Loc;
use crate::memory::prefetch;
use crate::op::{Expiry, Op, OpError, Replies, Reply, Space};
use crate::record::HIDDEN;

/// Operations whose memory is fetched ahead together.
pub const BURST: usize = 16;

/// A put as it is to be done.
#[derive(Clone, Copy)]
pub(super) struct Put<'a> {
    pub(super) space: Space,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) expiry: u64,
    pub(super) flags: u8,
    /// Where a new key belongs in its order, if that was looked for.
    pub(super) place: &'a Place,
}

impl Shard {
    /// Executes `ops` in order, and answers each. Keys must be this shard's
    /// ([`Shard::owner`]); absolute keys as well.
    ///
    /// Values found by a burst without writes are not copied: they can be read until the next call.
    pub fn execute(&mut self, ops: &[Op<'_>], replies: &mut Replies) {
        self.execute_noted(ops, replies, &mut NoJournal);
    }

    pub(crate) fn execute_noted(
        &mut self,
        ops: &[Op<'_>],
        replies: &mut Replies,
        journal: &mut impl Journal,
    ) {
        let reads = ops.iter().all(Op::reads);
        if !reads {
            self.maintain_burst();
        }
        self.origin.1 += 1;
        replies.begin(!reads, self.origin);
        for burst in ops.chunks(BURST) {
            let tags = self.fetch(burst);
            if reads {
                self.fetch_ends(&tags);
                for (op, &tag) in burst.iter().zip(&tags) {
                    self.execute_one(op, tag, &Place::NONE, replies, journal);
                }
            } else {
                let places = self.fetch_leaves(burst, &tags);
                for ((op, &tag), place) in burst.iter().zip(&tags).zip(&places) {
                    self.execute_one(op, tag, place, replies, journal);
                }
            }
        }
    }

    /// Fetches ahead what `burst` is going to look at; the tags of its keys.
    #[inline(always)]
    fn fetch(&self, burst: &[Op<'_>]) -> [u32; BURST] {
        let mut tags = [0; BURST];
        for (op, tag) in burst.iter().zip(&mut tags) {
            if let Some((space, key)) = key_of(op) {
                *tag = self.tag(space, key);
                self.table.prefetch(*tag);
            }
        }
        let keyed = |op: &Op<'_>| key_of(op).is_some();
        let found = burst.iter().zip(&tags).filter(|(op, _)| keyed(op));
        self.fetch_records(found.map(|(_, &tag)| tag));
        tags
    }

    /// Fetches ahead the records that `tags` most likely lead to.
    #[inline(always)]
    fn fetch_records(&self, tags: impl Iterator<Item = u32>) {
        for tag in tags {
            let loc = self.table.likely(tag);
            if loc != 0 {
                self.log.prefetch(loc);
            }
        }
    }

    /// Fetches ahead the ends of the values that `tags` most likely lead to: their records must be
    /// on their way.
    #[inline(always)]
    fn fetch_ends(&self, tags: &[u32]) {
        for &tag in tags {
            let loc = self.table.likely(tag);
            if loc != 0 {
                self.log.prefetch_end(loc);
            }
        }
    }

    /// Fetches ahead the leaves of the ordered index that keys not there yet will go to; where those are. Only
    /// for the space that most bursts have alone: that of the first such key.
    #[inline]
    fn fetch_leaves(&self, burst: &[Op<'_>], tags: &[u32]) -> [Place; BURST] {
        let (mut places, mut keys) = ([Place::NONE; BURST], [None; BURST]);
        let mut of = None;
        for ((op, &tag), wanted) in burst.iter().zip(tags).zip(&mut keys) {
            if let Op::Put { space, key, .. } | Op::Add { space, key, .. } = *op
                && self.table.likely(tag) == 0
                && *of.get_or_insert(space) == space
            {
                self.table.prefetch_behind(tag);
                *wanted = Some(key);
            }
        }
        if let Some(space) = of.and_then(|space| self.space(space)) {
            space.order.prefetch(&self.arena, &keys, &mut places);
        }
        places
    }

    /// Calls `each` with the index and the value of every key of `keys`, fetched ahead in bursts.
    pub fn get_many(
        &self,
        space: Space,
        keys: &[&[u8]],
        mut each: impl FnMut(usize, Option<&[u8]>),
    ) {
        for (first, keys) in keys.chunks(BURST).enumerate() {
            let mut tags = [0; BURST];
            for (key, tag) in keys.iter().zip(&mut tags) {
                *tag = self.tag(space, key);
                self.table.prefetch(*tag);
            }
            self.fetch_records(tags[..keys.len()].iter().copied());
            let mut values: [Option<&[u8]>; BURST] = [None; BURST];
            for ((key, &tag), value) in keys.iter().zip(&tags).zip(&mut values) {
                let found = self.find(tag, space, key).map(|(_, record)| record);
                *value =
                    found.filter(|record| !record.expired(self.now)).map(|record| record.value);
                if let Some(value) = value {
                    prefetch(value.as_ptr_range().end.wrapping_sub(1));
                }
            }
            for (index, value) in values[..keys.len()].iter().enumerate() {
                each(first * BURST + index, *value);
            }
        }
    }

    #[inline]
    fn execute_one(
        &mut self,
        op: &Op<'_>,
        tag: u32,
        place: &Place,
        replies: &mut Replies,
        journal: &mut impl Journal,
    ) {
        if let Some(reason) = self.refused
            && !op.reads()
        {
            return replies.push(Reply::Failed(reason));
        }
        let reply = match *op {
            Op::Get { space, key } => match self.find(tag, space, key) {
                Some((_, record)) if !record.expired(self.now) => {
                    let start = self.log.offset_of(record.value);
                    return replies.push_value(record.expiry, start, record.value);
                }
                _ => Ok(Reply::Missing),
            },
            Op::Put { .. } => self.execute_put(op, tag, place, journal),
            Op::Delete { space, key } => Ok(self.execute_delete(tag, space, key, journal)),
            Op::Expire { space, key, expiry } => self.expire(tag, space, key, expiry, journal),
            Op::Add { space, key, by } => self.add(tag, place, space, key, by, journal),
            Op::Insert { space, value } => self.insert_object(space, value, journal),
            Op::Read { space, absolute } => match self.object(space, absolute) {
                Some(loc) => {
                    let value = self.log.record(loc).value;
                    let start = self.log.offset_of(value);
                    return replies.push_value(0, start, value);
                }
                None => Ok(Reply::Missing),
            },
            Op::Edit { space, absolute, value } => {
                self.edit_object(space, absolute, value, journal)
            }
            Op::Remove { space, absolute } => Ok(self.remove_object(space, absolute, journal)),
        };
        replies.push(reply.unwrap_or_else(Reply::Failed));
    }

    fn execute_put(
        &mut self,
        op: &Op<'_>,
        tag: u32,
        place: &Place,
        journal: &mut impl Journal,
    ) -> Result<Reply, OpError> {
        let Op::Put { space, key, value, expiry, condition, hidden } = *op else {
            return Ok(Reply::Unmet);
        };
        let found = self.find(tag, space, key);
        let old = found.map(|(loc, _)| loc);
        let valid = found.filter(|(_, record)| !record.expired(self.now));
        if !condition.holds(valid.is_some()) {
            return Ok(Reply::Unmet);
        }
        let expiry = match expiry {
            Expiry::Never => 0,
            Expiry::At(at) => at,
            Expiry::Keep => valid.map_or(0, |(_, record)| record.expiry),
        };
        let flags = if hidden { HIDDEN } else { 0 };
        self.put(tag, old, &Put { space, key, value, expiry, flags, place }, journal)?;
        Ok(Reply::Done)
    }

    fn execute_delete(
        &mut self,
        tag: u32,
        space: Space,
        key: &[u8],
        journal: &mut impl Journal,
    ) -> Reply {
        let Some((loc, record)) = self.find(tag, space, key) else { return Reply::Missing };
        let expired = record.expired(self.now);
        self.delete(tag, loc);
        journal.note(&Change::Delete { space: space.0, key });
        if expired { Reply::Missing } else { Reply::Done }
    }

    pub(super) fn expire(
        &mut self,
        tag: u32,
        space: Space,
        key: &[u8],
        expiry: Expiry,
        journal: &mut impl Journal,
    ) -> Result<Reply, OpError> {
        let Some((loc, record)) = self.find(tag, space, key) else { return Ok(Reply::Missing) };
        if record.expired(self.now) {
            return Ok(Reply::Missing);
        }
        let expiry = match expiry {
            Expiry::Never => 0,
            Expiry::At(at) => at,
            Expiry::Keep => record.expiry,
        };
        let flags = record.flags & HIDDEN;
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.extend_from_slice(self.log.record(loc).value);
        let place = &Place::NONE;
        let put = Put { space, key, value: &scratch, expiry, flags, place };
        let done = self.put(tag, Some(loc), &put, &mut NoJournal);
        self.scratch = scratch;
        done?;
        journal.note(&Change::Expire { space: space.0, expiry, key });
        Ok(Reply::Done)
    }

    fn add(
        &mut self,
        tag: u32,
        place: &Place,
        space: Space,
        key: &[u8],
        by: i64,
        journal: &mut impl Journal,
    ) -> Result<Reply, OpError> {
        let found = self.find(tag, space, key);
        let old: Option<Loc> = found.map(|(loc, _)| loc);
        let (number, expiry, flags) = match found {
            Some((_, record)) if !record.expired(self.now) => {
                let number = decimal(record.value).ok_or(OpError::NotANumber)?;
                (number, record.expiry, record.flags & HIDDEN)
            }
            _ => (0, 0, 0),
        };
        let number = number.checked_add(by).ok_or(OpError::Overflow)?;
        let mut text = [0; 20];
        let value = write_decimal(number, &mut text);
        self.put(tag, old, &Put { space, key, value, expiry, flags, place }, journal)?;
        Ok(Reply::Number(number))
    }
}

#[inline(always)]
fn key_of<'a>(op: &Op<'a>) -> Option<(Space, &'a [u8])> {
    match *op {
        Op::Get { space, key }
        | Op::Put { space, key, .. }
        | Op::Delete { space, key }
        | Op::Expire { space, key, .. }
        | Op::Add { space, key, .. } => Some((space, key)),
        _ => None,
    }
}

/// A decimal number as redis takes it: no sign but `-`, no leading zero, no spaces.
fn decimal(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let plain = digits.iter().all(u8::is_ascii_digit) && !digits.is_empty();
    if !plain || (digits[0] == b'0' && text.len() > 1) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn write_decimal(number: i64, text: &mut [u8; 20]) -> &[u8] {
    let mut left = number.unsigned_abs();
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        at -= 1;
        text[at] = b'-';
    }
    &text[at..]
}

impl crate::op::Condition {
    const fn holds(self, present: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Absent => !present,
            Self::Present => present,
        }
    }
}
