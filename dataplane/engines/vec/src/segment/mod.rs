//! Segments: rows that are written once, searched where they lie in a mapped file.

pub(crate) mod build;
mod calibrate;
mod file;
mod format;
pub(crate) mod fuzzing;
mod graph;
mod lists;
mod mapped;
pub(crate) mod marks;

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use format::{Region, Step};
use mapped::Mapped;

use crate::collection::error::{Damage, StoreError};
use crate::collection::query::Effort;
use crate::collection::settings::Raw;
use crate::collection::shape::Shape;
use crate::indexes::sorted::Sorted;
use crate::part::marks::Marks;
use crate::part::select::Select;
use crate::part::{Direction, Hits, Part, Probe, flat};
use crate::record::raw::{self, RawView};
use crate::record::row::{EdgeRow, Row};

/// A segment that is open.
#[derive(Debug)]
pub(crate) struct Segment {
    shape: Arc<Shape>,
    mapped: Mapped,
    marks: Marks,
    edge_marks: Marks,
    /// Which marks file holds its marks; 0 for none.
    pub(crate) kept: AtomicU64,
    /// How many changes of marks are in that file.
    pub(crate) kept_changes: AtomicU64,
}

/// What a footer calls what is kept of vectors.
const fn raw_number(raw: Raw, level: u8) -> u32 {
    match raw {
        Raw::F32 => 0,
        Raw::Bf16 => 1,
        Raw::I8 => 2,
        Raw::None if level == 0 => 1,
        Raw::None => 3,
    }
}

impl Segment {
    /// Maps a segment without marks.
    ///
    /// # Errors
    /// [`StoreError::Broken`] when it is none of this collection.
    pub(crate) fn open(path: &Path, shape: &Arc<Shape>) -> Result<Self, StoreError> {
        let mapped = Mapped::open(path)?;
        let (footer, settings) = (&mapped.footer, &shape.settings);
        let broken = |why| StoreError::Broken { path: path.to_owned(), why };
        let level = u8::try_from(footer.level).map_err(|_| broken("it has no such level"))?;
        if footer.dim as usize != settings.dim {
            return Err(broken("its vectors have another dimension than the collection's"));
        }
        if footer.raw != raw_number(settings.raw, level) {
            return Err(broken("it keeps other vectors than the collection does"));
        }
        lists::check(&mapped, shape).map_err(broken)?;
        graph::check(&mapped, shape).map_err(broken)?;
        let (marks, edge_marks) = (Marks::for_rows(footer.rows), Marks::for_rows(footer.edges));
        Ok(Self {
            shape: Arc::clone(shape),
            mapped,
            marks,
            edge_marks,
            kept: AtomicU64::new(0),
            kept_changes: AtomicU64::new(0),
        })
    }

    pub(crate) fn number(&self) -> u64 {
        self.mapped.footer.id
    }

    /// Bytes of its file.
    pub(crate) fn bytes(&self) -> u64 {
        self.mapped.len() as u64
    }

    /// Bytes of codes, levels, centres and graphs.
    pub(crate) fn code_bytes(&self) -> u64 {
        let regions = [
            Region::Lists,
            Region::ListData,
            Region::Turned,
            Region::CentreBytes,
            Region::CentreUnits,
            Region::CentreHalves,
            Region::Cells,
            Region::StartLines,
            Region::StartScale,
            Region::StartAdd,
            Region::Starts,
        ];
        let extents = &self.mapped.footer.extents;
        regions.iter().map(|region| extents[*region as usize].bytes).sum()
    }

    /// Reads every byte; returns the blocks that are damaged.
    pub(crate) fn verify(&self) -> Vec<Damage> {
        self.mapped.verify()
    }

