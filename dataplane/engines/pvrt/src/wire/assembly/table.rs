//! Transfers under way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::transfer::{Transfer, TransferError};

/// The transfers that lanes take frames of. Lanes look here only when something has changed.
#[derive(Debug, Default)]
pub struct Transfers {
    changes: AtomicU64,
    list: Mutex<Vec<Arc<Transfer>>>,
}

impl Transfers {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes frames of `transfer` from now on.
    ///
    /// # Errors
    /// When another has its number.
    pub fn register(&self, transfer: Transfer) -> Result<Arc<Transfer>, TransferError> {
        let (id, mut list) = (transfer.spec().id, self.list());
        if list.iter().any(|other| other.spec().id == id) {
            return Err(TransferError::Taken(id));
        }
        let transfer = Arc::new(transfer);
        list.push(Arc::clone(&transfer));
        self.changes.fetch_add(1, Ordering::Release);
        Ok(transfer)
    }

    /// Takes no more frames of transfer `id`. Lanes that were at it let go of it with their next
    /// batch or tick; what is done of it stays done.
    pub fn remove(&self, id: u32) -> Option<Arc<Transfer>> {
        let mut list = self.list();
        let at = list.iter().position(|transfer| transfer.spec().id == id)?;
        let removed = list.swap_remove(at);
        self.changes.fetch_add(1, Ordering::Release);
        Some(removed)
    }

    /// Transfer `id`, if it is under way.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<Arc<Transfer>> {
        self.list().iter().find(|transfer| transfer.spec().id == id).cloned()
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Transfer>> {
        self.list().clone()
    }

    /// Grows with each change.
    #[inline]
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Transfer>>> {
        // Whoever panicked holding it had pushed or removed one entry, or not.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
