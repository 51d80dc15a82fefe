//! Changes that come one after the other and are made together.

use std::collections::HashMap;

use super::Collection;
use super::error::StoreError;
use super::state::Written;
use super::write::frames;
use crate::record::{Batch, change};

/// Changes that nobody sees until they are committed. Dropped, it is rolled back.
///
/// Transactions may be open at the same time; each is known by the log sequence number of its
/// begin. What they change is decided when they commit: of two that write the same record, the
/// later one to commit stays.
#[derive(Debug)]
pub struct Transaction<'a> {
    collection: &'a Collection,
    id: u64,
    open: bool,
}

impl Collection {
    /// Begins a transaction.
    ///
    /// # Errors
    /// [`StoreError::Wal`], [`StoreError::ReadOnly`].
    pub fn begin(&self) -> Result<Transaction<'_>, StoreError> {
        self.writable()?;
        let mut writer = self.writer();
        let id = writer.wal.append(frames::BEGIN, &[])?;
        writer.wal.commit()?;
        writer.open.insert(id, Vec::new());
        Ok(Transaction { collection: self, id, open: true })
    }
}

impl Transaction<'_> {
    /// The log sequence number of its begin.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Adds the changes of a batch.
    ///
    /// # Errors
    /// [`StoreError`]; then none of the batch was added.
    pub fn add(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        if !std::sync::Arc::ptr_eq(&batch.shape, &self.collection.shape) {
            return Err(StoreError::Settings("the batch was made for another collection"));
        }
        let mut writer = self.collection.writer();
        change::write_head(0, batch.count, &mut batch.payload);
        let mut payload = self.id.to_le_bytes().to_vec();
        payload.extend_from_slice(&batch.payload);
        writer.wal.append(frames::PART, &payload)?;
        writer.wal.commit()?;
        let parts = writer.open.get_mut(&self.id).ok_or(StoreError::Transaction(self.id))?;
        parts.push(batch.payload.clone());
        Ok(())
    }

    /// Makes all its changes, and lets the next query see them.
    ///
    /// # Errors
    /// [`StoreError`]; then it is rolled back.
    pub fn commit(mut self) -> Result<Written, StoreError> {
        let collection = self.collection;
        let mut writer = collection.writer();
        let parts = writer.open.get(&self.id).ok_or(StoreError::Transaction(self.id))?;
        {
            let (state, mut coming) = (collection.state(), HashMap::new());
            for part in parts {
                collection.check_ids(&state, part, &mut coming)?;
            }
        }
        let now = writer.tick();
        let payload = [self.id.to_le_bytes(), now.to_le_bytes()].concat();
        let lsn = writer.wal.append(frames::COMMIT, &payload)?;
        writer.wal.commit()?;
        let parts = writer.open.remove(&self.id).unwrap_or_default();
        self.open = false;
        let mut written = Written { lsn, ..Written::default() };
        let mut state = collection.state_mut();
        for part in parts {
            state.apply(&collection.shape, (lsn, now), &part, &mut written);
        }
        state.lsn = lsn;
        collection.freeze_when_full(&mut state);
        Ok(written)
    }

    /// Forgets all its changes.
    ///
    /// # Errors
    /// [`StoreError::Wal`]; they are forgotten nevertheless.
    pub fn rollback(mut self) -> Result<(), StoreError> {
        self.forget()
    }

    fn forget(&mut self) -> Result<(), StoreError> {
        self.open = false;
        let mut writer = self.collection.writer();
        writer.open.remove(&self.id);
        writer.wal.append(frames::ROLLBACK, &self.id.to_le_bytes())?;
        Ok(writer.wal.commit()?)
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.open {
            // Without its end in the log it is forgotten all the same when the log is read again.
            let _ = self.forget();
        }
    }
}
