//! How far a transfer is, for whoever shows it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Numbers that a transfer keeps up to date, to be read from any thread.
#[derive(Debug, Default)]
pub struct Gauge {
    /// Files, folders and links of the manifest so far.
    pub entries: AtomicU64,
    /// Bytes of all files of the manifest so far.
    pub bytes: AtomicU64,
    /// Bytes of files that the receiver is known to have, whichever way it got them.
    pub done: AtomicU64,
    /// Bytes of frames sent or received.
    pub wire: AtomicU64,
    /// The sender's rate in bytes a second, as it paces itself.
    pub rate: AtomicU64,
    /// Set from outside: the transfer is to end.
    pub stop: AtomicBool,
}

impl Gauge {
    pub(super) fn add(counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
