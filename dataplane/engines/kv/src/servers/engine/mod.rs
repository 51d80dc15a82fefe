//! The store as the servers see it: bursts over its shards, and what waits for the disk.
//!
//! Each loop has an engine, which owns every `loops`-th shard. Operations on keys of other loops' shards
//! go there as parcels, together in one letter a turn, and the connection that gave them waits until
//! the last one is back: its next commands run after that, so that its order is kept. Everything rarer
//! is asked for and waited for ([`Engine::ask`]); a loop that waits goes on serving other loops' letters, so
//! that no two can wait for each other for ever.

mod burst;
mod local;
mod mail;
mod page;
mod peers;

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::op::{Op, Space};
use crate::shard::{Scan, Usage};
use crate::{Database, DurableError, MergedRows, SharedStore, StoreShard};

pub(super) use burst::{Burst, Parcel};
use local::Local;
pub(super) use local::Stretch;
use mail::{Letter, Mail};
pub(super) use page::{Keys, PageOf};

use super::event_loop::{Common, Waker};

/// What comes back to a connection that waits.
#[derive(Debug)]
pub(super) enum Arrival {
    /// Answers of a shard.
    Parcel(Box<Parcel>),
    /// What another loop wrote for it is durable, or never will be.
    Settled(bool),
}

/// The part of a store that one loop owns, and its way to the others.
#[derive(Debug)]
pub(super) struct Engine {
    local: Local,
    store: SharedStore,
    common: Arc<Common>,
    /// `None` when one loop owns everything.
    mail: Option<Mail>,
    /// Arrivals for connections.
    arrived: VecDeque<(u64, Arrival)>,
    /// Answers that this loop itself waits for, by ticket.
    results: HashMap<u64, Box<dyn Any + Send>>,
    last_ticket: u64,
    /// Letters that go when the place in line is durable.
    held: VecDeque<(u64, usize, Letter)>,
    /// Words of other loops that they are held.
    held_words: usize,
    /// Loops, as bits, that wrote at this one's asking, since this was last asked.
    wrote_at: u64,
    /// Place in line that what was written here by asking must wait for.
    until: Option<u64>,
    memory_bound: u64,
    is_durable: bool,
    /// Parcels for later: they travel boxed.
    #[allow(clippy::vec_box, reason = "what is taken out goes into a letter as it is")]
    pool: Vec<Box<Parcel>>,
}

impl Engine {
    /// An engine for each loop that one of `wakers` wakes; shards go around. `lends`: other threads use the store
    /// as well, so that an engine has its shards in hand only between [`Engine::take`] and
    /// [`Engine::give_back`].
    pub(super) fn split(
        store: &SharedStore,
        lends: bool,
        wakers: &[Waker],
        common: &Arc<Common>,
    ) -> Vec<Self> {
        let loops = wakers.len();
        let bounds = (0..store.shards()).filter_map(|at| store.shard(at)).map(|shard| {
            let durable = matches!(*shard, StoreShard::Durable(_));
            (shard.shard().settings().memory_bytes, durable)
        });
        let (memory_bound, is_durable) =
            bounds.fold((0, false), |(sum, any), (bytes, durable)| (sum + bytes, any | durable));
        let mails = Mail::between(wakers).into_iter().map(|mail| (loops > 1).then_some(mail));
        let engine = |(me, mail)| {
            let mut engine = Self {
                local: Local::new(store, me, loops, lends),
                store: store.clone(),
                common: Arc::clone(common),
                mail,
                arrived: VecDeque::new(),
                results: HashMap::new(),
                last_ticket: 0,
                held: VecDeque::new(),
                held_words: 0,
                wrote_at: 0,
                until: None,
                memory_bound,
                is_durable,
                pool: Vec::new(),
            };
            engine.wake_with(&wakers[me]);
            engine
        };
        mails.enumerate().map(engine).collect()
    }

    /// Has the threads that sync wake this loop.
    fn wake_with(&mut self, waker: &Waker) {
        self.take();
        for shard in self.local.shards() {
            if let StoreShard::Durable(shard) = &**shard {
                let waker = waker.clone();
                shard.wake_with(Box::new(move || waker.wake()));
            }
        }
        self.give_back();
    }

    /// Takes the shards in hand, from whoever else uses them; nothing, when they are.
    #[inline]
    pub(super) fn take(&mut self) {
        self.local.take();
    }

