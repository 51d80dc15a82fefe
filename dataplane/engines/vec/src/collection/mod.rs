//! A collection: a folder of records that are durable, and found by their vectors and otherwise.
//!
//! A write is in the log before it is acknowledged, and in level 0, so that the next query finds
//! it. Level 0 becomes a segment when it is full; segments of a level are merged into one of the
//! next. Readers hold what was there when they began: neither of that makes them wait.
//!
//! | file | what |
//! |---|---|
//! | `lock` | locked by the process that has the collection |
//! | `manifest` | settings, and which segments belong to it; replaced whole |
//! | `log/*.wal` | every change since the last checkpoint |
//! | `segments/<id>.seg` | rows, written once |
//! | `segments/<id>.<change>.marks` | which rows of it have ended or were touched up to that change |

mod compact;
pub(crate) mod error;
mod lock;
mod maintenance;
mod open;
pub(crate) mod query;
mod read;
mod relations;
mod search;
pub(crate) mod settings;
pub(crate) mod shape;
pub(crate) mod state;
mod stats;
mod together;
mod transaction;
mod upkeep;
mod write;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use compact::Compacted;
pub use maintenance::{Maintenance, Upkept};
pub use stats::{LevelStats, Stats, Verified};
pub use transaction::Transaction;

use error::StoreError;
use lock::Lock;
use settings::{Options, Settings};
use shape::Shape;
use state::State;
use upkeep::Upkeep;
use write::Writer;

use crate::record::Batch;

/// A folder of records. All methods may be called from any thread; writes take turns.
#[derive(Debug)]
pub struct Collection {
    folder: PathBuf,
    shape: Arc<Shape>,
    options: Options,
    /// Taken first, by who replaces parts: checkpoint and compaction.
    upkeep: Mutex<Upkeep>,
    /// Taken second, by who writes.
    writer: Mutex<Writer>,
    /// Taken last, and for a short time.
    state: RwLock<State>,
    read_only: bool,
    _lock: Option<Lock>,
}

impl Collection {
    /// What it was created with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shape.settings
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Changes to be made together; none yet.
    #[must_use]
    pub fn batch(&self) -> Batch {
        Batch::new(Arc::clone(&self.shape))
    }

    /// Refuses to change a collection that was opened to be read.
    fn writable(&self) -> Result<(), StoreError> {
        if self.read_only { Err(StoreError::ReadOnly(self.folder.clone())) } else { Ok(()) }
    }

    fn upkeep(&self) -> MutexGuard<'_, Upkeep> {
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}
