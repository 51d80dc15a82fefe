//! Parts of a collection: level 0 in memory, and segments. All answer the same questions.

pub(crate) mod edges;
pub(crate) mod flat;
pub(crate) mod marks;
pub(crate) mod memory;
pub(crate) mod select;
pub(crate) mod together;

use std::fmt::Debug;
use std::ops::RangeInclusive;

use marks::Marks;

use crate::collection::error::Damage;
use crate::collection::query::{Effort, Only};
use crate::collection::shape::Shape;
use crate::quantize::QueryTables;
use crate::record::row::{EdgeRow, Row};
use crate::topk::TopK;

/// Which end of an association is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Associations that begin at a record.
    Out,
    /// Associations that end at a record.
    In,
}

/// Which versions are seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The last change that is seen.
    pub(crate) lsn: u64,
    /// The time as of which, if not that of the last change.
    pub(crate) as_of: Option<u64>,
}

/// What a part is searched for.
#[derive(Debug)]
pub(crate) struct Probe<'a> {
    /// As the metric admits it, with zeros behind as [`crate::record::raw::pad`] leaves them.
    pub(crate) padded: &'a [f32],
    pub(crate) tables: &'a QueryTables,
    pub(crate) k: usize,
    pub(crate) least: f32,
    pub(crate) effort: Effort,
    pub(crate) only: &'a Only<'a>,
    pub(crate) moment: Moment,
}

/// What was found in a part.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    /// Rows with scores, best first.
    pub(crate) rows: Vec<(u32, f32)>,
    pub(crate) estimated: u64,
    pub(crate) computed: u64,
    /// Share of the exact answer that this is expected to be; `None` where nothing was measured.
    pub(crate) expected: Option<f32>,
}

impl Hits {
    /// The best of some rows, which nothing is expected of.
    pub(crate) fn of(best: &TopK, estimated: u64, computed: u64) -> Self {
        let rows = best.sorted().iter().map(|hit| (hit.at, hit.score)).collect();
        Self { rows, estimated, computed, expected: None }
    }

    /// The best of rows of which all were compared.
    pub(crate) fn exact(best: &TopK, computed: u64) -> Self {
        Self { expected: Some(1.0), ..Self::of(best, 0, computed) }
    }
}

/// Rows of versions of records, and of associations, that are written once.
///
/// A row that does not exist must not be asked for.
pub(crate) trait Part: Debug + Send + Sync {
    /// Versions of records.
    fn rows(&self) -> u32;
    fn level(&self) -> u8;
    /// What became of them.
    fn marks(&self) -> &Marks;
    fn row(&self, at: u32) -> Result<Row, Damage>;
    fn id(&self, at: u32) -> Result<&[u8], Damage>;
    fn text(&self, at: u32) -> Result<&str, Damage>;
    fn metadata(&self, at: u32) -> Result<&[u8], Damage>;
    /// Adds the vector of a row to `out`, as the log had it.
    fn logged(&self, at: u32, out: &mut Vec<u8>) -> Result<(), Damage>;

    /// Rows whose ids have this hash.
    fn of_hash(&self, hash: u64) -> Result<Vec<u32>, Damage>;
    /// Rows with a word, or with one that begins so; ascending.
    fn of_word(&self, word: &str, prefix: bool) -> Result<Vec<u32>, Damage>;
    /// Rows whose time lies in `range`, in its order.
    fn of_time(&self, range: RangeInclusive<u64>) -> Result<Vec<u32>, Damage>;

    /// Versions of associations.
    fn edges(&self) -> u32;
    fn edge_marks(&self) -> &Marks;
    fn edge(&self, at: u32) -> Result<EdgeRow, Damage>;
    /// Ids of source and target.
    fn edge_ids(&self, at: u32) -> Result<(&[u8], &[u8]), Damage>;
    /// Associations whose source or target has this hash.
    fn edges_of(&self, hash: u64, direction: Direction) -> Result<Vec<u32>, Damage>;

    fn search(&self, shape: &Shape, probe: &Probe<'_>) -> Result<Hits, Damage>;
}

/// Whether a version is seen at a moment.
pub(crate) fn is_seen(
    marks: &Marks,
    row: u32,
    modified: impl FnOnce() -> Result<u64, Damage>,
    moment: Moment,
) -> Result<bool, Damage> {
    Ok(match moment.as_of {
        None => marks.is_current(row, moment.lsn),
        Some(time) => {
            modified()? <= time && marks.ended(row, moment.lsn).is_none_or(|ended| ended > time)
        }
    })
}

/// The version of a record that is seen at a moment.
pub(crate) fn find(
    part: &dyn Part,
    hash: u64,
    id: &[u8],
    moment: Moment,
) -> Result<Option<u32>, Damage> {
    for row in part.of_hash(hash)? {
        let modified = || Ok(part.row(row)?.modified);
        if is_seen(part.marks(), row, modified, moment)? && part.id(row)? == id {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// The version of an association that is seen at a moment.
pub(crate) fn find_edge(
    part: &dyn Part,
    hash: u64,
    ids: (&[u8], &[u8]),
    kind: u8,
    moment: Moment,
) -> Result<Option<u32>, Damage> {
    for at in part.edges_of(hash, Direction::Out)? {
        let edge = part.edge(at)?;
        if edge.kind == u32::from(kind)
            && is_seen(part.edge_marks(), at, || Ok(edge.modified), moment)?
            && part.edge_ids(at)? == ids
        {
            return Ok(Some(at));
        }
    }
    Ok(None)
}
