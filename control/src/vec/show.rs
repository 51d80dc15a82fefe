//! `pfs vec get`, `neighbours`, `stats`, `compact` and `verify`.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use pfs_vec::{Collection, Damage, Direction, Options, Record};
use serde::Serialize;
use serde_json::{Value, json};

use super::args::NeighboursArgs;
use super::lines::Line;
use crate::failure::Failure;
use crate::out;

/// Records that `neighbours` follows at most.
const MOST_REACHED: usize = 1 << 20;

/// A record as it is printed: what makes it anew, and what the collection knows of it.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    line: Line,
    created: u64,
    modified: u64,
    accessed: u64,
    access_count: u32,
    lsn: u64,
}

impl From<&Record> for Told {
    fn from(record: &Record) -> Self {
        Self {
            line: Line::of_record(record),
            created: record.created,
            modified: record.modified,
            accessed: record.accessed,
            access_count: record.access_count,
            lsn: record.lsn,
        }
    }
}

/// `pfs vec get`.
///
/// # Errors
/// When there is none, or a damaged segment may have it.
pub(super) fn get(dir: &Path, id: &OsStr, as_of: Option<u64>) -> Result<(), Failure> {
    let collection = super::open_to_read(dir)?;
    let found = match as_of {
        Some(time) => collection.get_as_of(id.as_bytes(), time)?,
        None => collection.get(id.as_bytes())?,
    };
    let none = || Failure::failed(format!("there is no record {}", id.display()));
    super::line(&Told::from(&found.ok_or_else(none)?))
}

/// An association as it is printed.
#[derive(Serialize)]
struct Step {
    /// Associations from the record to here.
    depth: u32,
    #[serde(flatten)]
    line: Line,
}

/// `pfs vec neighbours`: the nearest first, and of those the heaviest.
///
/// # Errors
/// When there is no such record, a segment is damaged, or too many records are reached.
pub(super) fn neighbours(args: &NeighboursArgs) -> Result<(), Failure> {
    let collection = super::open_to_read(&args.dir)?;
    let direction = if args.incoming { Direction::In } else { Direction::Out };
    if collection.get(args.id.as_bytes())?.is_none() {
        return Err(Failure::failed(format!("there is no record {}", args.id.display())));
    }
    let first = args.id.as_bytes().to_vec();
    let (mut reached, mut waiting) = (HashSet::from([first.clone()]), VecDeque::from([(first, 0)]));
    while let Some((id, steps)) = waiting.pop_front() {
        let depth = steps + 1;
        for association in collection.neighbours(&id, direction, args.kind)? {
            super::line(&Step { depth, line: Line::of_association(&association) })?;
            let next = if args.incoming { association.source } else { association.target };
            if depth < args.depth && reached.insert(next.clone()) {
                waiting.push_back((next, depth));
            }
        }
        if reached.len() > MOST_REACHED {
            return Err(Failure::failed(
                "more than a million records are reached; --depth or --kind leaves some out",
            ));
        }
    }
    Ok(())
}

/// `pfs vec stats`.
///
/// # Errors
/// When the collection cannot be opened.
pub(super) fn stats(dir: &Path) -> Result<(), Failure> {
    let collection = super::open_to_read(dir)?;
    let (settings, stats) = (collection.settings(), collection.stats());
    let levels: Vec<Value> = stats.levels.iter().map(level).collect();
    out::json(&json!({
        "dim": settings.dim,
        "metric": format!("{:?}", settings.metric).to_lowercase(),
        "raw": format!("{:?}", settings.raw).to_lowercase(),
        "history_s": settings.history.as_secs(),
        "memory_rows_most": settings.memory_rows,
        "fanout": settings.fanout,
        "graph": settings.graph,
        "records": stats.records,
        "associations": stats.associations,
        "memory_rows": stats.memory_rows,
        "memory_bytes": stats.memory_bytes,
        "levels": levels,
        "lsn": stats.lsn,
        "durable": stats.durable,
        "checkpoint": stats.checkpoint,
        "forgotten": stats.forgotten,
        "refused": told(&stats.refused),
    }))
}

fn level(level: &pfs_vec::LevelStats) -> Value {
    json!({
        "level": level.level,
        "segments": level.segments,
        "rows": level.rows,
        "ended": level.ended,
        "associations": level.associations,
        "lists": level.lists,
        "bytes": level.bytes,
        "code_bytes": level.codes,
    })
}

fn told(damaged: &[Damage]) -> Vec<String> {
    damaged.iter().map(ToString::to_string).collect()
}

/// `pfs vec compact`.
///
/// # Errors
/// When a segment is damaged, or the new one finds too little.
pub(super) fn compact(dir: &Path, graph: bool, least_recall: f32) -> Result<(), Failure> {
    let options = Options { least_recall, ..Options::default() };
    let collection = Collection::open(dir, options)?;
    let done = collection.compact_into(if graph { 2 } else { 1 })?;
    let document = done.map(|done| {
        json!({
            "segments": done.segments,
            "rows": done.rows,
            "kept": done.kept,
            "level": done.level,
            "bytes": done.bytes,
            "recall": done.recall.map(|(share, _)| share),
            "recall_queries": done.recall.map(|(_, queries)| queries),
        })
    });
    out::json(&document)
}

/// `pfs vec verify`.
///
/// # Errors
/// When something is damaged, after it was printed.
pub(super) fn verify(dir: &Path) -> Result<(), Failure> {
    let found = super::open_to_read(dir)?.verify();
    out::json(&json!({
        "clean": found.damaged.is_empty(),
        "segments": found.segments,
        "bytes": found.bytes,
        "damaged": told(&found.damaged),
    }))?;
    if found.damaged.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!("{} is damaged; restore it from a backup", dir.display())))
}
