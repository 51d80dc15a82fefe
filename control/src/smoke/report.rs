//! What smoke found: a table for people, `report.json` for programs.

use pfs_dataplane::books::Books;
use pfs_dataplane::run::RuleResults;
use serde::Serialize;

use crate::failure::Failure;
use crate::out;
use crate::plan::Plan;
use crate::run::figures::{count, rate};

/// One leg's outcome.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    /// `capture/<file>/<backend>`, `text/<file>/<backend>`, `store/operations/<backend>` or
    /// `vec/vectors/<backend>`.
    pub(super) name: String,
    /// Backend by its plan name.
    pub(super) backend: String,
    /// What the kernel granted.
    pub(super) mode: String,
    /// Packets whose program has run.
    pub(super) packets: u64,
    /// Their payload bytes.
    pub(super) bytes: u64,
    /// FNV-1a of the accumulators: equal over all legs of a capture.
    pub(super) digest: String,
    /// Packets that the books cannot account for.
    pub(super) residual: u64,
    /// Packets in a second, start and stop of the run included.
    pub(super) packets_per_second: f64,
    /// Cycles in the program for each packet.
    pub(super) cycles_per_packet: f64,
    /// Where every packet went.
    pub(super) books: Books,
    /// The accumulators themselves.
    pub(super) results: Vec<RuleResults>,
    /// Whether all of the above is as it must be.
    pub(super) ok: bool,
    /// What else was found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
    /// Why not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) errors: Vec<String>,
    /// The effective plan of the leg.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) plan: Option<Plan>,
}

/// All legs.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    ok: bool,
    /// What this host does not grant, with what would make it.
    pub(super) left_out: Vec<String>,
    legs: Vec<Row>,
}

impl Report {
    /// Adds a leg, holding its digest against that of its capture's first leg.
    pub(super) fn add(&mut self, mut leg: Row) -> &Row {
        let capture = capture_of(&leg.name);
        let first = self.legs.iter().find(|other| capture_of(&other.name) == capture);
        if let Some(first) = first.filter(|first| first.digest != leg.digest) {
            leg.ok = false;
            leg.errors.push(format!("digest differs from {} of {}", first.digest, first.name));
        }
        self.ok = leg.ok && (self.ok || self.legs.is_empty());
        self.legs.push(leg);
        &self.legs[self.legs.len() - 1]
    }

    /// Whether no leg ran.
    pub(super) const fn is_empty(&self) -> bool {
        self.legs.is_empty()
    }

    /// A plan of the run that can be run again: the first leg's that reads a file.
    pub(super) fn plan(&self) -> Option<&Plan> {
        let file = self.legs.iter().find(|leg| leg.backend == "pcap").or(self.legs.first());
        file.and_then(|leg| leg.plan.as_ref())
    }

    /// Prints the table, or all as JSON.
    ///
    /// # Errors
    /// When a leg failed, or none ran.
    pub(super) fn verdict(&self, json: bool) -> Result<(), Failure> {
        if json {
            out::json(self)?;
        } else {
            let lines = self.left_out.iter().map(|line| format!("left out: {line}\n"));
            out::print(&lines.collect::<String>())?;
        }
        let bad = self.legs.iter().filter(|leg| !leg.ok).count();
        match (self.legs.len(), bad) {
            (0, _) => Err(Failure::failed("no leg ran; look at --only and --captures")),
            (legs, 0) => {
                let text = format!("smoke: {legs} legs, all digests equal, all residuals 0\n");
                if json { Ok(()) } else { out::print(&text) }
            }
            (legs, bad) => Err(Failure::failed(format!("smoke: {bad} of {legs} legs failed"))),
        }
    }
}

/// The table, a line as each leg ends; at most 100 columns.
#[derive(Debug)]
pub(super) struct Table {
    quiet: bool,
    capture: String,
}

impl Table {
    pub(super) const fn new(quiet: bool) -> Self {
        Self { quiet, capture: String::new() }
    }

    /// Prints a line above the legs.
    pub(super) fn line(&self, text: &str) -> Result<(), Failure> {
        if self.quiet { Ok(()) } else { out::print(&format!("{text}\n")) }
    }

    pub(super) fn row(&mut self, row: &Row) -> Result<(), Failure> {
        if self.quiet {
            return Ok(());
        }
        let mut text = String::new();
        let (capture, leg) = row.name.rsplit_once('/').unwrap_or(("", &row.name));
        if capture != self.capture {
            capture.clone_into(&mut self.capture);
            let file = capture.split_once('/').map_or(capture, |(_, file)| file);
            text += &format!(
                "{file:<21}{:<17}{:>8}{:>11}  {:<16}{:>6}{:>11}{:>8}\n",
                "granted", "packets", "bytes", "digest", "resid", "rate", "cyc/pkt"
            );
        }
        text += &format!(
            "  {leg:<19}{:<17}{:>8}{:>11}  {:<16}{:>6}{:>11}{:>8.0}{}\n",
            row.mode,
            count(row.packets),
            count(row.bytes),
            row.digest,
            row.residual,
            rate(row.packets_per_second, "pps"),
            row.cycles_per_packet,
            if row.ok { "" } else { " !" }
        );
        for line in row.note.iter().chain(&row.errors) {
            text += &format!("    {line}\n");
        }
        out::print(&text)
    }
}

/// `capture/<file>` of `capture/<file>/<backend>`, and so for texts.
fn capture_of(leg: &str) -> &str {
    leg.rsplit_once('/').map_or(leg, |(capture, _)| capture)
}
