//! `pfs cst bench`: what each form of trees takes, phase by phase.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::libc;
use nix::time::{ClockId, clock_gettime};
use pfs_cst::phases::{Corpus, Phases, Probe, Row, Settings, measure};
use serde_json::{Value, json};
use walkdir::WalkDir;

use super::args::{BenchArgs, Phase};
use super::show::table;
use crate::failure::Failure;
use crate::out;
use crate::progress::Progress;

/// Bytes that malloc has given out: tree-sitter and this program both take theirs there.
fn allocated() -> usize {
    // SAFETY: it takes nothing and only reads malloc's counters.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

/// Processor time of this thread.
fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Into::into)
}

/// A folder to work in; gone when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("pfs-cst-bench-{}", std::process::id()));
        let fail = |error| Failure::failed(format!("creating {}: {error}", path.display()));
        std::fs::create_dir(&path).map_err(fail)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // In the way of nobody if it stays.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `pfs cst bench`.
///
/// # Errors
/// A file cannot be read, a form gives another tree back than it was given, or there is no room for the
/// stores that are measured.
pub(super) fn bench(args: &BenchArgs) -> Result<(), Failure> {
    let paths = files(&args.paths, args.files)?;
    let scratch = Scratch::new()?;
    let settings = Settings {
        phases: phases(&args.phases),
        budget: args.budget,
        level: args.level,
        time: Some(args.parse_s),
    };
    let (progress, mut done, mut shown) =
        (Progress::new(Some(paths.len() as u64)), 0, Instant::now());
    let measured =
        measure(&paths, &scratch.0, settings, Probe { allocated, cpu }, |path: &Path| {
            done += 1;
            if !progress.is_log() || shown.elapsed() > Duration::from_secs(1) {
                shown = Instant::now();
                progress.show(done, format!("{done} of {} files, {}", paths.len(), path.display()));
            }
        });
    progress.end();
    let (corpus, rows) = measured.map_err(Failure::failed)?;
    if args.json { out::json(&object(&corpus, &rows)) } else { out::print(&text(&corpus, &rows)) }
}

fn phases(asked: &[Phase]) -> Phases {
    if asked.is_empty() {
        return Phases::ALL;
    }
    let has = |phase| asked.contains(&phase);
    Phases {
        columns: has(Phase::Columns),
        delta: has(Phase::Delta),
        bytecode: has(Phase::Bytecode),
        frozen: has(Phase::Frozen),
        sources: has(Phase::Sources),
        segments: has(Phase::Segments),
    }
}

/// The files asked for and those in folders, by path; `most` of them, evenly.
fn files(paths: &[PathBuf], most: Option<usize>) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        for entry in WalkDir::new(path).sort_by_file_name() {
            let entry = entry.map_err(Failure::failed)?;
            if entry.file_type().is_file() {
                files.push(std::path::absolute(entry.path()).map_err(Failure::failed)?);
            }
        }
    }
    let count = most.unwrap_or(files.len()).min(files.len());
    Ok((0..count).map(|at| files[at * files.len() / count].clone()).collect())
}

fn object(corpus: &Corpus, rows: &[Row]) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "form": row.name,
                "phases": row.phases,
                "memory_bytes": row.memory,
                "disk_bytes": row.disk,
                "bytes_per_node": row.bytes_per_node(corpus),
                "lines_per_mib": row.lines_per_mib(corpus),
                "encode_s": row.encode.as_secs_f64(),
            })
        })
        .collect();
    json!({
        "files": corpus.files,
        "skipped": corpus.skipped,
        "source_bytes": corpus.source_bytes,
        "lines": corpus.lines,
        "nodes": corpus.nodes,
        "dictionary_bytes": corpus.dictionaries,
        "parse_s": corpus.parse.as_secs_f64(),
        "forms": rows,
    })
}

fn text(corpus: &Corpus, rows: &[Row]) -> String {
    let Corpus { files, skipped, lines, nodes, dictionaries, .. } = *corpus;
    let megabytes = corpus.source_bytes as f64 / 1e6;
    let rate = megabytes / corpus.parse.as_secs_f64().max(1e-9);
    let head = format!(
        "{files} files ({skipped} left out), {megabytes:.1} MB, {lines} lines, {nodes} nodes; parsed at {rate:.1} MB/s; \
         {dictionaries} bytes of trained data not in the rows\n"
    );
    let titles =
        ["FORM", "PHASES", "MEMORY KIB", "DISK KIB", "B/NODE", "LINES/MIB", "ENCODE MNODES/S"];
    let cells = rows.iter().map(|row| {
        [
            row.name.to_owned(),
            row.phases.to_owned(),
            (row.memory >> 10).to_string(),
            (row.disk >> 10).to_string(),
            format!("{:.3}", row.bytes_per_node(corpus)),
            format!("{:.0}", row.lines_per_mib(corpus)),
            format!("{:.1}", nodes as f64 / row.encode.as_secs_f64().max(1e-9) / 1e6),
        ]
    });
    let rows: Vec<_> = std::iter::once(titles.map(str::to_owned)).chain(cells).collect();
    head + &table(&rows)
}
