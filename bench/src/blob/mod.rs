//! The blob: how fast it is filled, how fast bytes are cut, hashed, stored and found again.

pub mod measure;

use std::path::PathBuf;

use pfs_pvrt::Profile;
use pfs_pvrt::blob::BlobError;
use serde_json::json;

use crate::report::{Report, Table, Target};
use crate::stats::Spread;
use measure::Run;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes that are cut and stored.
    pub bytes: usize,
    /// Chunks of the blob that is opened.
    pub chunks: u64,
    /// Runs of each.
    pub rounds: usize,
    /// Where the blob lies that is opened.
    pub folder: PathBuf,
}

/// Rows and their billions a second, in the order in which they are first measured.
#[derive(Default)]
struct Rows {
    rows: Vec<(&'static str, Vec<f64>)>,
    wrong: Vec<&'static str>,
}

impl Rows {
    fn add(&mut self, name: &'static str, run: Run) {
        let rate = run.done as f64 / run.time.as_secs_f64().max(1e-9) / 1e9;
        match self.rows.iter_mut().find(|(row, _)| *row == name) {
            Some((_, samples)) => samples.push(rate),
            None => self.rows.push((name, vec![rate])),
        }
        if !run.right {
            self.wrong.push(name);
        }
    }

    fn median(&self, name: &str) -> f64 {
        let row = self.rows.iter().find(|(row, _)| *row == name);
        row.map_or(0.0, |(_, samples)| Spread::of(samples.clone()).median)
    }
}

/// Measures all of it, everything once a round.
///
/// # Errors
/// When memory or the disk is short.
pub fn run(settings: &Settings) -> Result<Report, BlobError> {
    let mut rows = Rows::default();
    let bytes = measure::noise(settings.bytes);
    let size = settings.bytes as u64;
    let folder = tempfile::tempdir_in(&settings.folder)?;
    for _ in 0..settings.rounds {
        // Ours and the peer in turns, so that what disturbs one disturbs the other.
        rows.add("cut", measure::cut(&bytes));
        rows.add("cut, fastcdc", measure::cut_fastcdc(&bytes));
        rows.add("cut and hash", measure::cut_and_hash(&bytes));
        rows.add("cut and hash, fastcdc", measure::cut_and_hash_fastcdc(&bytes));
        let [put, again, get] = measure::put_and_get(&bytes)?;
        rows.add("put what is new", put);
        rows.add("put what is known", again);
        rows.add("get", get);
        rows.add("fill prand", measure::fill(Profile::Prand, size, 1)?);
        rows.add("fill orchard", measure::fill(Profile::Orchard, size, 1)?);
        rows.add("fill with one byte", measure::fill_plain(size));
        rows.add("open, chunks", measure::open(&folder.path().join("blob"), settings.chunks)?);
    }
    Ok(report(&rows, measure::counts(&bytes)))
}

fn report(rows: &Rows, (ours, theirs): (usize, usize)) -> Report {
    let mut report = Report::new("blob");
    let mut table = Table::new("Blob, one core", &["what", "GB/s (opening: G chunks/s)"]);
    for (name, samples) in &rows.rows {
        table.row(vec![(*name).to_owned(), Spread::of(samples.clone()).text(4)]);
    }
    report.tables.push(table);
    report.notes.push(format!("{ours} chunks, {theirs} by fastcdc at the same settings"));
    report.notes.extend(rows.wrong.iter().map(|name| format!("{name}: a wrong answer")));
    report.right = rows.wrong.is_empty();
    for (what, peer) in [("cut", "cut, fastcdc"), ("cut and hash", "cut and hash, fastcdc")] {
        let (figure, wanted) = (rows.median(what), rows.median(peer));
        let words = |rate: f64| format!("{rate:.2} GB/s");
        report.targets.push(Target::at_least(
            what,
            format!("fastcdc: {}", words(wanted)),
            words(figure),
            figure,
            wanted,
        ));
    }
    let known = rows.median("put what is known");
    let measured = format!("{known:.2} GB/s");
    report.targets.push(Target::at_least(
        "put what is known",
        "1 GB/s".to_owned(),
        measured,
        known,
        1.0,
    ));
    report.raw = json!(rows.rows);
    report
}
