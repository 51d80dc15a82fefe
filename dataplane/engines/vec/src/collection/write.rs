//! Writing: into the log, then into level 0.

use std::collections::{BTreeMap, HashMap};

use super::Collection;
use super::error::StoreError;
use super::state::{State, Written};
use crate::record::change::{self, Change, Changes};
use crate::record::{Batch, now};
use crate::wal::Wal;

/// Kinds of frames in the log.
pub(crate) mod frames {
    /// A payload of changes, made at once.
    pub(crate) const BATCH: u32 = 1;
    /// A transaction begins; its number is this frame's.
    pub(crate) const BEGIN: u32 = 2;
    /// The transaction's number (8 bytes), and a payload that belongs to it.
    pub(crate) const PART: u32 = 3;
    /// The transaction's number (8), and the time of the write (8): its payloads are made.
    pub(crate) const COMMIT: u32 = 4;
    /// The transaction's number (8): its payloads are forgotten.
    pub(crate) const ROLLBACK: u32 = 5;
}

/// Frozen memories beyond which a write makes a segment of one itself.
const MOST_FROZEN: usize = 4;

/// The end of the log, and what is under way there.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) wal: Wal,
    /// Open transactions with their payloads.
    pub(crate) open: BTreeMap<u64, Vec<Vec<u8>>>,
    /// The time of the last write.
    pub(crate) time: u64,
}

impl Writer {
    /// The time of the next write: later than all before, whatever the clock does.
    pub(crate) fn tick(&mut self) -> u64 {
        self.time = now().max(self.time + 1);
        self.time
    }
}

impl Collection {
    /// Makes the changes of a batch, all or none, and lets the next query see them. They outlast a
    /// crash of the process when this returns, and a loss of power as [`Options::fsync`] says.
    ///
    /// [`Options::fsync`]: super::settings::Options::fsync
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was changed. After an error of the log all writes are refused
    /// until the collection is opened again.
    pub fn write(&self, batch: &mut Batch) -> Result<Written, StoreError> {
        self.writable()?;
        let mut writer = self.writer();
        self.check(&self.state(), std::iter::once(&*batch))?;
        let now = writer.tick();
        change::write_head(now, batch.count, &mut batch.payload);
        let lsn = writer.wal.append(frames::BATCH, &batch.payload)?;
        writer.wal.commit()?;
        let mut written = Written::default();
        let frozen = {
            let mut state = self.state_mut();
            state.apply(&self.shape, (lsn, now), &batch.payload, &mut written);
            self.freeze_when_full(&mut state);
            state.frozen.len()
        };
        drop(writer);
        if frozen > MOST_FROZEN {
            self.upkeep().flush_oldest(self)?;
        }
        Ok(written)
    }

    /// Refuses batches of another collection, and associations of records that are not there.
    pub(crate) fn check<'a>(
        &self,
        state: &State,
        batches: impl Iterator<Item = &'a Batch>,
    ) -> Result<(), StoreError> {
        let mut coming = HashMap::new();
        let batches: Vec<&Batch> = batches.collect();
        for batch in &batches {
            if !std::sync::Arc::ptr_eq(&batch.shape, &self.shape) {
                return Err(StoreError::Settings("the batch was made for another collection"));
            }
        }
        if batches.iter().any(|batch| batch.associates) {
            for batch in batches {
                self.check_ids(state, &batch.payload, &mut coming)?;
            }
        }
        Ok(())
    }

    /// Refuses an association of records that are neither there nor written before it; `coming`
    /// says of ids whether the changes so far leave them there.
    pub(crate) fn check_ids<'a>(
        &self,
        state: &State,
        payload: &'a [u8],
        coming: &mut HashMap<&'a [u8], bool>,
    ) -> Result<(), StoreError> {
        for change in Changes::of(payload, self.shape.logged_bytes()) {
            match change {
                Change::Put(put) => drop(coming.insert(put.id, true)),
                Change::Delete(id) => drop(coming.insert(id, false)),
                Change::Associate { ids: (source, target), .. } => {
                    for id in [source, target] {
                        let is_there = match coming.get(id) {
                            Some(is_there) => *is_there,
                            None => state.find(self.shape.hash(id), id, state.now())?.is_some(),
                        };
                        if !is_there {
                            let id = String::from_utf8_lossy(id).into_owned();
                            return Err(StoreError::Unknown(id));
                        }
                    }
                }
                Change::Touch(_) | Change::Dissociate { .. } => {}
            }
        }
        Ok(())
    }

    /// Lets changes go to new memory when the old one is full.
    pub(crate) fn freeze_when_full(&self, state: &mut State) {
        if state.active_is_full(&self.shape.settings) {
            state.freeze(&self.shape);
        }
    }

    /// Makes all writes so far outlast a loss of power.
    ///
    /// # Errors
    /// [`StoreError::Wal`].
    pub fn sync(&self) -> Result<(), StoreError> {
        self.writable()?;
        Ok(self.writer().wal.sync()?)
    }

    /// Makes a group of writes outlast a loss of power when it has waited as long as
    /// [`Fsync::Group`](crate::wal::Fsync::Group) says. To be called when no writes come.
    ///
    /// # Errors
    /// [`StoreError::Wal`].
    pub fn sync_when_due(&self) -> Result<(), StoreError> {
        let mut writer = self.writer();
        if writer.wal.is_due() {
            writer.wal.sync()?;
        }
        Ok(())
    }

    /// Up to which number changes outlast a loss of power.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.writer().wal.durable()
    }
}
