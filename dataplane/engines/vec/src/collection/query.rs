//! What is looked for, and what was found.

use std::ops::RangeInclusive;

use super::error::Damage;
use crate::indexes::words::Words;

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effort {
    /// As little as finds this share of the exact answer, by what was measured when each segment
    /// was built; 0 to 1.
    Recall(f32),
    /// So many lists of each segment, and so many candidates of each whose score is computed; at
    /// least one list, and at least as many candidates as hits.
    Probes {
        /// Lists.
        probes: usize,
        /// Candidates.
        candidates: usize,
    },
    /// Every vector.
    Exact,
}

/// Which records may be found. All that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct Only<'a> {
    /// Records with these ids; ids that are not there mean nothing.
    pub ids: Option<&'a [&'a [u8]]>,
    /// Records whose time lies in here, in microseconds since 1970.
    pub time: Option<RangeInclusive<u64>>,
    /// Records whose text has these words.
    pub words: Option<&'a Words>,
}

impl Only<'_> {
    /// Whether all records may be found.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.ids.is_none() && self.time.is_none() && self.words.is_none()
    }
}

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// A vector of the collection's dimension; under cosine of any length but 0.
    pub vector: &'a [f32],
    /// Most hits; 0 for none, and more than there are records for all.
    pub top_k: usize,
    /// Hits score at least this; minus infinity for no bound.
    pub min_score: f32,
    /// How much is looked at.
    pub effort: Effort,
    /// Which records may be found.
    pub only: Only<'a>,
    /// The time, in microseconds since 1970, as of which versions are to be searched; `None` for
    /// those that are current.
    pub as_of: Option<u64>,
}

impl<'a> Query<'a> {
    /// The `top_k` nearest of all records, with a recall of 0.95.
    #[must_use]
    pub fn new(vector: &'a [f32], top_k: usize) -> Self {
        let (min_score, effort) = (f32::NEG_INFINITY, Effort::Recall(0.95));
        Self { vector, top_k, min_score, effort, only: Only::default(), as_of: None }
    }

    /// All records that score at least `min_score`, and none is missed: every vector is compared.
    #[must_use]
    pub fn range(vector: &'a [f32], min_score: f32) -> Self {
        Self { min_score, effort: Effort::Exact, ..Self::new(vector, usize::MAX) }
    }
}

/// A record that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// What it is known by.
    pub id: Vec<u8>,
    /// How near it is, higher for nearer: the cosine, the dot product, or minus the squared
    /// distance. An estimate only from segments that keep no raw vectors.
    pub score: f32,
    /// When this version was written, in microseconds since 1970.
    pub modified: u64,
}

/// What was read of one level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LevelRead {
    /// Which level.
    pub level: u8,
    /// Parts that were read: level 0 in memory, and segments.
    pub parts: u32,
    /// Versions of records that they have.
    pub rows: u64,
    /// Scores that were estimated from a code.
    pub estimated: u64,
    /// Scores that were computed from more than a code.
    pub computed: u64,
}

/// What was found, and what it took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Hits, best first; among equals by id.
    pub hits: Vec<Found>,
    /// Share of the exact answer that this is expected to be: the mean of what was measured when
    /// each segment was built, for the effort that was made, weighted by rows; 1 for rows that were
    /// all compared. Below a recall that was asked for where no effort of a segment's found as much.
    /// `None` when nothing was measured: of memory, of segments without vectors or with few rows,
    /// and of an effort that was given by hand. Measured without conditions on records.
    pub expected: Option<f32>,
    /// What was read, lowest level first.
    pub levels: Vec<LevelRead>,
    /// Segments that were left out because they are damaged: hits of theirs are missing.
    pub refused: Vec<Damage>,
}

impl Answer {
    /// Distances that were computed in all: estimated from a code, and from more.
    #[must_use]
    pub fn distances(&self) -> u64 {
        self.levels.iter().map(|level| level.estimated + level.computed).sum()
    }
}
