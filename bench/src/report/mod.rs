//! What a group of benchmarks leaves: tables, plots, targets, and all of it as JSON.

mod figure;
mod grants;
pub mod html;
mod plot;
mod projection;

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::host::Environment;
use crate::interrupt;
pub use figure::{Better, Figure};
pub use grants::{Grants, MemoryGrant, Pinned, PlanHash};
pub use plot::{Axis, Plot, Point, Reference, Scale, Series, Shape};

/// One group's results.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// The group's name.
    pub group: String,
    /// Where and when it ran.
    pub environment: Environment,
    /// What was left out or looked odd.
    pub notes: Vec<String>,
    /// The figures, ready to be read.
    pub tables: Vec<Table>,
    /// The figures, ready to be drawn.
    #[serde(default)]
    pub plots: Vec<Plot>,
    /// The figures, ready to be held against another run's.
    #[serde(default)]
    pub figures: Vec<Figure>,
    /// What was to be reached.
    pub targets: Vec<Target>,
    /// Whether every answer was right.
    pub right: bool,
    /// Whether a signal cut it short: what is here was measured, the rest was not.
    #[serde(default)]
    pub interrupted: bool,
    /// What the host granted.
    #[serde(default)]
    pub grants: Grants,
    /// Plans that ran.
    #[serde(default)]
    pub plans: Vec<PlanHash>,
    /// Every measurement as it was taken.
    pub raw: Value,
}

/// A table with a title.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Line above it.
    pub title: String,
    /// Column heads.
    pub head: Vec<String>,
    /// Rows, each as long as `head`.
    pub rows: Vec<Vec<String>>,
}

/// One thing to reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// What is measured.
    pub what: String,
    /// What it is to reach, in words.
    pub target: String,
    /// What it reached, in words.
    pub measured: String,
    /// What was reached as a share of what was to be reached: 1 and above is good.
    pub ratio: f64,
}

impl Target {
    /// A figure that is to be at least `wanted`, which may be a peer's.
    #[must_use]
    pub fn at_least(
        what: &str,
        target: String,
        measured: String,
        figure: f64,
        wanted: f64,
    ) -> Self {
        let ratio = if wanted > 0.0 { figure / wanted } else { f64::from(figure >= wanted) };
        Self { what: what.to_owned(), target, measured, ratio }
    }

    /// A figure that is to be at most `allowed`.
    #[must_use]
    pub fn at_most(
        what: &str,
        target: String,
        measured: String,
        figure: f64,
        allowed: f64,
    ) -> Self {
        let ratio = if figure > 0.0 { allowed / figure } else { f64::from(allowed >= figure) };
        Self { what: what.to_owned(), target, measured, ratio }
    }

    /// Something that is so or is not.
    #[must_use]
    pub fn holds(what: &str, target: &str, measured: String, holds: bool) -> Self {
        Self {
            what: what.to_owned(),
            target: target.to_owned(),
            measured,
            ratio: f64::from(u8::from(holds)),
        }
    }

    /// Whether it was reached.
    #[must_use]
    pub const fn reached(&self) -> bool {
        self.ratio >= 1.0
    }
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(title: impl Into<String>, head: &[&str]) -> Self {
        let head = head.iter().map(|&head| head.to_owned()).collect();
        Self { title: title.into(), head, rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.head.len());
        self.rows.push(cells);
    }

