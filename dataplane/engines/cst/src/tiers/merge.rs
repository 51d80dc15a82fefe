//! Making one segment of several.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Store;
use super::error::StoreError;
use super::index::Place;
use super::segments::{Range, Segment, read_removed, write_removed};
use super::write::Batch;
use crate::cold::{ColdError, ColdFile, Frozen, Writer};

/// Neighbours of a size that are merged when there are as many.
const FAN: usize = 4;

/// The first run of segments that should be one: one of which more than half is dead, or [`FAN`] of
/// about one size that together are no larger than a segment should be.
fn plan(segments: &[Arc<Segment>], most: usize) -> Option<std::ops::Range<usize>> {
    let dead = |it: &Segment| it.dead.load(Ordering::Relaxed);
    let half_dead = |it: &Arc<Segment>| it.trees > 0 && dead(it) * 2 > it.trees;
    if let Some(at) = segments.iter().position(half_dead) {
        return Some(at..at + 1);
    }
    let size = |it: &Segment| it.bytes.max(1 << 12).ilog2() / 2;
    (FAN..=segments.len()).rev().map(|end| end - FAN..end).find(|run| {
        let run = &segments[run.clone()];
        let bytes: usize = run.iter().map(|it| it.bytes).sum();
        let sizes = run.iter().map(|it| size(it));
        bytes <= most && sizes.clone().max() == sizes.min()
    })
}

impl Store {
    /// Merges while there is something to merge. Nothing waits meanwhile: what a waiting tree replaces
    /// must stay on disk until that one is there.
    pub(super) fn merge(&self, batch: &Batch) -> Result<(), StoreError> {
        debug_assert!(batch.is_empty());
        while let Some(run) = plan(&self.segments.all(), self.config.segment_bytes) {
            let all = self.segments.all();
            let older = run.start > 0;
            if !self.merge_run(&all[run], older)? {
                break;
            }
        }
        Ok(())
    }

    /// Makes one segment of a run; false where a tree cannot be read, so that it is left as it is.
    fn merge_run(&self, run: &[Arc<Segment>], older: bool) -> Result<bool, StoreError> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(false) };
        let range = Range {
            first: first.range.first,
            last: last.range.last,
            generation: if run.len() == 1 { first.range.generation + 1 } else { 0 },
        };
        let path = self.folder.join(range.file_name());
        let fail = |error| StoreError::segment(&path)(error);
        let mut writer = Writer::create(&path).map_err(fail)?;
        let (mut removed, mut moved) = (BTreeSet::<Box<str>>::new(), Vec::new());
        for segment in run {
            let Some(file) = self.segments.file(segment.id)? else { return Ok(false) };
            if older {
                // What they remove may be in a segment before the run.
                let names = read_removed(file.note()).unwrap_or_default();
                removed.extend(names.into_iter().map(Box::from));
            }
            for (number, name) in file.names().enumerate() {
                let place = Place::Frozen { segment: segment.id, number: number as u32 };
                if !self.index.get(name).is_some_and(|now| now.is(&place)) {
                    continue;
                }
                let Some(frozen) = self.take_over(&file, name, number)? else { return Ok(false) };
                writer.add_frozen(name, &frozen, file.tree_note(number)).map_err(fail)?;
                moved.push((Box::<str>::from(name), place));
            }
        }
        removed.retain(|name| self.index.get(name).is_none());
        writer.set_note(write_removed(removed.iter().map(|name| &**name)));
        writer.finish().map_err(fail)?;
        self.replace(range, path, &moved)?;
        Ok(true)
    }

    /// A tree for another segment: as it lies, or thawed and frozen again where its symbols have other
    /// numbers now. None where that cannot be done.
    fn take_over(
        &self,
        file: &ColdFile,
        name: &str,
        number: usize,
    ) -> Result<Option<Frozen>, StoreError> {
        if let Some(frozen) = file.frozen(number) {
            return Ok(Some(frozen));
        }
        let Some(writing) = &self.writing else { return Ok(None) };
        let Ok(source) = self.source_for(file, name, number) else { return Ok(None) };
        let thawed = file.tree_at(number, source.as_deref()).and_then(|tree| {
            let mut tree = tree.ok_or(ColdError::Malformed { part: name.into() })?;
            Ok((Arc::clone(tree.grammar()), tree.thaw()?))
        });
        let Ok((grammar, flat)) = thawed else { return Ok(None) };
        if source.is_none() && self.config.freeze.positions == crate::cold::Positions::Guessed {
            return Ok(None);
        }
        self.freeze(writing, &grammar, &flat, source.as_deref().unwrap_or_default()).map(Some)
    }

    /// Puts the merged segment into use, then removes those that it replaces.
    fn replace(
        &self,
        range: Range,
        path: std::path::PathBuf,
        moved: &[(Box<str>, Place)],
    ) -> Result<(), StoreError> {
        let (segment, file) = self.segments.open(range, path)?;
        let id = segment.id;
        self.segments.add(segment, file);
        for (number, (name, from)) in moved.iter().enumerate() {
            let to = Place::Frozen { segment: id, number: number as u32 };
            self.hot.rename(from.key(), to.key());
            self.index.move_to(name, from, to);
        }
        for segment in self.segments.retire(|other| range.replaces(other)) {
            std::fs::remove_file(&segment.path).map_err(StoreError::io("remove", &segment.path))?;
        }
        Ok(())
    }
}
