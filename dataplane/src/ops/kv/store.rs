//! A run's store: shards that all workers share, each behind a lock.
//!
//! Flows choose a worker, keys choose a shard, and senders need not know either: so a worker takes
//! the lock of a shard once for all of a batch's operations on it, and of several shards first those
//! that nobody has: it waits only where others are busy with all that it has left. With one worker
//! nobody else ever asks. Operations on one key are executed in the order in which one worker got
//! them; of several workers either may come first, as with any two flows.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use pfs_kv::frame::Sequences;
use pfs_kv::{Database, DurableError, Op, Owners, Store, StoreSettings, StoreShard};

/// Pairs of sender and lane whose sequences are followed at a time.
const SENDERS: usize = 16_384;
/// Parts that senders are spread over, so that workers seldom ask for the same: a power of two.
const PARTS: usize = 16;

/// Sequences of some senders, on cache lines of their own.
#[derive(Debug)]
#[repr(align(128))]
struct Part(Mutex<Sequences>);

/// A store for several workers.
#[derive(Debug)]
pub struct SharedStore {
    shards: Vec<Mutex<StoreShard>>,
    databases: Vec<(String, Database)>,
    /// Whose key is whose, without asking a shard.
    owners: Owners,
    /// Where the next absolute key comes from.
    turn: AtomicUsize,
    /// Of all workers together: who sends again from another port is seen.
    sequences: Box<[Part]>,
}

impl SharedStore {
    /// Opens the store of `settings`, with the databases called `names`.
    ///
    /// # Errors
    /// Of [`Store::open`] and [`Store::database`].
    pub fn open<'a>(
        settings: &StoreSettings,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, DurableError> {
        let mut store = Store::open(settings)?;
        let mut databases = Vec::new();
        for name in names {
            databases.push((name.to_owned(), store.database(name)?));
        }
        let owners = store.shards()[0].shard().owners();
        let (shards, _) = store.into_shards();
        Ok(Self {
            owners,
            shards: shards.into_iter().map(Mutex::new).collect(),
            databases,
            turn: AtomicUsize::new(0),
            sequences: (0..PARTS)
                .map(|_| Part(Mutex::new(Sequences::new(SENDERS / PARTS))))
                .collect(),
        })
    }

    /// The database called `name`, of those it was opened with; else `default`.
    #[must_use]
    pub fn database(&self, name: &str) -> Database {
        let found = self.databases.iter().find(|(known, _)| known == name);
        found.map_or_else(Database::default, |(_, database)| *database)
    }

    /// Number of shards.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.len()
    }

    /// Whether there are no shards; there is always one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// Shard `at`, for this caller alone while it holds it.
    pub(super) fn shard(&self, at: usize) -> Option<MutexGuard<'_, StoreShard>> {
        // A worker that panicked holding it has left it between two operations: executing one either
        // ends or aborts its burst.
        Some(self.shards.get(at)?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The shard that `op` is for: the owner of its key, for a new absolute key the next in turn.
    pub(super) fn owner(&self, op: &Op<'_>) -> usize {
        match *op {
            _ if self.shards.len() == 1 => 0,
            Op::Edit { absolute, .. } | Op::Remove { absolute, .. } | Op::Read { absolute, .. } => {
                (absolute.wrapping_sub(1) % self.shards.len() as u64) as usize
            }
            Op::Insert { .. } => self.turn.fetch_add(1, Relaxed) % self.shards.len(),
            Op::Get { space, key }
            | Op::Put { space, key, .. }
            | Op::Delete { space, key }
            | Op::Expire { space, key, .. }
            | Op::Add { space, key, .. } => self.owners.of(space, key),
        }
    }

    /// Shard `at`, unless another worker has it.
    pub(super) fn free_shard(&self, at: usize) -> Option<MutexGuard<'_, StoreShard>> {
        match self.shards.get(at)?.try_lock() {
            Ok(shard) => Some(shard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The part of all sequences that `sender`'s are in.
    pub(super) const fn part_of(sender: u64) -> usize {
        (sender.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (PARTS - 1)
    }

    /// Part `part` of the sequences.
    pub(super) fn sequences(&self, part: usize) -> MutexGuard<'_, Sequences> {
        let Part(sequences) = &self.sequences[part & (PARTS - 1)];
        sequences.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
