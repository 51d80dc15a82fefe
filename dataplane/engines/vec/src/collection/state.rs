//! What is there now: level 0 in memory, and segments.

use std::sync::Arc;

use super::error::{Damage, StoreError};
use super::settings::Settings;
use super::shape::Shape;
use crate::part::memory::Memory;
use crate::part::{Direction, Moment, Part, find, find_edge};
use crate::record::change::{Change, Changes, PutChange};
use crate::record::row::EdgeRow;
use crate::segment::Segment;

/// Bytes of memory beyond which level 0 is full, however few records it has.
const MOST_MEMORY: usize = 512 << 20;

/// What a write did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Log sequence number of the change; with a transaction, that of its commit.
    pub lsn: u64,
    /// Records that were not there before.
    pub added: u32,
    /// Records that replaced one.
    pub replaced: u32,
    /// Records that were deleted.
    pub deleted: u32,
}

/// All parts, and the last change that they hold.
#[derive(Debug)]
pub(crate) struct State {
    /// Where changes go.
    pub(crate) active: Memory,
    /// Memory that takes no more, oldest first, until it is a segment.
    pub(crate) frozen: Vec<Arc<Memory>>,
    /// Oldest first.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Segments that could not be opened.
    pub(crate) broken: Vec<Damage>,
    pub(crate) lsn: u64,
    /// Versions that ended before this time may be missing.
    pub(crate) forgotten: u64,
}

impl State {
    /// All parts, newest first.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &dyn Part> {
        let active = std::iter::once(&self.active as &dyn Part);
        let frozen = self.frozen.iter().rev().map(|part| part.as_ref() as &dyn Part);
        active.chain(frozen).chain(self.segments.iter().rev().map(|part| part.as_ref() as _))
    }

    /// Now, for who sees all changes.
    pub(crate) const fn now(&self) -> Moment {
        Moment { lsn: self.lsn, as_of: None }
    }

    /// The version of a record that is seen at `moment`.
    ///
    /// # Errors
    /// When it is not found, and a part that may have it is damaged.
    pub(crate) fn find(
        &self,
        hash: u64,
        id: &[u8],
        moment: Moment,
    ) -> Result<Option<(&dyn Part, u32)>, Damage> {
        let mut damage = self.broken.first().cloned();
        for part in self.parts() {
            match find(part, hash, id, moment) {
                Ok(Some(row)) => return Ok(Some((part, row))),
                Ok(None) => {}
                Err(error) => damage = Some(error),
            }
        }
        damage.map_or(Ok(None), Err)
    }

    /// Makes the changes of a payload, whole as [`crate::record::change::read`] found it or a batch
    /// made it.
    pub(crate) fn apply(
        &mut self,
        shape: &Shape,
        (lsn, now): (u64, u64),
        payload: &[u8],
        written: &mut Written,
    ) {
        written.lsn = lsn;
        // Seen from within: what this very change has ended is not there any more.
        self.lsn = lsn;
        for change in Changes::of(payload, shape.logged_bytes()) {
            match change {
                Change::Put(put) => self.put(shape, &put, (lsn, now), written),
                Change::Delete(id) => self.delete(shape, id, (lsn, now), written),
                Change::Touch(id) => {
                    if let Some((part, row)) = self.current(shape.hash(id), id) {
                        part.marks().touch(row, lsn, now);
                    }
                }
                Change::Associate { ids, kind, weight, confidence } => {
                    let ended = self.end_edge(shape, ids, kind, (lsn, now));
                    let created = ended.map_or(now, |edge| edge.created);
                    let kind = u32::from(kind);
                    let (modified, rest) = (now, EdgeRow::default());
                    let row = EdgeRow { lsn, created, modified, weight, confidence, kind, ..rest };
                    self.active.associate(row, ids);
                }
                Change::Dissociate { ids, kind } => {
                    self.end_edge(shape, ids, kind, (lsn, now));
                }
            }
        }
    }

    /// The current version. One in a damaged block counts as not there: the write that asks is not
    /// to wait for a repair.
    fn current(&self, hash: u64, id: &[u8]) -> Option<(&dyn Part, u32)> {
        self.find(hash, id, self.now()).unwrap_or(None)
    }

    fn put(
        &mut self,
        shape: &Shape,
        put: &PutChange<'_>,
        (lsn, now): (u64, u64),
        written: &mut Written,
    ) {
        let hash = shape.hash(put.id);
        let mut created = None;
        if let Some((part, row)) = self.current(hash, put.id) {
            created = part.row(row).ok().map(|row| row.created);
            part.marks().end(row, lsn, now);
            written.replaced += 1;
        } else {
            written.added += 1;
        }
        self.active.put(put, hash, (lsn, now), created);
    }

    fn delete(&mut self, shape: &Shape, id: &[u8], (lsn, now): (u64, u64), written: &mut Written) {
        let hash = shape.hash(id);
        let Some((part, row)) = self.current(hash, id) else { return };
        part.marks().end(row, lsn, now);
        written.deleted += 1;
        let moment = self.now();
        for part in self.parts() {
            for direction in [Direction::Out, Direction::In] {
                for at in part.edges_of(hash, direction).unwrap_or_default() {
                    let own = part.edge_ids(at).is_ok_and(|ids| match direction {
                        Direction::Out => ids.0 == id,
                        Direction::In => ids.1 == id,
                    });
                    if own && part.edge_marks().is_current(at, moment.lsn) {
                        part.edge_marks().end(at, lsn, now);
                    }
                }
            }
        }
    }

    /// Ends an association and returns what it was.
    fn end_edge(
        &self,
        shape: &Shape,
        ids: (&[u8], &[u8]),
        kind: u8,
        (lsn, now): (u64, u64),
    ) -> Option<EdgeRow> {
        let hash = shape.hash(ids.0);
        for part in self.parts() {
            if let Ok(Some(at)) = find_edge(part, hash, ids, kind, self.now()) {
                part.edge_marks().end(at, lsn, now);
                return part.edge(at).ok();
            }
        }
        None
    }

    /// The moment as of `as_of`, or now.
    ///
    /// # Errors
    /// [`StoreError::Forgotten`].
    pub(crate) fn moment(&self, as_of: Option<u64>) -> Result<Moment, StoreError> {
        match as_of {
            Some(asked) if asked < self.forgotten => {
                Err(StoreError::Forgotten { asked, since: self.forgotten })
            }
            _ => Ok(Moment { as_of, ..self.now() }),
        }
    }

    /// All parts but the memory that takes changes.
    pub(crate) fn immutable(&self) -> Vec<Arc<dyn Part>> {
        let frozen = self.frozen.iter().map(|part| Arc::clone(part) as Arc<dyn Part>);
        frozen.chain(self.segments.iter().map(|part| Arc::clone(part) as _)).collect()
    }

    /// Whether level 0 is to go on in new memory.
    pub(crate) fn active_is_full(&self, settings: &Settings) -> bool {
        self.active.rows() as usize >= settings.memory_rows || self.active.memory() >= MOST_MEMORY
    }

    /// Lets changes go to new memory from here on.
    pub(crate) fn freeze(&mut self, shape: &Arc<Shape>) {
        if !self.active.is_empty() {
            let mut full = std::mem::replace(&mut self.active, Memory::new(shape));
            full.cover(self.lsn);
            self.frozen.push(Arc::new(full));
        }
    }
}
