//! A run's store: shards that all workers and servers share, each behind a lock, and the sequences of
//! senders.
//!
//! Flows choose a worker, keys choose a shard, and senders need not know either: so a worker takes
//! the lock of a shard once for all of a batch's operations on it, and of several shards first those
//! that nobody has: it waits only where others are busy with all that it has left. With one worker and
//! no server nobody else ever asks. Operations on one key are executed in the order in which one worker
//! got them; of several workers either may come first, as with any two flows.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pfs_kv::frame::Sequences;
use pfs_kv::{Database, DurableError, SharedStore, Store, StoreSettings};

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
pub struct RunStore {
    shards: SharedStore,
    databases: Vec<(String, Database)>,
    /// Of all workers together: who sends again from another port is seen.
    sequences: Box<[Part]>,
}

impl RunStore {
    /// Opens the store of `settings`, with the databases called `names`.
    ///
    /// # Errors
    /// Of [`Store::open`] and [`Store::database`].
    pub fn open<'a>(
        settings: &StoreSettings,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, DurableError> {
        let shards = SharedStore::from(Store::open(settings)?);
        let mut databases = Vec::new();
        for name in names {
            databases.push((name.to_owned(), shards.database(name)?));
        }
        Ok(Self {
            shards,
            databases,
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

    /// The shards, for workers and servers.
    #[must_use]
    pub const fn shards(&self) -> &SharedStore {
        &self.shards
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
