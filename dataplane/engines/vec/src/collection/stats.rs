//! What a collection is made of, and whether it is whole.

use super::Collection;
use super::error::Damage;
use crate::part::Part;

/// What one level is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LevelStats {
    /// Which level; memory is counted apart.
    pub level: u8,
    /// Its segments.
    pub segments: u32,
    /// Versions of records that they have.
    pub rows: u64,
    /// Versions among them that have ended.
    pub ended: u64,
    /// Versions of associations.
    pub associations: u64,
    /// Lists that vectors lie in.
    pub lists: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Bytes among them of codes, levels, centres and graphs: what a search goes over. Of vectors
    /// it reads only those of the best.
    pub codes: u64,
}

/// What a collection is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Records that are current.
    pub records: u64,
    /// Associations that are current.
    pub associations: u64,
    /// Versions of records in memory.
    pub memory_rows: u64,
    /// Bytes of memory that they hold, about.
    pub memory_bytes: u64,
    /// Levels that have segments, lowest first.
    pub levels: Vec<LevelStats>,
    /// The last change.
    pub lsn: u64,
    /// The last change that outlasts a loss of power.
    pub durable: u64,
    /// The last change that is in segments; later ones are read from the log at an opening.
    pub checkpoint: u64,
    /// Versions that ended before this time, in microseconds since 1970, may be missing.
    pub forgotten: u64,
    /// Segments that could not be opened.
    pub refused: Vec<Damage>,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verified {
    /// Segments that were read.
    pub segments: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Blocks that are not what was written, and segments that could not be opened.
    pub damaged: Vec<Damage>,
}

impl Collection {
    /// What it is made of now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let checkpoint = self.upkeep().manifest.applied;
        let durable = self.durable();
        let state = self.state();
        let mut stats = Stats {
            lsn: state.lsn,
            durable,
            checkpoint,
            forgotten: state.forgotten,
            refused: state.broken.clone(),
            ..Stats::default()
        };
        for part in state.parts() {
            stats.records += u64::from(part.rows()) - part.marks().ended_rows();
            stats.associations += u64::from(part.edges()) - part.edge_marks().ended_rows();
        }
        for memory in state.frozen.iter().map(AsRef::as_ref).chain([&state.active]) {
            stats.memory_rows += u64::from(memory.rows());
            stats.memory_bytes += memory.memory() as u64;
        }
        for segment in &state.segments {
            let level = segment.level();
            let at = stats.levels.iter().position(|held| held.level == level);
            let at = at.unwrap_or_else(|| {
                stats.levels.push(LevelStats { level, ..LevelStats::default() });
                stats.levels.len() - 1
            });
            let held = &mut stats.levels[at];
            held.segments += 1;
            held.rows += u64::from(segment.rows());
            held.ended += segment.marks().ended_rows();
            held.associations += u64::from(segment.edges());
            held.lists += u64::from(segment.lists());
            held.bytes += segment.bytes();
            held.codes += segment.code_bytes();
        }
        stats.levels.sort_unstable_by_key(|level| level.level);
        stats
    }

    /// Reads every byte of every segment and holds it against its checksum. Reads and writes go on
    /// meanwhile. The log and the manifest were read when the collection was opened.
    #[must_use]
    pub fn verify(&self) -> Verified {
        let (segments, damaged) = {
            let state = self.state();
            (state.segments.clone(), state.broken.clone())
        };
        let mut verified = Verified { damaged, ..Verified::default() };
        for segment in segments {
            verified.segments += 1;
            verified.bytes += segment.bytes();
            verified.damaged.extend(segment.verify());
        }
        verified
    }
}
