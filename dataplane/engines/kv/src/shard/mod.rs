//! One shard: the log, the two indexes over it, and the operations on them. It has one owner.

mod clean;
mod execute;
mod expire;
mod find;
mod object;
mod scan;
#[cfg(test)]
mod tests;
mod write;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub use execute::BURST;
pub use find::Owners;
pub use scan::{Row, Scan, ScanRows};

use foldhash::fast::FixedState;

use crate::change::Change;
use crate::index::{LeafArena, Objects, TagTable, Tree};
use crate::log::{Loc, Log, SLICE};
use crate::op::Space;

/// What a shard is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardSettings {
    /// Memory for records and indexes in bytes; at least [`ShardSettings::LEAST`].
    pub memory_bytes: u64,
    /// Number of this shard, from 0.
    pub shard: u32,
    /// Number of shards.
    pub shards: u32,
    /// Seed of the hash, the same in all shards of a store; not to be guessed by clients.
    pub seed: u64,
}

impl ShardSettings {
    /// Least memory of a shard.
    pub const LEAST: u64 = 16 << 20;
    /// Most memory of a shard: locations have 32 bits and count units of up to 16 bytes.
    pub const MOST: u64 = 32 << 30;

    /// The only shard of a store, with `memory_bytes`.
    #[must_use]
    pub fn single(memory_bytes: u64) -> Self {
        Self { memory_bytes, shard: 0, shards: 1, seed: 0x7066_735f_6b76 }
    }
}

/// Sizes of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Keys, those that expired and are still to be removed included.
    pub keys: u64,
    /// Absolute keys.
    pub objects: u64,
    /// Bytes of keys and values.
    pub payload: u64,
    /// Bytes of records that are in use: headers, keys, values, padding.
    pub log_live: u64,
    /// Bytes of records that are dead and not yet cleaned.
    pub log_dead: u64,
    /// Bytes of memory behind the log.
    pub log_backed: u64,
    /// Bytes of the tag table.
    pub table: u64,
    /// Bytes of the ordered index.
    pub order: u64,
    /// Bytes of the array of absolute keys.
    pub object_array: u64,
}

impl Usage {
    /// Adds the sizes of another shard.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.keys += other.keys;
        self.objects += other.objects;
        self.payload += other.payload;
        self.log_live += other.log_live;
        self.log_dead += other.log_dead;
        self.log_backed += other.log_backed;
        self.table += other.table;
        self.order += other.order;
        self.object_array += other.object_array;
    }

    /// Bytes of memory in use.
    #[must_use]
    pub const fn memory(&self) -> u64 {
        self.log_backed + self.table + self.order + self.object_array
    }

    /// Bytes per key and object beyond what the client gave, dead records and unfilled slices left
    /// out.
    #[must_use]
    pub fn overhead(&self) -> f64 {
        let beyond = self.log_live + self.table + self.order + self.object_array;
        let records = (self.keys + self.objects).max(1);
        (beyond as f64 - self.payload as f64) / records as f64
    }
}

/// What belongs to one space.
#[derive(Debug, Default)]
struct Keyspace {
    order: Tree,
    objects: Objects,
    /// Next free position of an absolute key.
    next: u64,
}

/// A shard in memory. [`crate::DurableShard`] adds the log on disk.
#[derive(Debug)]
pub struct Shard {
    settings: ShardSettings,
    hash: FixedState,
    log: Log,
    table: TagTable,
    arena: LeafArena,
    spaces: Vec<Keyspace>,
    /// Bytes of keys and values.
    payload: u64,
    /// Milliseconds since 1970.
    now: u64,
    /// Records with an expiry.
    expiring: u64,
    /// Where the search for expired records goes on.
    sweep_at: usize,
    expired: Vec<Loc>,
    scratch: Vec<u8>,
    /// Why writes are refused, if they are.
    refused: Option<crate::op::OpError>,
    /// Slice being cleaned, and where in it.
    cleaning: Option<(u32, Loc)>,
    /// Bytes written since the cleaner last worked.
    debt: u64,
    /// This value among all shards of the process, and its state: replies tell by them whether
    /// values still lie where they were.
    origin: (u64, u64),
}

