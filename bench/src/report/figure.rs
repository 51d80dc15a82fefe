//! Figures to be held against those of another run: every sample, under a name that does not
//! change.

use serde::{Deserialize, Serialize};

use crate::stats::Spread;

/// Which way is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More: a rate.
    #[default]
    More,
    /// Less: a cost, a wait.
    Less,
}

/// One figure with its samples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is of: unique in a report, the same in every run of the same measurement.
    pub name: String,
    /// Unit of the samples.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// In the order in which they were taken.
    pub samples: Vec<f64>,
}

impl Figure {
    /// A rate: more is better.
    #[must_use]
    pub fn rate(name: String, unit: &str, spread: &Spread) -> Self {
        Self { name, unit: unit.to_owned(), better: Better::More, samples: spread.samples.clone() }
    }

    /// A cost: less is better.
    #[must_use]
    pub fn cost(name: String, unit: &str, spread: &Spread) -> Self {
        Self { better: Better::Less, ..Self::rate(name, unit, spread) }
    }
}