    /// Gives the shards back to those who use them as well; nothing, when nobody does.
    #[inline]
    pub(super) fn give_back(&mut self) {
        self.local.give_back();
    }

    /// Tells the time, in milliseconds since 1970.
    pub(super) fn set_clock(&mut self, now: u64) {
        self.local.set_clock(now);
    }

    /// Loops that own the store.
    pub(super) const fn loops(&self) -> usize {
        self.local.loops
    }

    /// Shards of the store.
    pub(super) const fn shards(&self) -> usize {
        self.local.total
    }

    /// Number of this loop.
    pub(super) const fn me(&self) -> usize {
        self.local.me
    }

    /// The shards of this loop.
    pub(super) const fn local(&self) -> &Local {
        &self.local
    }

    /// Executes `ops`, each at its shard and in order there, and waits for the answers of other loops; gives
    /// the place in line that must be durable before the answers go.
    #[inline]
    pub(super) fn execute(&mut self, ops: &[Op<'_>], burst: &mut Burst) -> Option<u64> {
        if self.mail.is_none() {
            return self.local.execute(ops, burst);
        }
        self.execute_waiting(ops, burst)
    }

    /// The value that operation `index` found.
    #[inline]
    pub(super) fn value<'a>(&'a self, burst: &'a Burst, index: usize) -> Option<&'a [u8]> {
        let (shard, at) = burst.place(index)?;
        if burst.parcels.is_empty() {
            let owner = self.local.shards().get(shard)?.shard();
            return burst.replies.get(shard)?.value(owner, at);
        }
        let parcel = burst.parcel(shard)?;
        parcel.replies.copied_value(at.checked_sub(parcel.base)?)
    }

    /// Writes and syncs what is due; gives the place in line up to which everything may be acknowledged.
    pub(super) fn commit(&mut self) -> u64 {
        let durable = self.local.commit();
        if !self.held.is_empty() {
            self.release(durable);
        }
        durable
    }

    /// Whether writes wait for the disk.
    pub(super) fn is_waiting(&self) -> bool {
        self.local.is_waiting()
    }

    /// Whether what waits for the disk will never be on it.
    pub(super) fn is_broken(&self) -> bool {
        self.local.is_broken()
    }

    /// Work for an idle moment: cleaning, expiry, snapshots; whether there is more.
    pub(super) fn work(&mut self) -> bool {
        self.local.work()
    }

    /// Whether the absolute key of operation `index` of `burst`, which was not found, was ever given
    /// out.
    pub(super) fn was_given_out(
        &self,
        burst: &Burst,
        index: usize,
        space: Space,
        absolute: u64,
    ) -> bool {
        let said = burst.was_given_out(index);
        said.unwrap_or_else(|| self.local.was_given_out(space, absolute))
    }

    /// Rows of this loop's shards, in order.
    pub(super) fn scan<'a>(&'a self, scan: &Scan<'a>) -> MergedRows<'a> {
        self.local.scan(scan)
    }

    /// Keys of a space, those that have expired and are not yet removed included.
    pub(super) fn keys(&mut self, space: Space) -> u64 {
        self.everywhere(move |local| local.keys(space)).into_iter().sum()
    }

    /// Makes everything durable now.
    pub(super) fn flush(&mut self) -> Result<(), DurableError> {
        self.everywhere(Local::flush).into_iter().collect()
    }

    pub(super) fn usage(&mut self) -> Usage {
        let mut sum = Usage::default();
        for usage in self.everywhere(|local| local.usage()) {
            sum.add(&usage);
        }
        sum
    }

    /// The database called `name`; it is made when it is not there.
    pub(super) fn database(&self, name: &str) -> Result<Database, DurableError> {
        self.store.database(name)
    }

    /// The database behind number `index` of `SELECT`: `default`, then `1`, `2` …
    pub(super) fn numbered(&self, index: u32) -> Result<Database, DurableError> {
        if index == 0 { self.database("default") } else { self.database(&index.to_string()) }
    }

    /// As [`Engine::numbered`], if it exists.
    pub(super) fn existing(&self, index: u32) -> Option<Database> {
        let names = self.store.names();
        if index == 0 { names.get("default") } else { names.get(&index.to_string()) }
    }

    pub(super) const fn memory_bound(&self) -> u64 {
        self.memory_bound
    }

    pub(super) const fn is_durable(&self) -> bool {
        self.is_durable
    }
}
