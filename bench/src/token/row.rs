//! One contender's figures in one scene, and the tables that they make.

use serde::Serialize;

use super::plan::{Part, Scene};
use super::trial::Trial;
use crate::report::Table;
use crate::stats::Spread;

/// A contender's rounds in one scene.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Part of the report.
    #[serde(skip)]
    pub part: Option<Part>,
    /// Corpus and cut, such as `english packets`.
    pub scene: String,
    /// Vocabulary.
    pub vocabulary: &'static str,
    /// Name of the contender.
    pub name: &'static str,
    /// MB/s of the best pass after the first of each process.
    pub warm: Spread,
    /// MB/s of the first pass of each process.
    pub first: Spread,
    /// Ids in a pass.
    pub tokens: u64,
    /// Bytes in a pass.
    pub bytes: u64,
    /// Whether its ids were the reference's, in every round; `None` without a reference.
    pub exact: Option<bool>,
    /// Milliseconds from start to ready.
    pub open_ms: Spread,
    /// MiB that opening took, and that passing over the sample added.
    pub memory_mib: (f64, f64),
}

impl Row {
    /// Sums the rounds of one contender up; `None` when there is none.
    #[must_use]
    pub fn of(
        scene: &Scene,
        name: &'static str,
        trials: &[Trial],
        reference: Option<&Trial>,
    ) -> Option<Self> {
        let last = trials.last()?;
        let rate = |bytes: u64, ns: u64| bytes as f64 * 1e3 / ns.max(1) as f64;
        let best = |trial: &Trial| trial.passes_ns.iter().skip(1).min().copied();
        let warm = trials.iter().filter_map(|t| Some(rate(t.bytes, best(t)?))).collect();
        let first = trials.iter().filter_map(|t| Some(rate(t.bytes, *t.passes_ns.first()?)));
        let same = |r: &Trial, t: &Trial| t.steady && (t.tokens, t.digest) == (r.tokens, r.digest);
        let mib = |kib: i64| kib as f64 / 1024.0;
        Some(Self {
            part: Some(scene.part),
            scene: format!("{} {}", scene.corpus, scene.cut.name()),
            vocabulary: scene.reference.vocabulary,
            name,
            warm: Spread::of(warm),
            first: Spread::of(first.collect()),
            tokens: last.tokens,
            bytes: last.bytes,
            exact: reference.map(|reference| trials.iter().all(|trial| same(reference, trial))),
            open_ms: Spread::of(trials.iter().map(|t| t.open_ns as f64 / 1e6).collect()),
            memory_mib: (mib(last.opened_kib), mib(last.passed_kib)),
        })
    }

    fn cells(&self) -> Vec<String> {
        let per_token = self.bytes as f64 / self.tokens.max(1) as f64;
        let exact = match self.exact {
            Some(true) => "equal",
            Some(false) => "DIFFERENT",
            None => "not checked",
        };
        vec![
            self.name.to_owned(),
            self.warm.text(0),
            self.first.text(0),
            format!("{:.1}", self.warm.median / per_token),
            self.tokens.to_string(),
            format!("{per_token:.2}"),
            exact.to_owned(),
            format!("{:.0}", self.open_ms.median),
            format!("{:.0} + {:.0}", self.memory_mib.0, self.memory_mib.1),
        ]
    }
}

/// A table for each scene.
#[must_use]
pub fn tables(rows: &[Row]) -> Vec<Table> {
    const HEAD: [&str; 9] = [
        "engine",
        "warm MB/s",
        "first MB/s",
        "Mtok/s",
        "tokens",
        "B/token",
        "ids",
        "open ms",
        "MiB",
    ];
    let mut tables: Vec<Table> = Vec::new();
    for row in rows {
        let mode = match row.part {
            Some(Part::Greedy) => ", longest match",
            _ => "",
        };
        let title = format!("{}, {}{mode}:", row.scene, row.vocabulary);
        if tables.last().is_none_or(|table| table.title != title) {
            tables.push(Table::new(title, &HEAD));
        }
        if let Some(table) = tables.last_mut() {
            table.row(row.cells());
        }
    }
    tables
}

/// Finds figures by scene and name.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a>(pub &'a [Row]);

impl<'a> Rows<'a> {
    /// The row of `name` in a scene.
    #[must_use]
    pub fn get(self, part: Part, scene: &str, vocabulary: &str, name: &str) -> Option<&'a Row> {
        let is = |row: &&Row| {
            row.part == Some(part)
                && row.scene == scene
                && row.name == name
                && row.vocabulary.starts_with(vocabulary)
        };
        self.0.iter().find(is)
    }
}
