//! Compaction: segments of a level become one of the next.

use std::sync::Arc;

use super::Collection;
use super::error::StoreError;
use super::upkeep::{Replaced, Upkeep};
use crate::part::Part;
use crate::record::now;
use crate::segment::Segment;

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compacted {
    /// Segments that were merged.
    pub segments: usize,
    /// Versions of records that they had.
    pub rows: u64,
    /// Versions that the new segment has: those that ended long enough ago are left out.
    pub kept: u64,
    /// Level of the new segment.
    pub level: u8,
    /// Bytes of its file; 0 when nothing was kept.
    pub bytes: u64,
    /// Share of the exact answer that it finds with all effort, and the queries that this was
    /// measured with; `None` without raw vectors, or with too few records to tell.
    pub recall: Option<(f32, u32)>,
}

impl Collection {
    /// Merges everything into one segment. Reads and writes go on meanwhile.
    ///
    /// `None` when there is nothing to gain: one segment of that level, and nothing in it has ended.
    ///
    /// # Errors
    /// [`StoreError`]: a damaged segment is not merged, and a new segment that finds too little is
    /// not taken. What was there stays.
    pub fn compact(&self) -> Result<Option<Compacted>, StoreError> {
        self.compact_into(1)
    }

    /// The same, into a segment of at least `level`: 1 for lists, 2 for a graph where the settings
    /// have graphs.
    ///
    /// # Errors
    /// As [`Self::compact`].
    pub fn compact_into(&self, level: u8) -> Result<Option<Compacted>, StoreError> {
        self.writable()?;
        let mut upkeep = self.upkeep();
        upkeep.checkpoint(self)?;
        let old = self.state().segments.clone();
        let highest = old.iter().map(|segment| segment.level()).max().unwrap_or(0);
        let level = level.max(highest).max(1);
        if let [only] = &old[..]
            && only.level() == level
            && only.marks().ended_rows() + only.edge_marks().ended_rows() == 0
        {
            return Ok(None);
        }
        if old.is_empty() {
            return Ok(None);
        }
        upkeep.merge(self, &old, level).map(Some)
    }
}

impl Upkeep {
    /// Merges one level's segments if that is due.
    pub(crate) fn compact_due(
        &mut self,
        collection: &Collection,
    ) -> Result<Option<Compacted>, StoreError> {
        let segments = collection.state().segments.clone();
        let Some((old, level)) = due(collection, &segments) else { return Ok(None) };
        self.merge(collection, &old, level).map(Some)
    }

    fn merge(
        &mut self,
        collection: &Collection,
        old: &[Arc<Segment>],
        level: u8,
    ) -> Result<Compacted, StoreError> {
        let parts: Vec<Arc<dyn Part>> = old.iter().map(|part| Arc::clone(part) as _).collect();
        let (plan, forgotten) = self.plan(collection, parts, level);
        let mut report = Compacted {
            segments: old.len(),
            rows: old.iter().map(|part| u64::from(part.rows())).sum(),
            kept: plan.rows.len() as u64,
            level,
            bytes: 0,
            recall: None,
        };
        let built = self.build(collection, plan)?;
        if let Some(built) = &built {
            report.bytes = built.segment.bytes();
            report.recall = built.seen.map(|seen| (seen.recall, seen.queries));
        }
        self.swap(collection, built, &Replaced::Segments(old), forgotten);
        self.save(collection)?;
        Ok(report)
    }
}

/// Segments that are to be merged, and the level that they go to: those of a level that is full,
/// or one of which a quarter can be forgotten.
fn due(collection: &Collection, segments: &[Arc<Segment>]) -> Option<(Vec<Arc<Segment>>, u8)> {
    let settings = &collection.shape.settings;
    let most = segments.iter().map(|segment| segment.level()).max()?;
    for level in 0..=most {
        let of = segments.iter().filter(|segment| segment.level() == level);
        let of: Vec<Arc<Segment>> = of.map(Arc::clone).collect();
        if of.len() >= settings.fanout {
            return Some((of, level.saturating_add(1)));
        }
    }
    let horizon = now().saturating_sub(settings.history.as_micros() as u64);
    let stale = |segment: &&Arc<Segment>| {
        let quarter = u64::from(segment.rows()).div_ceil(4);
        segment.level() > 0
            && segment.marks().ended_rows() >= quarter
            && segment.marks().ended_before(horizon) >= quarter
    };
    let one = segments.iter().find(stale)?;
    Some((vec![Arc::clone(one)], one.level()))
}
