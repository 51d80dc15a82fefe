//! What goes on behind reads and writes: memory becomes a segment, and the manifest says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Collection;
use super::error::{Damage, IoContext, StoreError};
use crate::manifest::{Entry, Manifest, publish, write_whole};
use crate::part::Part;
use crate::part::marks::Marks;
use crate::record::now;
use crate::segment::build::{Built, Pick, Plan};
use crate::segment::{Segment, marks};

/// What the manifest says. Who holds it is the only one to replace parts.
#[derive(Debug)]
pub(crate) struct Upkeep {
    pub(crate) manifest: Manifest,
}

/// The folder of segments.
pub(crate) fn segments(folder: &Path) -> PathBuf {
    folder.join("segments")
}

/// A segment's file.
pub(crate) fn segment_path(folder: &Path, id: u64) -> PathBuf {
    segments(folder).join(format!("{id:016x}.seg"))
}

/// A file of marks.
pub(crate) fn marks_path(folder: &Path, id: u64, number: u64) -> PathBuf {
    segments(folder).join(format!("{id:016x}.{number:016x}.marks"))
}

/// Which parts a new segment replaces.
pub(crate) enum Replaced<'a> {
    /// The oldest frozen memory.
    Oldest,
    /// These segments.
    Segments(&'a [Arc<Segment>]),
}

impl Upkeep {
    /// A number that no file has had.
    fn number(&mut self) -> u64 {
        self.manifest.next += 1;
        self.manifest.next - 1
    }

    /// Makes a segment of the oldest frozen memory; whether there was one.
    pub(crate) fn flush_oldest(&mut self, collection: &Collection) -> Result<bool, StoreError> {
        let Some(memory) = collection.state().frozen.first().map(Arc::clone) else {
            return Ok(false);
        };
        let covered = memory.lsn();
        let (plan, forgotten) = self.plan(collection, vec![memory], 0);
        let built = self.build(collection, plan)?;
        self.swap(collection, built, &Replaced::Oldest, forgotten);
        self.manifest.applied = self.manifest.applied.max(covered);
        self.save(collection)?;
        Ok(true)
    }

    /// What a segment of all rows of `parts` is to be built from, and until when versions that
    /// ended are left out.
    ///
    /// Left out are versions that ended longer ago than history goes, if the change that ended them
    /// is in the segments: one that is in the log alone is made again after a crash, and must find
    /// what it ended.
    pub(crate) fn plan(
        &mut self,
        collection: &Collection,
        parts: Vec<Arc<dyn Part>>,
        level: u8,
    ) -> (Plan, u64) {
        let history = collection.shape.settings.history.as_micros() as u64;
        let (horizon, applied) = (now().saturating_sub(history), self.manifest.applied);
        let (mut rows, mut edges, mut forgotten) = (Vec::new(), Vec::new(), 0);
        for (at, part) in (0..).zip(&parts) {
            let (own, until) = kept(part.marks(), part.rows(), at, applied, horizon);
            rows.extend(own);
            forgotten = until.max(forgotten);
            edges.extend(kept(part.edge_marks(), part.edges(), at, applied, u64::MAX).0);
        }
        let plan = Plan { id: self.number(), level, parts, rows, edges };
        (plan, forgotten)
    }

    /// Builds a segment in a file of its own; `None` when there is nothing to be in it.
    pub(crate) fn build(
        &self,
        collection: &Collection,
        plan: Plan,
    ) -> Result<Option<Built>, StoreError> {
        if plan.rows.is_empty() && plan.edges.is_empty() {
            return Ok(None);
        }
        let path = segment_path(&collection.folder, plan.id);
        let fresh = path.with_extension("tmp");
        let built = plan.build(&collection.shape, &fresh);
        let built = built.and_then(|built| {
            let seen = built.seen.map_or(1.0, |seen| seen.recall);
            let least = collection.options.least_recall;
            if seen < least {
                return Err(StoreError::Recall { seen, least });
            }
            publish(&fresh, &path)?;
            Ok(Built { segment: Segment::open(&path, &collection.shape)?, ..built })
        });
        if built.is_err() {
            // The next opening removes it where this cannot.
            let _ = std::fs::remove_file(&fresh);
        }
        built.map(Some)
    }

