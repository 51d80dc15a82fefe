//! A run's store: shards that all workers share, each behind a lock.
//!
//! Flows choose a worker, keys choose a shard, and senders need not know either: so a worker takes
//! the lock of a shard once for all of a batch's operations on it. With one worker nobody else
//! ever asks for it. Operations on one key are executed in the order in which one worker got them;
//! of several workers either may come first, as with any two flows.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pfs_kv::frame::Sequences;
use pfs_kv::{Database, DurableError, Store, StoreSettings, StoreShard};

/// Pairs of sender and lane whose sequences are followed at a time.
const SENDERS: usize = 16_384;

/// A store for several workers.
#[derive(Debug)]
pub struct SharedStore {
    shards: Vec<Mutex<StoreShard>>,
    databases: Vec<(String, Database)>,
    /// Where the next absolute key comes from.
    turn: AtomicUsize,
    /// Of all workers together: who sends again from another port is seen.
    sequences: Mutex<Sequences>,
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
        let (shards, _) = store.into_shards();
        Ok(Self {
            shards: shards.into_iter().map(Mutex::new).collect(),
            databases,
            turn: AtomicUsize::new(0),
            sequences: Mutex::new(Sequences::new(SENDERS)),
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

    /// The shard that gives the next absolute key.
    pub(super) fn next_turn(&self) -> usize {
        self.turn.fetch_add(1, Relaxed) % self.shards.len().max(1)
    }

    /// The sequences of all senders.
    pub(super) fn sequences(&self) -> MutexGuard<'_, Sequences> {
        self.sequences.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