/// Takes note of what a shard did, in order.
pub(crate) trait Journal {
    /// Called once for each change, after it was done.
    fn note(&mut self, change: &Change<'_>);
}

/// Takes note of nothing.
pub(crate) struct NoJournal;

impl Journal for NoJournal {
    fn note(&mut self, _: &Change<'_>) {}
}

static SHARDS: AtomicU64 = AtomicU64::new(1);

impl Shard {
    /// An empty shard.
    ///
    /// # Errors
    /// When the system reserves no addresses, or gives no memory for the first buckets.
    pub fn new(settings: ShardSettings) -> io::Result<Self> {
        let bound = settings.memory_bytes.clamp(ShardSettings::LEAST, ShardSettings::MOST);
        let shards = settings.shards.max(1);
        let settings = ShardSettings {
            memory_bytes: bound,
            shards,
            shard: settings.shard % shards,
            ..settings
        };
        Ok(Self {
            settings,
            hash: FixedState::with_seed(settings.seed),
            log: Log::new(bound)?,
            table: TagTable::new(bound / 12)?,
            arena: LeafArena::new(bound)?,
            spaces: Vec::new(),
            payload: 0,
            now: 0,
            expiring: 0,
            sweep_at: 0,
            expired: Vec::with_capacity(64),
            scratch: Vec::new(),
            refused: None,
            cleaning: None,
            debt: 0,
            origin: (SHARDS.fetch_add(1, Relaxed), 0),
        })
    }

    /// What it was made with, put within bounds.
    #[must_use]
    pub const fn settings(&self) -> &ShardSettings {
        &self.settings
    }

    /// Tells the time, in milliseconds since 1970: what expires is told by it alone.
    pub const fn set_clock(&mut self, now: u64) {
        self.now = now;
    }

    /// Refuses writes for this reason from now on; reads go on.
    pub(crate) const fn refuse(&mut self, reason: Option<crate::op::OpError>) {
        self.refused = reason;
    }

    /// The time that it was last told.
    #[must_use]
    pub const fn clock(&self) -> u64 {
        self.now
    }

    /// Keys in `space`, those that expired and are still to be removed included.
    #[must_use]
    pub fn len(&self, space: Space) -> u64 {
        self.space(space).map_or(0, |space| space.order.len())
    }

    /// Whether `space` has no key.
    #[must_use]
    pub fn is_empty(&self, space: Space) -> bool {
        self.len(space) == 0
    }

    /// Absolute keys in `space`.
    #[must_use]
    pub fn objects(&self, space: Space) -> u64 {
        self.space(space).map_or(0, |space| space.objects.len())
    }

    /// Sizes.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let sum = |of: fn(&Keyspace) -> u64| self.spaces.iter().map(of).sum();
        Usage {
            keys: self.table.len() as u64,
            objects: sum(|space| space.objects.len()),
            payload: self.payload,
            log_live: self.log.live(),
            log_dead: self.log.dead(),
            log_backed: self.log.bytes(),
            table: self.table.bytes(),
            order: self.arena.bytes() + sum(|space| space.order.bytes()),
            object_array: sum(|space| space.objects.bytes()),
        }
    }

    /// Numbers of the spaces that something was ever put into.
    pub(crate) fn spaces(&self) -> impl Iterator<Item = Space> + use<> {
        (0..self.spaces.len() as u16).map(Space)
    }

    fn space(&self, space: Space) -> Option<&Keyspace> {
        self.spaces.get(usize::from(space.0))
    }

    fn space_mut(&mut self, space: Space) -> &mut Keyspace {
        let index = usize::from(space.0);
        if index >= self.spaces.len() {
            self.spaces.resize_with(index + 1, Keyspace::default);
        }
        &mut self.spaces[index]
    }

    /// Bytes that the log may have: what the bound leaves beside the indexes, less what the
    /// cleaner needs to go on when writers get no more.
    fn log_bound(&self) -> u64 {
        Self::log_bound_of(&self.settings, &self.table, &self.arena, &self.spaces)
    }

    fn log_bound_of(
        settings: &ShardSettings,
        table: &TagTable,
        arena: &LeafArena,
        spaces: &[Keyspace],
    ) -> u64 {
        let each = |space: &Keyspace| space.order.bytes() + space.objects.bytes();
        let index = table.bytes() + arena.bytes() + spaces.iter().map(each).sum::<u64>();
        settings.memory_bytes.saturating_sub(index + 2 * SLICE as u64)
    }
}
