//! What a collection is created with, and what it is opened with.

use std::time::Duration;

use super::error::StoreError;
use crate::element::Element;
use crate::metric::Metric;
use crate::quantize::ExtraBits;
use crate::wal::Fsync;

/// What is kept of each vector beside its codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Raw {
    /// Its components, rounded to 8 bits of precision.
    #[default]
    Bf16,
    /// Its components as bytes of one scale.
    I8,
    /// Its components as they came.
    F32,
    /// Nothing from level 1 on: scores are estimates, and exact search is refused.
    None,
}

impl Raw {
    /// What the log and level 0 keep.
    #[must_use]
    pub const fn logged(self) -> Element {
        match self {
            Self::Bf16 | Self::None => Element::Bf16,
            Self::I8 => Element::I8,
            Self::F32 => Element::F32,
        }
    }
}

/// What a collection is for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Components of a vector, 2 to 4096.
    pub dim: usize,
    /// How vectors are compared.
    pub metric: Metric,
    /// What is kept of a vector beside its codes.
    pub raw: Raw,
    /// Bits of a component's code beyond the first, from level 1 on.
    pub extra: ExtraBits,
    /// How long versions are kept that were replaced or deleted, in whole microseconds; what a
    /// compaction meets beyond that is forgotten. 0 keeps them until the next compaction only.
    pub history: Duration,
    /// Records that level 0 gathers in memory before they become a segment.
    pub memory_rows: usize,
    /// Segments of a level that are merged into one of the next level.
    pub fanout: usize,
    /// Whether segments from level 2 on are graphs, of 4096 to 1048576 records: faster to search
    /// than lists, but with some 2 kB a record at 384 components, and slower to build. Without raw
    /// vectors they are not.
    pub graph: bool,
}

/// Dimensions that a collection can have.
pub const DIMENSIONS: std::ops::RangeInclusive<usize> = 2..=4096;

impl Settings {
    /// The defaults for vectors of `dim` components.
    #[must_use]
    pub const fn new(dim: usize) -> Self {
        Self {
            dim,
            metric: Metric::Cosine,
            raw: Raw::Bf16,
            extra: ExtraBits::Four,
            history: Duration::ZERO,
            memory_rows: 1 << 16,
            fanout: 4,
            graph: true,
        }
    }

    /// Refuses what no collection can have.
    ///
    /// # Errors
    /// [`StoreError::Settings`] with the range.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if !DIMENSIONS.contains(&self.dim) {
            return Err(StoreError::Settings("a vector has 2 to 4096 components"));
        }
        if !(16..=1 << 24).contains(&self.memory_rows) {
            return Err(StoreError::Settings("level 0 gathers 16 to 16777216 records"));
        }
        if !(2..=64).contains(&self.fanout) {
            return Err(StoreError::Settings("2 to 64 segments are merged into one"));
        }
        if u64::try_from(self.history.as_micros()).is_err() {
            return Err(StoreError::Settings("a history has up to 2^64 microseconds"));
        }
        Ok(())
    }
}

/// What may differ each time that a collection is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// When writes are made to outlast a loss of power.
    pub fsync: Fsync,
    /// Share of the exact answer that a segment must find with all effort for a compaction to
    /// take it. 0 takes any.
    pub least_recall: f32,
}
