//! Figures to be drawn: series of points over one axis, each with its spread.

use serde::{Deserialize, Serialize};

use crate::stats::Spread;

/// One drawing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plot {
    /// Name that does not change from run to run: lower case, digits and dashes, unique in a report.
    pub id: String,
    /// Line above it.
    pub title: String,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// How points are drawn.
    pub shape: Shape,
    /// What is compared, in the order of the legend.
    pub series: Vec<Series>,
    /// What the series are to be read against: a roof, a line rate.
    #[serde(default)]
    pub references: Vec<Reference>,
}

/// What an axis measures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axis {
    /// Quantity.
    pub name: String,
    /// Its unit; empty for a plain number.
    pub unit: String,
    /// How values are placed on it.
    #[serde(default)]
    pub scale: Scale,
}

/// How values are placed on an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// From 0, in equal steps.
    #[default]
    Linear,
    /// In steps that multiply; values are above 0.
    Log,
    /// Percentiles, the last ones wide: a value of `1 / (1 - p)`, in steps that multiply.
    Percentile,
}

/// How points are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Joined by lines, with a band for the spread.
    #[default]
    Lines,
    /// A bar each, with a whisker for the spread; the x axis has names.
    Bars,
    /// One bar for each name, in parts that add up.
    Stacked,
}

/// Points that belong together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// In the order of `x`.
    pub points: Vec<Point>,
}

/// One measured value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Place on the x axis; the index, where `label` names it.
    pub x: f64,
    /// Name on the x axis of [`Shape::Bars`] and [`Shape::Stacked`]; empty elsewhere.
    pub label: String,
    /// The median.
    pub y: f64,
    /// The lowest seen.
    pub least: f64,
    /// The highest seen.
    pub most: f64,
    /// What else is to be said of it on hover: the grant, a mark; may be empty.
    pub note: String,
}

/// A value that is not a series: a line across the plot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Its name, written beside it.
    pub name: String,
    /// Where it is on the y axis.
    pub y: f64,
}

impl Axis {
    /// A linear axis.
    #[must_use]
    pub fn linear(name: &str, unit: &str) -> Self {
        Self { name: name.to_owned(), unit: unit.to_owned(), scale: Scale::Linear }
    }

    /// A logarithmic axis.
    #[must_use]
    pub fn logarithmic(name: &str, unit: &str) -> Self {
        Self { scale: Scale::Log, ..Self::linear(name, unit) }
    }

    /// An axis of percentiles; see [`Point::percentile`].
    #[must_use]
    pub fn percentile(name: &str) -> Self {
        Self { scale: Scale::Percentile, ..Self::linear(name, "") }
    }
}

impl Point {
    /// The median and range of `spread` at `x`.
    #[must_use]
    pub fn at(x: f64, spread: &Spread) -> Self {
        let Spread { median, least, most, .. } = *spread;
        Self { x, y: median, least, most, ..Self::default() }
    }

    /// The median and range of `spread` under a name.
    #[must_use]
    pub fn named(label: &str, index: usize, spread: &Spread) -> Self {
        Self { label: label.to_owned(), ..Self::at(index as f64, spread) }
    }

    /// One value that has no spread.
    #[must_use]
    pub fn exact(x: f64, y: f64) -> Self {
        Self { x, y, least: y, most: y, ..Self::default() }
    }

    /// The value that a share `p` of all, 0 to below 1, does not exceed, for
    /// [`Axis::percentile`].
    #[must_use]
    pub fn percentile(p: f64, y: f64) -> Self {
        Self::exact(1.0 / (1.0 - p), y)
    }
}