    /// The table as aligned Markdown, numbers to the right.
    #[must_use]
    pub fn markdown(&self) -> String {
        let cells = || self.rows.iter();
        let width = |column: usize| {
            let of = |row: &Vec<String>| row.get(column).map_or(0, |cell| cell.chars().count());
            cells().map(of).chain([of(&self.head), 3]).max().unwrap_or(3)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let is_number = |column: usize| {
            let of = |row: &Vec<String>| row.get(column).is_some_and(|cell| starts_as_number(cell));
            column > 0 && cells().any(of)
        };
        let right: Vec<bool> = (0..self.head.len()).map(is_number).collect();
        let mut text = format!("{}\n\n", self.title);
        line(&mut text, &self.head, &widths, &right);
        for (width, right) in widths.iter().zip(&right) {
            let rule = "-".repeat(width + 1);
            let _ = if *right { write!(text, "|{rule}:") } else { write!(text, "|{rule}-") };
        }
        text.push_str("|\n");
        cells().for_each(|row| line(&mut text, row, &widths, &right));
        text
    }
}

fn starts_as_number(cell: &str) -> bool {
    cell.starts_with(|first: char| first.is_ascii_digit())
}

fn line(text: &mut String, cells: &[String], widths: &[usize], right: &[bool]) {
    for ((cell, &width), &right) in cells.iter().zip(widths).zip(right) {
        let _ = if right {
            write!(text, "| {cell:>width$} ")
        } else {
            write!(text, "| {cell:<width$} ")
        };
    }
    text.push_str("|\n");
}

impl Report {
    /// A report without content yet; `right` until something is wrong.
    #[must_use]
    pub fn new(group: &str) -> Self {
        Self {
            group: group.to_owned(),
            environment: Environment::read(),
            right: true,
            ..Self::default()
        }
    }

    /// Tables, targets and notes as Markdown, without a heading.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut parts: Vec<String> = self.tables.iter().map(Table::markdown).collect();
        if !self.targets.is_empty() {
            parts.push(self.targets_table().markdown());
        }
        parts.extend(self.notes.iter().map(|note| format!("- {note}\n")));
        if self.interrupted {
            parts.push(
                "**Interrupted: a part of the measurements; the rest was not made.**\n".into(),
            );
        }
        if !self.right {
            parts.push("**A row gave a wrong answer or lost packets without a cause.**\n".into());
        }
        parts.join("\n")
    }

    fn targets_table(&self) -> Table {
        let head = ["what", "to reach", "measured", "of target", ""];
        let mut table = Table::new(format!("Targets of `{}`:", self.group), &head);
        for target in &self.targets {
            table.row(vec![
                target.what.clone(),
                target.target.clone(),
                target.measured.clone(),
                format!("{:.2}", target.ratio),
                if target.reached() { "reached" } else { "missed" }.to_owned(),
            ]);
        }
        table
    }

    /// Writes the report as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, serde_json::to_vec_pretty(self)?)
    }

    /// Writes the report as JSON to `path`, and its page beside it.
    fn write_both(&self, path: &Path) -> Result<(), String> {
        self.write(path).map_err(|error| format!("writing {}: {error}", path.display()))?;
        html::write(std::slice::from_ref(self), &path.with_extension("html"))
    }

    /// Prints the report and writes it to `json`, if named, and as a page beside it. The exit code
    /// that `main` ends with: failure on a wrong answer or a signal; a missed target is a figure,
    /// not a failure.
    #[must_use]
    pub fn finish(mut self, json: Option<&Path>) -> std::process::ExitCode {
        self.interrupted |= interrupt::asked();
        println!("{}", self.markdown());
        if let Some(path) = json
            && let Err(error) = self.write_both(path)
        {
            eprintln!("{error}");
            return std::process::ExitCode::FAILURE;
        }
        if self.right && !self.interrupted {
            std::process::ExitCode::SUCCESS
        } else {
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_markdown() {
        let mut table = Table::new("Rates:", &["row", "kpps"]);
        table.row(vec!["a".into(), "1.5".into()]);
        table.row(vec!["longer".into(), "10.25".into()]);
        let want = "Rates:\n\n| row    |  kpps |\n|--------|------:|\n\
                    | a      |   1.5 |\n| longer | 10.25 |\n";
        assert_eq!(table.markdown(), want);
    }

    #[test]
    fn targets_know_their_direction() {
        let rate = |figure, wanted| {
            Target::at_least("rate", String::new(), String::new(), figure, wanted).reached()
        };
        assert!(rate(2.0, 2.0) && !rate(1.9, 2.0));
        let cpu = |figure, allowed| {
            Target::at_most("cpu", String::new(), String::new(), figure, allowed).reached()
        };
        assert!(cpu(0.0, 0.1) && cpu(0.1, 0.1) && !cpu(0.2, 0.1));
    }
}