    /// Efforts with the share of the exact answer that they found, weakest first.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.mapped.footer.steps.iter().take_while(|step| step.probes > 0)
    }

    /// Whether its rows are vertices of a graph, and lie in no lists.
    pub(crate) fn has_graph(&self) -> bool {
        self.mapped.footer.degree > 0
    }

    /// Candidates that are worth the least effort: a walk can stop earlier than a scan.
    fn least_candidates(&self, k: usize) -> usize {
        if self.has_graph() { k } else { flat::LEAST_CANDIDATES }
    }

    /// Lists that its rows lie in.
    pub(crate) fn lists(&self) -> u32 {
        self.mapped.footer.lists
    }

    /// Vectors where they lie; `None` where none are kept. Rows are checked by [`Self::check_raw`].
    fn raw(&self, rows: std::ops::Range<u32>) -> Result<Option<RawView<'_>>, Damage> {
        let (mapped, dim) = (&self.mapped, self.shape.settings.dim);
        let bytes = |size: usize| {
            let stride = (crate::rows::stride(dim, size) * size) as u64;
            let range = u64::from(rows.start) * stride..u64::from(rows.end) * stride;
            mapped.bytes(Region::Raw, range)
        };
        Ok(match mapped.footer.raw {
            0 => Some(RawView::F32(mapped.cast(Region::Raw, bytes(4)?)?, dim)),
            1 => Some(RawView::Bf16(mapped.cast(Region::Raw, bytes(2)?)?, dim)),
            2 => {
                let units = &mapped.all(Region::RawUnits)?[rows.start as usize..rows.end as usize];
                Some(RawView::I8(mapped.cast(Region::Raw, bytes(1)?)?, units, dim))
            }
            _ => None,
        })
    }

    /// What a query is to do here: lists, candidates, and the share that these are expected to find.
    fn effort(&self, probe: &Probe<'_>) -> (usize, usize, Option<f32>) {
        let lists = self.lists() as usize;
        let (probes, factor, expected) = match probe.effort {
            Effort::Exact => return (lists, self.rows() as usize, None),
            Effort::Probes { probes, candidates } => {
                let candidates = candidates.max(probe.k).clamp(1, self.rows() as usize);
                return (probes.clamp(1, lists.max(1)), candidates, None);
            }
            Effort::Recall(wanted) => calibrate::effort(self, wanted),
        };
        let candidates = probe.k.saturating_mul(factor).max(self.least_candidates(probe.k));
        (probes, candidates.min(self.rows() as usize), expected)
    }
}

impl Part for Segment {
    fn rows(&self) -> u32 {
        self.mapped.footer.rows
    }

    fn level(&self) -> u8 {
        self.mapped.footer.level as u8
    }

    fn marks(&self) -> &Marks {
        &self.marks
    }

    fn row(&self, at: u32) -> Result<Row, Damage> {
        self.mapped.entry(Region::Rows, at)
    }

    fn id(&self, at: u32) -> Result<&[u8], Damage> {
        self.mapped.string(Region::IdEnds, Region::Ids, at)
    }

    fn text(&self, at: u32) -> Result<&str, Damage> {
        let bytes = self.mapped.string(Region::TextEnds, Region::Texts, at)?;
        let extent = self.mapped.footer.extents[Region::Texts as usize];
        std::str::from_utf8(bytes).map_err(|_| self.mapped.damage(Region::Texts, extent.at))
    }

    fn metadata(&self, at: u32) -> Result<&[u8], Damage> {
        self.mapped.string(Region::MetadataEnds, Region::Metadata, at)
    }

    fn logged(&self, at: u32, out: &mut Vec<u8>) -> Result<(), Damage> {
        match self.raw(at..at + 1)? {
            Some(raw) => raw.logged(0, out),
            None => {
                let mut vector = vec![0.0; self.shape.settings.dim];
                lists::decode(&self.mapped, &self.shape, at, &mut vector)?;
                raw::write(self.shape.settings.raw.logged(), &vector, out);
            }
        }
        Ok(())
    }

