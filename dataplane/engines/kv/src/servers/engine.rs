//! The store as the servers see it: bursts over its shards, and what waits for the disk.

use std::collections::VecDeque;

use crate::op::{Op, OpError, Replies, Reply, Space};
use crate::shard::{Scan, Usage};
use crate::{Database, DurableError, MergedRows, Store, StoreShard, Ticket};

/// A store, and the order in which its writes may be acknowledged.
#[derive(Debug)]
pub(super) struct Engine {
    store: Store,
    /// Writes that may not be acknowledged yet: their place in line, shard and ticket.
    waiting: VecDeque<(u64, usize, Ticket)>,
    /// The last place in line given out.
    last: u64,
    /// Operations of a burst by their shard.
    lists: Vec<Vec<Op<'static>>>,
}

/// Answers to a burst, by shard.
#[derive(Debug, Default)]
pub(super) struct Burst {
    replies: Vec<Replies>,
    /// Shard and index of each operation's answer; empty when there is one shard.
    places: Vec<(u32, u32)>,
}

impl Burst {
    #[inline]
    fn place(&self, index: usize) -> Option<(usize, usize)> {
        if self.replies.len() == 1 {
            return Some((0, index));
        }
        self.places.get(index).map(|&(shard, at)| (shard as usize, at as usize))
    }

    /// The answer to operation `index`.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<Reply> {
        let (shard, at) = self.place(index)?;
        self.replies.get(shard)?.get(at)
    }
}

impl Engine {
    pub(super) fn new(store: Store) -> Self {
        let lists = store.shards().iter().map(|_| Vec::new()).collect();
        Self { store, waiting: VecDeque::new(), last: 0, lists }
    }

    /// Calls `wake` whenever more has become durable, from other threads.
    pub(super) fn wake_with(&self, wake: impl Fn() + Clone + Send + Sync + 'static) {
        for shard in self.store.shards() {
            if let StoreShard::Durable(shard) = shard {
                shard.wake_with(Box::new(wake.clone()));
            }
        }
    }

    /// Tells the time, in milliseconds since 1970.
    pub(super) fn set_clock(&mut self, now: u64) {
        for shard in self.store.shards_mut() {
            match shard {
                StoreShard::Memory(shard) => shard.set_clock(now),
                StoreShard::Durable(shard) => shard.set_clock(now),
            }
        }
    }

