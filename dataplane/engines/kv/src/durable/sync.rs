//! The thread that makes written frames durable, many at a time.

use std::fs::File;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use super::files::sync_data;

#[derive(Debug, Default)]
struct Wanted {
    /// File and the greatest sequence number written to it.
    file: Option<(Arc<File>, u64)>,
    stop: bool,
}

/// Told when a sync is done, from the thread that did it.
#[derive(Default)]
struct Wake(OnceLock<Box<dyn Fn() + Send + Sync>>);

impl std::fmt::Debug for Wake {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "Wake({})", self.0.get().is_some())
    }
}

#[derive(Debug, Default)]
struct Shared {
    wanted: Mutex<Wanted>,
    changed: Condvar,
    /// Greatest sequence number known to be durable.
    durable: AtomicU64,
    /// Error number of the first sync that failed; 0 for none.
    failed: AtomicI32,
    wake: Wake,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Wanted> {
        // The guarded values are whole at every step: another thread's panic leaves them so.
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        loop {
            let mut wanted = self.lock();
            let (file, sequence) = loop {
                if let Some(wanted) = wanted.file.take() {
                    break wanted;
                }
                if wanted.stop {
                    return;
                }
                wanted = self.changed.wait(wanted).unwrap_or_else(PoisonError::into_inner);
            };
            drop(wanted);
            let result = sync_data(&*file);
            self.finish(result, sequence);
            if let Some(wake) = self.wake.0.get() {
                wake();
            }
        }
    }

    fn finish(&self, result: nix::Result<()>, sequence: u64) {
        match result {
            // Release: who sees the number may rely on the sync.
            Ok(()) => self.durable.fetch_max(sequence, Ordering::Release),
            Err(error) => {
                self.failed.store(error as i32, Ordering::Release);
                0
            }
        };
        let _held = self.lock();
        self.changed.notify_all();
    }
}

/// How far the log is durable; syncs in a thread when told to.
#[derive(Debug)]
pub(super) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Greatest sequence number that a sync was asked for.
    asked: u64,
}

impl Syncer {
    /// A syncer for a log that is durable up to `durable`.
    pub(super) fn new(durable: u64) -> Self {
        let shared = Arc::new(Shared::default());
        shared.durable.store(durable, Ordering::Release);
        Self { shared, thread: None, asked: durable }
    }

    /// Greatest sequence number known to be durable.
    pub(super) fn durable(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// Calls `wake` after every sync that was asked for, from another thread; the first one stays.
    pub(super) fn wake_with(&self, wake: Box<dyn Fn() + Send + Sync>) {
        let _ = self.shared.wake.0.set(wake);
    }

    /// Whether everything that was asked for is done.
    pub(super) fn is_idle(&self) -> bool {
        self.durable() >= self.asked || self.failed()
    }

    /// Whether a sync failed: what was written may or may not be on disk, and no later sync tells.
    pub(super) fn failed(&self) -> bool {
        self.shared.failed.load(Ordering::Acquire) != 0
    }

    /// Syncs `file` now, which makes everything up to `sequence` durable.
    pub(super) fn sync(&self, file: &File, sequence: u64) -> bool {
        let result = sync_data(file);
        self.shared.finish(result, sequence);
        result.is_ok()
    }

    /// Asks for a sync of `file`. What is asked for while another runs is done with one.
    pub(super) fn ask(&mut self, file: &Arc<File>, sequence: u64) {
        self.asked = sequence;
        if self.thread.is_none() {
            let shared = Arc::clone(&self.shared);
            let name = std::thread::Builder::new().name("pfs-kv-sync".to_owned());
            match name.spawn(move || shared.run()) {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => {
                    tracing::warn!(%error, "no thread for syncs: syncing in place");
                    self.sync(file, sequence);
                    return;
                }
            }
        }
        self.shared.lock().file = Some((Arc::clone(file), sequence));
        self.shared.changed.notify_all();
    }

    /// Waits until `sequence` is durable; false when a sync failed.
    pub(super) fn wait(&self, sequence: u64) -> bool {
        let mut held = self.shared.lock();
        while self.durable() < sequence && !self.failed() {
            held = self.shared.changed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        !self.failed()
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It panics nowhere; if it did, the log is as after a kill.
            let _ = thread.join();
        }
    }
}