    fn of_hash(&self, hash: u64) -> Result<Vec<u32>, Damage> {
        let (keys, rows) = (self.mapped.all(Region::IdKeys)?, self.mapped.all(Region::IdRows)?);
        Ok(Sorted { keys, rows }.of(hash).to_vec())
    }

    fn of_word(&self, word: &str, prefix: bool) -> Result<Vec<u32>, Damage> {
        file::of_word(&self.mapped, word.as_bytes(), prefix)
    }

    fn of_time(&self, range: RangeInclusive<u64>) -> Result<Vec<u32>, Damage> {
        let (keys, rows) = (self.mapped.all(Region::TimeKeys)?, self.mapped.all(Region::TimeRows)?);
        Ok(Sorted { keys, rows }.between(range).to_vec())
    }

    fn edges(&self) -> u32 {
        self.mapped.footer.edges
    }

    fn edge_marks(&self) -> &Marks {
        &self.edge_marks
    }

    fn edge(&self, at: u32) -> Result<EdgeRow, Damage> {
        self.mapped.entry(Region::Edges, at)
    }

    fn edge_ids(&self, at: u32) -> Result<(&[u8], &[u8]), Damage> {
        let ids = self.mapped.string(Region::EdgeIdEnds, Region::EdgeIds, at)?;
        let extent = self.mapped.footer.extents[Region::Edges as usize];
        let split = ids.split_at_checked(self.edge(at)?.source_len as usize);
        split.ok_or_else(|| self.mapped.damage(Region::Edges, extent.at))
    }

    fn edges_of(&self, hash: u64, direction: Direction) -> Result<Vec<u32>, Damage> {
        let (keys, rows) = match direction {
            Direction::Out => (Region::OutKeys, Region::OutRows),
            Direction::In => (Region::InKeys, Region::InRows),
        };
        let (keys, rows) = (self.mapped.all(keys)?, self.mapped.all(rows)?);
        Ok(Sorted { keys, rows }.of(hash).to_vec())
    }

    fn search(&self, shape: &Shape, probe: &Probe<'_>) -> Result<Hits, Damage> {
        if self.rows() == 0 {
            return Ok(Hits::default());
        }
        let select = Select::new(shape, self, probe.only, probe.moment)?;
        let rows = self.rows() as usize;
        let (probes, candidates, expected) = self.effort(probe);
        let measured = |hits: Hits| Hits { expected, ..hits };
        let has_raw = self.mapped.footer.raw < 3;
        if let Some(few) = select.rows().filter(|_| has_raw)
            && (few.len() <= candidates || few.len() <= rows / 16)
        {
            return flat::compare(few, &select, probe, |row| self.score(shape, probe, row));
        }
        if has_raw && (probe.effort == Effort::Exact || candidates >= rows) {
            return self.exact(shape, &select, probe);
        }
        if self.has_graph() {
            return graph::search(self, &select, probe, candidates).map(measured);
        }
        // Of few rows that may be found, more lists hold as many.
        let share = select.rows().map_or(1, |few| rows / few.len().max(1));
        let probes = probes.saturating_mul(share).min(self.lists() as usize);
        lists::search(self, &select, probe, (probes, candidates)).map(measured)
    }
}

impl Segment {
    /// The score of a row of which a vector is kept.
    fn score(&self, shape: &Shape, probe: &Probe<'_>, row: u32) -> Result<f32, Damage> {
        let raw = self.raw(row..row + 1)?;
        let score =
            |raw: RawView<'_>| raw.compare(&shape.kernels, shape.measure(), 0, probe.padded);
        Ok(raw.map_or(f32::NEG_INFINITY, score))
    }

    fn exact(&self, shape: &Shape, select: &Select<'_>, probe: &Probe<'_>) -> Result<Hits, Damage> {
        match self.raw(0..self.rows())? {
            Some(raw) => Ok(flat::exact(shape, &raw, self.rows(), select, probe)),
            None => Ok(Hits::default()),
        }
    }
}