    /// Executes `ops`, each at its shard and in order there; gives the place in line that must be durable
    /// before the answers go.
    #[inline]
    pub(super) fn execute(&mut self, ops: &[Op<'_>], burst: &mut Burst) -> Option<u64> {
        burst.replies.resize_with(self.lists.len(), Replies::new);
        if let ([shard], [replies]) = (self.store.shards_mut(), burst.replies.as_mut_slice()) {
            let ticket = shard.execute(ops, replies);
            return self.wait_for(0, ticket);
        }
        self.spread(ops, burst)
    }

    /// As [`Engine::execute`], over several shards.
    fn spread(&mut self, ops: &[Op<'_>], burst: &mut Burst) -> Option<u64> {
        burst.places.clear();
        let mut lists: Vec<Vec<Op<'_>>> = std::mem::take(&mut self.lists);
        for op in ops {
            let owner = self.store.owner(op);
            burst.places.push((owner as u32, lists[owner].len() as u32));
            lists[owner].push(*op);
        }
        let mut until = None;
        for (shard, (list, replies)) in lists.iter().zip(&mut burst.replies).enumerate() {
            // An empty burst still clears the answers of the last one.
            let ticket = self.store.shards_mut()[shard].execute(list, replies);
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

    /// A place in line for `ticket`; none when there is nothing to wait for.
    #[inline]
    fn wait_for(&mut self, shard: usize, ticket: Ticket) -> Option<u64> {
        if ticket == Ticket(0) || self.store.shards()[shard].acknowledged(ticket) {
            return None;
        }
        if !matches!(self.waiting.back(), Some(&(_, s, t)) if (s, t) == (shard, ticket)) {
            self.last += 1;
            self.waiting.push_back((self.last, shard, ticket));
        }
        Some(self.last)
    }

    /// Writes and syncs what is due; gives the place in line up to which everything may be acknowledged.
    pub(super) fn commit(&mut self) -> u64 {
        if !self.waiting.is_empty() {
            for shard in self.store.shards_mut() {
                if let StoreShard::Durable(shard) = shard {
                    shard.commit();
                }
            }
        }
        while let Some(&(_, shard, ticket)) = self.waiting.front()
            && self.store.shards()[shard].acknowledged(ticket)
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
        let broken = |shard: &StoreShard| match shard {
            StoreShard::Memory(_) => false,
            StoreShard::Durable(shard) => shard.is_poisoned(),
        };
        self.is_waiting() && self.store.shards().iter().any(broken)
    }

    /// Work for an idle moment: cleaning, expiry, snapshots; whether there is more.
    pub(super) fn work(&mut self) -> bool {
        self.store.shards_mut().iter_mut().fold(false, |more, shard| shard.poll() | more)
    }

    /// The value that operation `index` found.
    #[inline]
    pub(super) fn value<'a>(&'a self, burst: &'a Burst, index: usize) -> Option<&'a [u8]> {
        let (shard, at) = burst.place(index)?;
        burst.replies.get(shard)?.value(self.store.shards().get(shard)?.shard(), at)
    }

    /// The value of an absolute key.
    pub(super) fn read(&self, space: Space, absolute: u64) -> Option<&[u8]> {
        self.store.read(space, absolute)
    }

    /// All absolute keys of a space.
    pub(super) fn objects(&self, space: Space) -> Vec<u64> {
        let mut all = Vec::new();
        for shard in self.store.shards() {
            let mut from = Some(1);
            while let Some(first) = from {
                from = shard.shard().each_object(space, first, |absolute, _| all.push(absolute));
            }
        }
        all
    }

    /// Whether an absolute key was ever given out.
    pub(super) fn was_given_out(&self, space: Space, absolute: u64) -> bool {
        let next = self.store.shards().iter().map(|shard| shard.shard().next_absolute(space)).max();
        absolute != 0 && next.is_some_and(|next| absolute < next)
    }

    pub(super) fn scan<'a>(&'a self, scan: &Scan<'a>) -> MergedRows<'a> {
        self.store.scan(scan)
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Keys of a space, those that have expired and are not yet removed included.
    pub(super) fn keys(&self, space: Space) -> u64 {
        self.store.shards().iter().map(|shard| shard.shard().len(space)).sum()
    }

    /// Removes every key of a space that begins with `prefix`.
    pub(super) fn purge(
        &mut self,
        space: Space,
        prefix: &[u8],
    ) -> (Result<u64, OpError>, Option<u64>) {
        let (mut purged, mut until) = (0, None);
        for shard in 0..self.store.shards().len() {
            loop {
                match self.store.shards_mut()[shard].purge(space, prefix, 4096) {
                    Err(error) => return (Err(error), until),
                    Ok((count, more, ticket)) => {
                        purged += count;
                        until = until.max(self.wait_for(shard, ticket));
                        if !more {
                            break;
                        }
                    }
                }
            }
        }
        (Ok(purged), until)
    }

    /// Removes pairs and what they lead to; durable when it returns.
    pub(super) fn purge_pairs(&mut self, db: Database, prefix: &[u8]) -> Result<u64, String> {
        let purged = self.store.purge_pairs(db, prefix).map_err(|error| error.to_string())?;
        self.flush().map(|()| purged).map_err(|error| error.to_string())
    }

    /// Makes everything durable now.
    pub(super) fn flush(&mut self) -> Result<(), DurableError> {
        self.store.flush()
    }

    /// The database called `name`; it is made when it is not there.
    pub(super) fn database(&mut self, name: &str) -> Result<Database, DurableError> {
        self.store.database(name)
    }

    /// The database behind number `index` of `SELECT`: `default`, then `1`, `2` …
    pub(super) fn numbered(&mut self, index: u32) -> Result<Database, DurableError> {
        if index == 0 {
            self.store.database("default")
        } else {
            self.store.database(&index.to_string())
        }
    }

    /// As [`Engine::numbered`], if it exists.
    pub(super) fn existing(&self, index: u32) -> Option<Database> {
        let databases = self.store.databases();
        if index == 0 { databases.get("default") } else { databases.get(&index.to_string()) }
    }

    pub(super) fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        for shard in self.store.shards() {
            let usage = shard.shard().usage();
            sum.keys += usage.keys;
            sum.objects += usage.objects;
            sum.payload += usage.payload;
            sum.log_live += usage.log_live;
            sum.log_dead += usage.log_dead;
            sum.log_backed += usage.log_backed;
            sum.table += usage.table;
            sum.order += usage.order;
            sum.object_array += usage.object_array;
        }
        sum
    }

    pub(super) fn memory_bound(&self) -> u64 {
        self.store.shards().iter().map(|shard| shard.shard().settings().memory_bytes).sum()
    }

    pub(super) fn is_durable(&self) -> bool {
        self.store.shards().iter().any(|shard| matches!(shard, StoreShard::Durable(_)))
    }
}
