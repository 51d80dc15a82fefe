//! The shards that one loop owns, and the order in which their writes may be acknowledged.

use std::collections::VecDeque;

use super::burst::{Burst, Opened, PARCEL_BYTES, Parcel, absolute_of};
use crate::op::{Op, OpError, Replies, Reply, Space};
use crate::shard::{Row, Scan, Shard, Usage};
use crate::shared::{HeldShard, SharedShard, SharedStore};
use crate::{DurableError, MergedRows, Ticket, pair_of};

/// The shards of one loop.
pub(in crate::servers) struct Local {
    /// Shard `index * loops + me` of the store.
    doors: Vec<SharedShard>,
    /// The same, in hand: always when this loop alone serves them, else between [`Local::take`] and
    /// [`Local::give_back`].
    shards: Vec<HeldShard>,
    /// Other threads than the server's use the shards as well.
    lends: bool,
    /// Milliseconds since 1970, as last told.
    now: u64,
    pub(super) me: usize,
    pub(super) loops: usize,
    /// Shards of the whole store.
    pub(super) total: usize,
    /// Writes that may not be acknowledged yet: their place in line, shard and ticket.
    waiting: VecDeque<(u64, usize, Ticket)>,
    /// The last place in line given out.
    last: u64,
    /// Where the next absolute key comes from.
    turn: usize,
    /// Operations of a burst by their shard.
    lists: Vec<Vec<Op<'static>>>,
    /// The last place in line that was given out since it was last taken.
    wrote: Option<u64>,
}

impl std::fmt::Debug for Local {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { me, loops, total, lends, .. } = self;
        write!(to, "Local({me} of {loops} loops, {total} shards, lends {lends})")
    }
}

/// What a step of a purge has found: what goes, and where the next step goes on.
#[derive(Debug)]
pub(in crate::servers) struct Stretch {
    /// Absolute keys that the pairs lead to, in order.
    pub(in crate::servers) absolutes: Vec<u64>,
    /// The last key of the stretch.
    pub(in crate::servers) last: Vec<u8>,
    /// Whether there are keys behind it.
    pub(in crate::servers) more: bool,
}

impl Local {
    pub(super) fn new(store: &SharedStore, me: usize, loops: usize, lends: bool) -> Self {
        let doors = store.every(me, loops);
        let mut new = Self {
            lists: doors.iter().map(|_| Vec::new()).collect(),
            shards: Vec::with_capacity(doors.len()),
            doors,
            lends,
            now: 0,
            me,
            loops,
            total: store.shards(),
            waiting: VecDeque::new(),
            last: 0,
            turn: 0,
            wrote: None,
        };
        if !lends {
            new.take();
        }
        new
    }

    /// Takes the shards in hand, one after the other; who shares them holds one at a time, so that nobody
    /// waits in a circle. Nothing, when they are.
    #[inline]
    pub(super) fn take(&mut self) {
        if self.shards.is_empty() {
            self.shards.extend(self.doors.iter().map(|door| door.lock_arc()));
            if self.lends {
                self.set_clock(self.now);
            }
        }
    }

    /// Gives the shards back to those who share them, first to who waits.
    #[inline]
    pub(super) fn give_back(&mut self) {
        if self.lends {
            self.shards.drain(..).for_each(HeldShard::unlock_fair);
        }
    }

    pub(super) fn shards(&self) -> &[HeldShard] {
        &self.shards
    }

    /// Shard `number` of the store, when it is this loop's.
    #[inline]
    pub(super) fn shard(&self, number: usize) -> Option<&Shard> {
        let index = self.index(number)?;
        Some(self.shards.get(index)?.shard())
    }

    /// Where shard `number` of the store is among this loop's.
    #[inline]
    fn index(&self, number: usize) -> Option<usize> {
        (number % self.loops == self.me).then_some(number / self.loops)
    }

    /// Tells the time, in milliseconds since 1970.
    pub(super) fn set_clock(&mut self, now: u64) {
        self.now = now;
        self.shards.iter_mut().for_each(|shard| shard.set_clock(now));
    }

