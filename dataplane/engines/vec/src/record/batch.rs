//! Changes that are made together or not at all.

use std::sync::Arc;

use super::change::{self, HEAD};
use super::raw;
use crate::collection::error::StoreError;
use crate::collection::shape::Shape;

/// A record to be written: a new one, or the whole of what replaces an old one.
#[derive(Clone, Copy, Debug)]
pub struct Put<'a> {
    /// What it is known by: 1 to 65535 bytes of any values.
    pub id: &'a [u8],
    /// Its vector, of the collection's dimension.
    pub vector: &'a [f32],
    /// Its text, up to 16 MiB.
    pub text: &'a str,
    /// Bytes that the collection gives no meaning, up to 16 MiB.
    pub metadata: &'a [u8],
    /// The time that it stands for, in microseconds since 1970; `None` for that of the write.
    pub time: Option<u64>,
    /// How much it counts; finite.
    pub strength: f32,
    /// How sure it is; finite.
    pub confidence: f32,
}

impl<'a> Put<'a> {
    /// A record with nothing but its vector; strength and confidence are 1.
    #[must_use]
    pub const fn new(id: &'a [u8], vector: &'a [f32]) -> Self {
        Self { id, vector, text: "", metadata: &[], time: None, strength: 1.0, confidence: 1.0 }
    }
}

/// Longest text or metadata of a record.
pub(crate) const MOST_BYTES: usize = 16 << 20;

/// Changes of one collection that are made together or not at all, in their order.
///
/// What it takes is checked when it is added, and refused alone: what was added before stays.
#[derive(Clone, Debug)]
pub struct Batch {
    pub(crate) shape: Arc<Shape>,
    /// As the log has it; the head is filled in when it is written.
    pub(crate) payload: Vec<u8>,
    pub(crate) count: u32,
    /// Whether an association is among them, so that ids are to be looked up.
    pub(crate) associates: bool,
    vector: Vec<f32>,
}

impl Batch {
    pub(crate) fn new(shape: Arc<Shape>) -> Self {
        let (payload, vector) = (vec![0; HEAD], Vec::new());
        Self { shape, payload, count: 0, associates: false, vector }
    }

    /// How many changes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that they take in the log.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.payload.len()
    }

    /// Forgets all changes, and keeps the memory for others.
    pub fn clear(&mut self) {
        self.payload.truncate(HEAD);
        (self.count, self.associates) = (0, false);
    }

    /// Writes a record. One with the same id is replaced whole: of it only the time of creation
    /// stays, and associations with it.
    ///
    /// # Errors
    /// [`StoreError`] when the vector is not of finite components of the collection's dimension or
    /// has no direction under cosine, the id is empty or too long, text or metadata are too long,
    /// or strength or confidence are no finite numbers.
    pub fn put(&mut self, put: &Put<'_>) -> Result<(), StoreError> {
        check_id(put.id)?;
        check_len("a text", put.text.len())?;
        check_len("metadata", put.metadata.len())?;
        check_number("the strength", put.strength)?;
        check_number("the confidence", put.confidence)?;
        self.vector.clear();
        self.vector.extend_from_slice(put.vector);
        let settings = &self.shape.settings;
        settings.metric.admit(&mut self.vector, settings.dim)?;
        change::write_put(put, &mut self.payload);
        raw::write(settings.raw.logged(), &self.vector, &mut self.payload);
        self.count += 1;
        Ok(())
    }

    /// Deletes a record and its associations, if it is there.
    ///
    /// # Errors
    /// [`StoreError::Id`].
    pub fn delete(&mut self, id: &[u8]) -> Result<(), StoreError> {
        check_id(id)?;
        change::write_id(change::DELETE, id, &mut self.payload);
        self.count += 1;
        Ok(())
    }

    /// Counts an access to a record, if it is there.
    ///
    /// # Errors
    /// [`StoreError::Id`].
    pub fn touch(&mut self, id: &[u8]) -> Result<(), StoreError> {
        check_id(id)?;
        change::write_id(change::TOUCH, id, &mut self.payload);
        self.count += 1;
        Ok(())
    }

    /// Associates two records, which must be there when the batch is written or be written by it
    /// before. An association of the same type between them is replaced.
    ///
    /// # Errors
    /// [`StoreError::Id`], or [`StoreError::Number`] for a weight or confidence that is not finite.
    pub fn associate(
        &mut self,
        (source, target): (&[u8], &[u8]),
        kind: u8,
        weight: f32,
        confidence: f32,
    ) -> Result<(), StoreError> {
        check_id(source)?;
        check_id(target)?;
        check_number("the weight", weight)?;
        check_number("the confidence", confidence)?;
        change::write_associate((source, target), kind, (weight, confidence), &mut self.payload);
        (self.count, self.associates) = (self.count + 1, true);
        Ok(())
    }

    /// Ends an association, if it is there.
    ///
    /// # Errors
    /// [`StoreError::Id`].
    pub fn dissociate(
        &mut self,
        (source, target): (&[u8], &[u8]),
        kind: u8,
    ) -> Result<(), StoreError> {
        check_id(source)?;
        check_id(target)?;
        change::write_dissociate((source, target), kind, &mut self.payload);
        self.count += 1;
        Ok(())
    }
}

pub(crate) fn check_id(id: &[u8]) -> Result<(), StoreError> {
    if id.is_empty() || id.len() > usize::from(u16::MAX) {
        return Err(StoreError::Id(id.len()));
    }
    Ok(())
}

fn check_len(what: &'static str, len: usize) -> Result<(), StoreError> {
    if len > MOST_BYTES {
        return Err(StoreError::TooLong { what, len, most: MOST_BYTES });
    }
    Ok(())
}

fn check_number(what: &'static str, value: f32) -> Result<(), StoreError> {
    if value.is_finite() { Ok(()) } else { Err(StoreError::Number { what, value }) }
}
