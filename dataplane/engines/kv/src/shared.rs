//! A store that threads share: each shard behind a lock of its own.
//!
//! Who owns a shard for good takes its lock once and keeps it; who shares it takes the lock for a burst
//! and hands it to whoever waits. So a store that packets are written to can be served at the same
//! time, and neither waits for more than a burst of the other.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, MutexGuard, PoisonError};

use parking_lot::{ArcMutexGuard, Mutex, RawMutex};

use crate::databases::{Database, Databases};
use crate::op::Op;
use crate::shard::Owners;
use crate::{DurableError, Store, StoreShard};

/// A shard that several threads can ask for.
pub(crate) type SharedShard = Arc<Mutex<StoreShard>>;
/// A shard, for its holder alone.
pub(crate) type HeldShard = ArcMutexGuard<RawMutex, StoreShard>;

/// A store whose shards several threads take in turns.
///
/// A clone is another way to the same store, which is closed with the last of them.
#[derive(Clone, Debug)]
pub struct SharedStore {
    shards: Arc<[SharedShard]>,
    databases: Arc<std::sync::Mutex<Databases>>,
    /// Whose key is whose, without asking a shard.
    owners: Owners,
    /// Where the next absolute key comes from.
    turn: Arc<AtomicUsize>,
}

impl From<Store> for SharedStore {
    fn from(store: Store) -> Self {
        let owners = store.shards()[0].shard().owners();
        let (shards, databases) = store.into_shards();
        Self {
            owners,
            shards: shards.into_iter().map(|shard| Arc::new(Mutex::new(shard))).collect(),
            databases: Arc::new(std::sync::Mutex::new(databases)),
            turn: Arc::default(),
        }
    }
}

impl SharedStore {
    /// Number of shards; at least 1.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The database called `name`, which is made if it is not there.
    ///
    /// # Errors
    /// As [`Store::database`].
    pub fn database(&self, name: &str) -> Result<Database, DurableError> {
        self.names().get_or_make(name)
    }

    /// The databases.
    pub(crate) fn names(&self) -> MutexGuard<'_, Databases> {
        // A name is added as a whole or not at all.
        self.databases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shard that `op` is for: the owner of its key, for a new absolute key the next in turn.
    #[must_use]
    pub fn owner(&self, op: &Op<'_>) -> usize {
        let shards = self.shards.len();
        match *op {
            _ if shards == 1 => 0,
            Op::Edit { absolute, .. } | Op::Remove { absolute, .. } | Op::Read { absolute, .. } => {
                (absolute.wrapping_sub(1) % shards as u64) as usize
            }
            Op::Insert { .. } => self.turn.fetch_add(1, Relaxed) % shards,
            Op::Get { space, key }
            | Op::Put { space, key, .. }
            | Op::Delete { space, key }
            | Op::Expire { space, key, .. }
            | Op::Add { space, key, .. } => self.owners.of(space, key),
        }
    }

    /// Shard `at`, for the caller alone while it holds it; waits for whoever has it. `None` when there is none.
    ///
    /// A thread that panicked holding it has left it between two operations: executing one either ends or
    /// aborts its burst.
    #[must_use]
    pub fn shard(&self, at: usize) -> Option<parking_lot::MutexGuard<'_, StoreShard>> {
        self.shards.get(at).map(|shard| shard.lock())
    }

    /// Shard `at`, unless another thread has it.
    #[must_use]
    pub fn free_shard(&self, at: usize) -> Option<parking_lot::MutexGuard<'_, StoreShard>> {
        self.shards.get(at)?.try_lock()
    }

    /// Every `step`-th shard from number `from` on.
    pub(crate) fn every(&self, from: usize, step: usize) -> Vec<SharedShard> {
        self.shards.iter().skip(from).step_by(step).map(Arc::clone).collect()
    }
}