    /// Number of the shard that owns what `op` is about; new absolute keys go around this loop's.
    pub(super) fn owner(&mut self, op: &Op<'_>) -> usize {
        match *op {
            Op::Get { space, key }
            | Op::Put { space, key, .. }
            | Op::Delete { space, key }
            | Op::Expire { space, key, .. }
            | Op::Add { space, key, .. } => {
                self.shards.first().map_or(0, |shard| shard.shard().owner(space, key))
            }
            Op::Insert { .. } => {
                let index = self.turn;
                self.turn = (self.turn + 1) % self.shards.len();
                index * self.loops + self.me
            }
            Op::Read { absolute, .. } | Op::Edit { absolute, .. } | Op::Remove { absolute, .. } => {
                (absolute.wrapping_sub(1) % self.total as u64) as usize
            }
        }
    }

    /// Executes `ops`, each at its shard and in order there; all of them are this loop's. Gives the
    /// place in line that must be durable before the answers go.
    #[inline]
    pub(super) fn execute(&mut self, ops: &[Op<'_>], burst: &mut Burst) -> Option<u64> {
        burst.replies.resize_with(self.shards.len(), Replies::new);
        if let ([shard], [replies], 1) =
            (self.shards.as_mut_slice(), burst.replies.as_mut_slice(), self.total)
        {
            let ticket = shard.execute(ops, replies);
            burst.places.clear();
            return self.wait_for(0, ticket);
        }
        self.spread(ops, burst)
    }

    /// As [`Local::execute`], over several shards.
    fn spread(&mut self, ops: &[Op<'_>], burst: &mut Burst) -> Option<u64> {
        burst.places.clear();
        let mut lists: Vec<Vec<Op<'_>>> = std::mem::take(&mut self.lists);
        for op in ops {
            let owner = self.owner(op) / self.loops;
            burst.places.push((owner as u32, lists[owner].len() as u32));
            lists[owner].push(*op);
        }
        let mut until = None;
        for (shard, (list, replies)) in lists.iter().zip(&mut burst.replies).enumerate() {
            // An empty burst still clears the answers of the last one.
            let ticket = self.shards[shard].execute(list, replies);
            until = until.max(self.wait_for(shard, ticket));
        }
        // Nothing is left to convert: this reuses the allocations.
        let recycle = |mut list: Vec<Op<'_>>| -> Vec<Op<'static>> {
            list.clear();
            list.into_iter().map(|_| Op::get(Space(0), b"")).collect()
        };
        self.lists = lists.into_iter().map(recycle).collect();
        until
    }

    /// Executes what a parcel for one of these shards asks for and is not executed: all of it, or,
    /// when it only reads, as much as its answers have room for. Values are copied.
    pub(super) fn run(&mut self, parcel: &mut Parcel) -> Option<u64> {
        let index = self.index(parcel.shard)?;
        let shard = self.shards.get_mut(index)?;
        let Opened { base, ops, replies, given_out } = parcel.open();
        let ticket = shard.execute(&ops, replies);
        replies.detach(shard.shard(), PARCEL_BYTES);
        for (at, op) in ops.iter().enumerate().take(replies.len()) {
            if let (Some((space, absolute)), Some(Reply::Missing)) =
                (absolute_of(op), replies.get(at))
                && absolute != 0
                && absolute < shard.shard().next_absolute(space)
            {
                given_out.push(base + at);
            }
        }
        self.wait_for(index, ticket)
    }

    /// A place in line for `ticket` of the shard at `index`; none when there is nothing to wait for.
    #[inline]
    fn wait_for(&mut self, index: usize, ticket: Ticket) -> Option<u64> {
        if ticket == Ticket(0) || self.shards[index].acknowledged(ticket) {
            return None;
        }
        if !matches!(self.waiting.back(), Some(&(_, s, t)) if (s, t) == (index, ticket)) {
            self.last += 1;
            self.waiting.push_back((self.last, index, ticket));
        }
        self.wrote = Some(self.last);
        self.wrote
    }

    /// The place in line of the last write since this was last asked.
    pub(super) fn take_wrote(&mut self) -> Option<u64> {
        self.wrote.take()
    }

    /// The place in line that is durable when everything written so far is; none when it is.
    pub(super) fn place(&self) -> Option<u64> {
        self.waiting.back().map(|&(place, _, _)| place)
    }

    /// Writes and syncs what is due; gives the place in line up to which everything may be acknowledged.
    pub(super) fn commit(&mut self) -> u64 {
        if !self.waiting.is_empty() {
            self.shards.iter_mut().for_each(|shard| shard.commit());
        }
        while let Some(&(_, shard, ticket)) = self.waiting.front()
            && self.shards[shard].acknowledged(ticket)
        {
            self.waiting.pop_front();
        }
        self.waiting.front().map_or(self.last, |&(place, _, _)| place - 1)
    }

    /// Whether writes wait for the disk.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether what waits for the disk will never be on it.
    pub(super) fn is_broken(&self) -> bool {
        self.is_waiting() && self.shards.iter().any(|shard| shard.is_poisoned())
    }

    /// Work for an idle moment: cleaning, expiry, snapshots; whether there is more.
    pub(super) fn work(&mut self) -> bool {
        self.shards.iter_mut().fold(false, |more, shard| shard.poll() | more)
    }

    /// Whether an absolute key of these shards was ever given out.
    pub(super) fn was_given_out(&self, space: Space, absolute: u64) -> bool {
        let shard = absolute.checked_sub(1).map(|index| (index % self.total as u64) as usize);
        let shard = shard.and_then(|shard| self.shard(shard));
        shard.is_some_and(|shard| absolute < shard.next_absolute(space))
    }

    pub(super) fn scan<'a>(&'a self, scan: &Scan<'a>) -> MergedRows<'a> {
        MergedRows::over(self.shards.iter().map(|shard| shard.shard()), scan)
    }

    /// The value of an absolute key of these shards.
    pub(in crate::servers) fn read(&self, space: Space, absolute: u64) -> Option<&[u8]> {
        let owner = absolute.checked_sub(1)? % self.total as u64;
        self.shard(owner as usize)?.read(space, absolute)
    }

    /// Keys of a space, those that have expired and are not yet removed included.
    pub(in crate::servers) fn keys(&self, space: Space) -> u64 {
        self.shards.iter().map(|shard| shard.shard().len(space)).sum()
    }

    /// What goes first when the keys of shard `number` under `prefix` are purged, `most` of those
    /// behind `after`; `None` when there is nothing.
    pub(in crate::servers) fn stretch(
        &self,
        number: usize,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        most: usize,
    ) -> Option<Stretch> {
        let mut absolutes = Vec::new();
        let each = |row: &Row<'_>| absolutes.extend(pair_of(row.value));
        let (last, more) = self.shard(number)?.stretch(space, prefix, after, most, each)?;
        Some(Stretch { absolutes, last, more })
    }

    /// Removes the keys of shard `number` under `prefix` up to `last`, as one change; `None`, and
    /// nothing is removed, when they do not lead to `absolutes` any more.
    pub(in crate::servers) fn purge_to(
        &mut self,
        number: usize,
        space: Space,
        prefix: &[u8],
        last: &[u8],
        absolutes: Option<&[u64]>,
    ) -> Result<Option<u64>, OpError> {
        let Some(index) = self.index(number) else { return Ok(None) };
        if let Some(expected) = absolutes {
            let mut found = Vec::with_capacity(expected.len());
            let rows = self.shards[index].shard().every_row(space, prefix);
            for row in rows.take_while(|row| row.key <= last) {
                found.extend(pair_of(row.value));
            }
            if found != expected {
                return Ok(None);
            }
        }
        let (removed, ticket) = self.shards[index].purge_to(space, prefix, last)?;
        self.wait_for(index, ticket);
        Ok(Some(removed))
    }

    /// Removes a few thousand absolute keys of shard `number` from `from` on; where to go on.
    pub(in crate::servers) fn remove_objects(
        &mut self,
        number: usize,
        space: Space,
        from: u64,
    ) -> Result<Option<u64>, OpError> {
        let Some(index) = self.index(number) else { return Ok(None) };
        let shard = &mut self.shards[index];
        let mut doomed = Vec::new();
        let next = shard.shard().each_object(space, from, |absolute, _| doomed.push(absolute));
        let mut replies = Replies::new();
        let ops: Vec<_> =
            doomed.into_iter().map(|absolute| Op::Remove { space, absolute }).collect();
        let ticket = shard.execute(&ops, &mut replies);
        self.wait_for(index, ticket);
        match replies.iter().find_map(|reply| match reply {
            Reply::Failed(error) => Some(error),
            _ => None,
        }) {
            Some(error) => Err(error),
            None => Ok(next),
        }
    }

    /// Makes everything durable now.
    pub(super) fn flush(&mut self) -> Result<(), DurableError> {
        self.shards.iter_mut().try_for_each(|shard| shard.flush())
    }

    pub(super) fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        for shard in &self.shards {
            sum.add(&shard.shard().usage());
        }
        sum
    }
}
