//! Checkpoints, and the thread that keeps a collection in order.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Collection;
use super::compact::Compacted;
use super::error::StoreError;
use super::upkeep::Upkeep;
use crate::wal::Fsync;

/// What was done to keep a collection in order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Upkept {
    /// Nothing was due.
    Nothing,
    /// A memory became a segment.
    Flushed,
    /// Segments were merged.
    Compacted(Compacted),
}

impl Collection {
    /// Makes segments of all that is in memory, so that nothing need be read from the log at the
    /// next opening, and cuts the log. Reads and writes go on meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is lost then.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        self.writable()?;
        self.upkeep().checkpoint(self)
    }

    /// Does one piece of work that is due: makes a segment of a memory that is full, or merges
    /// segments. Reads and writes go on meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is lost then.
    pub fn maintain(&self) -> Result<Upkept, StoreError> {
        self.writable()?;
        let mut upkeep = self.upkeep();
        if upkeep.flush_oldest(self)? {
            return Ok(Upkept::Flushed);
        }
        let compacted = upkeep.compact_due(self)?;
        Ok(compacted.map_or(Upkept::Nothing, Upkept::Compacted))
    }
}

impl Upkeep {
    pub(crate) fn checkpoint(&mut self, collection: &Collection) -> Result<(), StoreError> {
        let lsn = {
            let writer = collection.writer();
            let mut state = collection.state_mut();
            state.freeze(&collection.shape);
            drop(writer);
            state.lsn
        };
        while self.flush_oldest(collection)? {
            if self.manifest.applied >= lsn {
                break;
            }
        }
        if self.manifest.applied < lsn {
            // The last changes only ended or touched rows that are in segments.
            self.manifest.applied = lsn;
            self.save(collection)?;
        }
        Ok(())
    }
}

/// A thread that keeps a collection in order until this is dropped.
#[derive(Debug)]
pub struct Maintenance {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    failed: Arc<Mutex<Option<StoreError>>>,
}

/// How long the thread waits when nothing was due, and no group of writes waits for it.
const PAUSE: Duration = Duration::from_millis(20);
/// How long it waits after an error.
const PAUSE_FAILED: Duration = Duration::from_secs(1);

impl Maintenance {
    /// Starts it.
    ///
    /// # Errors
    /// [`StoreError::Io`], when there can be no more threads.
    pub fn start(collection: &Arc<Collection>) -> Result<Self, StoreError> {
        let (stop, stopped) = channel::<()>();
        let failed = Arc::new(Mutex::new(None));
        let (collection, error) = (Arc::clone(collection), Arc::clone(&failed));
        let folder = collection.folder().to_owned();
        let idle = match collection.options.fsync {
            Fsync::Group { max_wait, .. } => max_wait.clamp(Duration::from_millis(1), PAUSE),
            Fsync::Always | Fsync::Never => PAUSE,
        };
        let run = move || {
            let mut pause = Duration::ZERO;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let done = collection.sync_when_due().and_then(|()| collection.maintain());
                pause = match done {
                    Ok(Upkept::Nothing) => idle,
                    Ok(_) => Duration::ZERO,
                    Err(why) => {
                        *error.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                        PAUSE_FAILED
                    }
                };
            }
        };
        let thread = std::thread::Builder::new().name("vec-upkeep".into()).spawn(run);
        let thread = thread.map_err(|source| StoreError::Io {
            doing: "starting a thread for",
            path: folder,
            source,
        });
        Ok(Self { stop: Some(stop), thread: Some(thread?), failed })
    }

    /// The last error that it met since this was asked; it goes on trying.
    #[must_use]
    pub fn error(&self) -> Option<StoreError> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It catches no panics; one is not to become another here.
            let _ = thread.join();
        }
    }
}