    /// Lets a new segment stand for the parts that it was built from.
    pub(crate) fn swap(
        &mut self,
        collection: &Collection,
        built: Option<Built>,
        replaced: &Replaced<'_>,
        forgotten: u64,
    ) {
        // No marks are made while the writer's lock is held, so that none is lost on the way.
        let _writer = collection.writer();
        if let Some(built) = &built {
            built.carry_marks();
        }
        let mut state = collection.state_mut();
        let mut at = state.segments.len();
        match replaced {
            Replaced::Oldest => drop(state.frozen.remove(0)),
            Replaced::Segments(old) => {
                let is_old =
                    |held: &Arc<Segment>| old.iter().any(|old| old.number() == held.number());
                at = state.segments.iter().position(is_old).unwrap_or(at);
                state.segments.retain(|held| !is_old(held));
            }
        }
        if let Some(built) = built {
            state.segments.insert(at, Arc::new(built.segment));
        }
        state.forgotten = state.forgotten.max(forgotten);
        self.manifest.forgotten = state.forgotten;
    }

    /// Writes marks and the manifest, removes what they do not name, and cuts the log.
    pub(crate) fn save(&mut self, collection: &Collection) -> Result<(), StoreError> {
        let (segments, broken) = {
            let state = collection.state();
            (state.segments.clone(), state.broken.clone())
        };
        let mut entries: Vec<Entry> = Vec::new();
        for segment in &segments {
            self.save_marks(collection, segment)?;
            let (id, level) = (segment.number(), segment.level());
            entries.push(Entry { id, marks: segment.kept.load(Ordering::Relaxed), level });
        }
        let kept = |entry: &&Entry| is_named(&broken, entry.id);
        entries.extend(self.manifest.segments.iter().filter(kept));
        self.manifest.segments = entries;
        {
            // What marks tell of touches must not be missing in the log.
            let mut writer = collection.writer();
            writer.wal.sync()?;
            let oldest = writer.open.keys().next().copied().unwrap_or(u64::MAX);
            self.manifest.log_from = (self.manifest.applied + 1).min(oldest);
            self.manifest.time = writer.time;
        }
        self.manifest.save(&collection.folder)?;
        self.sweep(&collection.folder)?;
        Ok(collection.writer().wal.truncate(self.manifest.log_from - 1)?)
    }

    fn save_marks(&mut self, collection: &Collection, segment: &Segment) -> Result<(), StoreError> {
        let changes = segment.marks().changes() + segment.edge_marks().changes();
        if segment.kept_changes.load(Ordering::Relaxed) == changes {
            return Ok(());
        }
        let both = [segment.marks(), segment.edge_marks()];
        let bytes = marks::encode(segment.number(), both, self.manifest.applied);
        let number = self.number();
        write_whole(&marks_path(&collection.folder, segment.number(), number), &bytes)?;
        segment.kept.store(number, Ordering::Relaxed);
        // Endings that were left out are to be written another time.
        let later =
            |marks: &Marks| marks.all().iter().any(|(_, mark)| mark.lsn > self.manifest.applied);
        let whole = !both.into_iter().any(later);
        segment.kept_changes.store(if whole { changes } else { u64::MAX }, Ordering::Relaxed);
        Ok(())
    }

    /// Removes files of segments that the manifest does not name: what was replaced, and what an
    /// interrupted build left.
    pub(crate) fn sweep(&self, folder: &Path) -> Result<(), StoreError> {
        let folder_of = segments(folder);
        for entry in std::fs::read_dir(&folder_of).doing("listing", &folder_of)? {
            let path = entry.doing("listing", &folder_of)?.path();
            let own = |entry: &Entry| {
                path == segment_path(folder, entry.id)
                    || path == marks_path(folder, entry.id, entry.marks)
            };
            if !self.manifest.segments.iter().any(own) {
                std::fs::remove_file(&path).doing("removing", &path)?;
            }
        }
        Ok(())
    }
}

fn is_named(broken: &[Damage], id: u64) -> bool {
    broken.iter().any(|damage| damage.segment == id)
}

/// Rows of part `part` that are kept, and the latest end of those that are not.
fn kept(marks: &Marks, rows: u32, part: u32, applied: u64, horizon: u64) -> (Vec<Pick>, u64) {
    let mut forgotten = 0;
    let is_kept = |row: &u32| {
        if marks.is_current(*row, applied) {
            return true;
        }
        let ended = marks.get(*row).ended;
        if ended > horizon {
            return true;
        }
        forgotten = forgotten.max(ended);
        false
    };
    let picks = (0..rows).filter(is_kept).map(|row| Pick { part, row }).collect();
    (picks, forgotten)
}
