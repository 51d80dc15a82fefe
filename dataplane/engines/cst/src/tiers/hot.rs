//! The hot tier: trees to move in, by bytes; those longest unused go first.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::hot::HotTree;

/// What malloc adds to an allocation, and an entry takes in the cache's tables.
const OVERHEAD: usize = 16 + 64;

/// Bytes and number of the hot trees of one store that are in memory, in the cache or held by a
/// caller.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) trees: AtomicUsize,
    pub(super) bytes: AtomicUsize,
}

/// A tree of a store, hot. It stays as long as it is held, also when the store has given up its own
/// hold, and counts among the store's bytes as long.
pub struct Stored {
    tree: HotTree,
    live: Arc<Live>,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.tree, f)
    }
}

impl Stored {
    pub(super) fn new(tree: HotTree, live: &Arc<Live>) -> Arc<Self> {
        live.trees.fetch_add(1, Ordering::Relaxed);
        live.bytes.fetch_add(tree.bytes() + OVERHEAD, Ordering::Relaxed);
        Arc::new(Self { tree, live: Arc::clone(live) })
    }

    fn weight(&self) -> usize {
        self.tree.bytes() + OVERHEAD
    }
}

impl Deref for Stored {
    type Target = HotTree;

    fn deref(&self) -> &HotTree {
        &self.tree
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.live.trees.fetch_sub(1, Ordering::Relaxed);
        self.live.bytes.fetch_sub(self.weight(), Ordering::Relaxed);
    }
}

/// Gives pages in which all is freed back to the system, where malloc is one that can be asked to.
pub(super) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it may be called at any time, and touches only what malloc itself holds as free.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Names one version of a tree: another for what replaces it.
pub(super) type Key = u64;

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<Key, Arc<Stored>> for ByBytes {
    fn weight(&self, _: &Key, stored: &Arc<Stored>) -> u64 {
        stored.weight() as u64
    }
}

/// Trees by key, of a bounded number of bytes.
pub(super) struct Hot {
    cache: Cache<Key, Arc<Stored>, ByBytes>,
    pub(super) live: Arc<Live>,
    pub(super) hits: AtomicU64,
    pub(super) thaws: AtomicU64,
    /// Bytes thawed since freed memory was last given back, and how many it takes to do so.
    thawed: AtomicUsize,
    give_back: usize,
}

impl fmt::Debug for Hot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hot").field("live", &self.live).finish_non_exhaustive()
    }
}

impl Hot {
    /// Of at most `bytes`.
    pub(super) fn new(bytes: usize) -> Self {
        // A shard holds its part alone: with few, a large tree still fits into one.
        let options = OptionsBuilder::new()
            .shards(if bytes < 1 << 26 { 1 } else { 4 })
            .estimated_items_capacity((bytes / 8192).clamp(16, 1 << 16))
            .weight_capacity(bytes as u64)
            .build();
        // What is missing in the options is a bug here, not of the caller's.
        let cache = match options {
            Ok(options) => Cache::with_options(
                options,
                ByBytes,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            Err(_) => Cache::with_weighter(1024, bytes as u64, ByBytes),
        };
        Self {
            cache,
            live: Arc::default(),
            hits: AtomicU64::new(0),
            thaws: AtomicU64::new(0),
            thawed: AtomicUsize::new(0),
            give_back: bytes / 8,
        }
    }

    /// The tree of `key`; where it is not hot, `thaw` makes it, once for all who ask.
    pub(super) fn get<E>(
        &self,
        key: Key,
        thaw: impl FnOnce() -> Result<HotTree, E>,
    ) -> Result<Arc<Stored>, E> {
        let mut thawed = false;
        let stored = self.cache.get_or_insert_with(&key, || {
            thawed = true;
            Ok(Stored::new(thaw()?, &self.live))
        })?;
        let counter = if thawed { &self.thaws } else { &self.hits };
        counter.fetch_add(1, Ordering::Relaxed);
        if thawed {
            // Its columns took three times as much.
            self.note_thawed(4 * stored.weight());
        }
        Ok(stored)
    }

    /// What is thawed takes the place of trees that were freed, and some memory meanwhile: malloc keeps
    /// both for later, in each thread's part, so that from time to time it is asked to give it back.
    fn note_thawed(&self, bytes: usize) {
        let before = self.thawed.fetch_add(bytes, Ordering::Relaxed);
        if before < self.give_back && before + bytes >= self.give_back {
            give_back();
            self.thawed.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn peek(&self, key: Key) -> bool {
        self.cache.contains_key(&key)
    }

    pub(super) fn insert(&self, key: Key, stored: Arc<Stored>) {
        self.cache.insert(key, stored);
    }

    /// Gives a tree another key.
    pub(super) fn rename(&self, from: Key, to: Key) {
        if let Some((_, stored)) = self.cache.remove(&from) {
            self.cache.insert(to, stored);
        }
    }

    pub(super) fn remove(&self, key: Key) {
        self.cache.remove(&key);
    }
}
