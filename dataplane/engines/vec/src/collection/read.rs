//! Records by their ids, words and times.

use std::ops::{ControlFlow, RangeInclusive};

use super::Collection;
use super::error::{Damage, StoreError};
use super::shape::Shape;
use crate::indexes::words::Words;
use crate::part::Part;
use crate::record::{Record, raw};

/// The record of a row.
pub(crate) fn record(shape: &Shape, part: &dyn Part, at: u32) -> Result<Record, Damage> {
    let (row, mark) = (part.row(at)?, part.marks().get(at));
    let (mut logged, mut vector) = (Vec::new(), vec![0.0; shape.settings.dim]);
    part.logged(at, &mut logged)?;
    raw::read(shape.settings.raw.logged(), &logged, &mut vector);
    Ok(Record {
        id: part.id(at)?.to_vec(),
        vector,
        text: part.text(at)?.to_owned(),
        metadata: part.metadata(at)?.to_vec(),
        time: row.time,
        strength: row.strength,
        confidence: row.confidence,
        access_count: row.access_count.saturating_add(mark.touches),
        created: row.created,
        accessed: row.accessed.max(mark.accessed),
        modified: row.modified,
        lsn: row.lsn,
    })
}

impl Collection {
    /// The record with this id.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not found, and a damaged segment may have it.
    pub fn get(&self, id: &[u8]) -> Result<Option<Record>, StoreError> {
        self.get_at(id, None)
    }

    /// The version of the record that was current at `time`, in microseconds since 1970.
    ///
    /// # Errors
    /// As [`Self::get`], and [`StoreError::Forgotten`] when versions of then may be missing.
    pub fn get_as_of(&self, id: &[u8], time: u64) -> Result<Option<Record>, StoreError> {
        self.get_at(id, Some(time))
    }

    fn get_at(&self, id: &[u8], as_of: Option<u64>) -> Result<Option<Record>, StoreError> {
        let state = self.state();
        let moment = state.moment(as_of)?;
        let found = state.find(self.shape.hash(id), id, moment)?;
        Ok(found.map(|(part, row)| record(&self.shape, part, row)).transpose()?)
    }

    /// Ids of up to `most` records whose texts have these words; no order is promised.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn with_words(&self, words: &Words, most: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let (state, mut ids) = (self.state(), Vec::new());
        for part in state.parts() {
            let mut look = |word: &str, prefix| part.of_word(word, prefix);
            for row in words.rows(&mut look, &|| (0..part.rows()).collect())? {
                if ids.len() == most {
                    return Ok(ids);
                }
                if part.marks().is_current(row, state.lsn) {
                    ids.push(part.id(row)?.to_vec());
                }
            }
        }
        Ok(ids)
    }

    /// Ids of up to `most` records with their times that lie in `range`, in microseconds since
    /// 1970; the earliest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn in_time(
        &self,
        range: RangeInclusive<u64>,
        most: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let (state, mut found) = (self.state(), Vec::new());
        for part in state.parts() {
            let rows = part.of_time(range.clone())?;
            let current = rows.iter().filter(|row| part.marks().is_current(**row, state.lsn));
            for row in current.take(most) {
                found.push((part.row(*row)?.time, part.id(*row)?.to_vec()));
            }
        }
        found.sort_unstable();
        found.truncate(most);
        Ok(found)
    }

    /// Gives `each` all records that are there now, in no order, until it breaks. Writes go on
    /// meanwhile and are not seen.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], when a record cannot be read.
    pub fn for_each(
        &self,
        mut each: impl FnMut(Record) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let (parts, moment) = {
            let mut state = self.state_mut();
            state.freeze(&self.shape);
            (state.immutable(), state.now())
        };
        for part in &parts {
            for row in 0..part.rows() {
                if part.marks().is_current(row, moment.lsn)
                    && each(record(&self.shape, part.as_ref(), row)?).is_break()
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// How many records there are; those of a segment that could not be opened are not counted.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.state().parts().map(|part| u64::from(part.rows()) - part.marks().ended_rows()).sum()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
