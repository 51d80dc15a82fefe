//! Ways to find near vectors among many.
//!
//! All work on places, 0 to 2^32 - 1, which the caller gives meaning.

mod exact;
pub mod graph;
mod ivf;
mod lists;

pub use exact::{search_exact, search_exact_batch};
pub use graph::{Graph, GraphSettings};
pub use ivf::{Ivf, IvfSettings};
pub(crate) use lists::{Candidate, candidates, greatest, half_share};
pub use lists::{ListView, search_lists};

use std::fmt::Debug;

use crate::topk::Hit;

/// Says which places may be hit.
pub trait Filter: Debug + Sync {
    /// Whether `place` may be.
    fn allows(&self, place: u32) -> bool;
}

/// What is looked for, and how hard.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// The query, as [`Metric::admit`](crate::Metric::admit) leaves it.
    pub query: &'a [f32],
    /// How many hits.
    pub k: usize,
    /// Hits score at least this; minus infinity for no bound.
    pub least: f32,
    /// How many places estimates leave over to be ranked again; at least `k`.
    pub candidates: usize,
    /// Lists that are looked into.
    pub probes: usize,
    /// Which places may be hit; `None` for all.
    pub filter: Option<&'a dyn Filter>,
}

/// What was found, and what it took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Hits, best first.
    pub hits: Vec<Hit>,
    /// Codes whose score was estimated.
    pub estimated: u64,
    /// Scores that were computed from more than a code.
    pub computed: u64,
}
