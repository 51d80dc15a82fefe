//! A collection under a mixed load: one write for nine queries while it is kept in order, with latency
//! and recall over time; and what a collection takes of memory while it is searched.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pfs_vec::wal::Fsync;
use pfs_vec::{Collection, Effort, Maintenance, Options, Put, Query, Raw, Settings, StoreError};
use serde::Serialize;

use super::data::{Data, NEAREST, QUERIES};
use super::measure::timed;
use super::ours::RECALL;
use crate::report::{Axis, Plot, Point, Report, Series, Shape, Table, Target};

/// Records that are there before it begins, as a share of all.
const BEFORE: f64 = 0.5;
/// Queries for one write of one record.
const QUERIES_A_WRITE: usize = 9;
/// One query of so many is asked exactly as well.
const HELD: usize = 200;
/// Windows that the run is told in.
const WINDOWS: usize = 40;

/// What one window of time saw.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Window {
    /// Seconds from the beginning to its middle.
    pub at_s: f64,
    /// Queries answered in it.
    pub queries: u64,
    /// Microseconds that half of the queries took at most, that 99 of 100 did, and the longest.
    pub p50_us: f64,
    /// As above.
    pub p99_us: f64,
    /// As above.
    pub longest_us: f64,
    /// Microseconds that 99 of 100 writes took at most.
    pub write_p99_us: f64,
    /// Share of the ten nearest that were found.
    pub recall: f64,
    /// Records at its end.
    pub records: u64,
}

/// Latencies of a window under way.
#[derive(Default)]
struct Taken {
    queries: Vec<f64>,
    writes: Vec<f64>,
    common: usize,
    held: usize,
}

fn put(collection: &Collection, data: &Data, at: usize) -> Result<(), StoreError> {
    let mut batch = collection.batch();
    batch.put(&Put::new(&(at as u32).to_le_bytes(), &data.base.row(at)[..data.base.dim()]))?;
    collection.write(&mut batch).map(drop)
}

/// A collection in `folder` with the first `rows` of the data.
fn filled(
    folder: &Path,
    settings: &Settings,
    data: &Data,
    rows: usize,
) -> Result<Collection, StoreError> {
    let options = Options { fsync: Fsync::Never, ..Options::default() };
    let collection = Collection::create(folder, settings, options)?;
    let mut batch = collection.batch();
    for at in 0..rows {
        batch.put(&Put::new(&(at as u32).to_le_bytes(), &data.base.row(at)[..data.base.dim()]))?;
        if batch.len() == 1000 || at + 1 == rows {
            collection.write(&mut batch)?;
            batch.clear();
        }
    }
    Ok(collection)
}

/// Runs the mixed load until all of the data is in the collection.
///
/// # Errors
/// Of the collection.
pub fn windows(data: &Data, folder: &Path) -> Result<Vec<Window>, StoreError> {
    let (all, dim) = (data.base.len(), data.base.dim());
    let before = (all as f64 * BEFORE) as usize;
    // So few that segments are made and merged again and again.
    let settings = Settings { memory_rows: (all / 32).max(16), ..Settings::new(dim) };
    let collection = Arc::new(filled(folder, &settings, data, before)?);
    let upkeep = Maintenance::start(&collection)?;
    let (mut windows, mut taken) = (Vec::new(), Taken::default());
    let (begin, each) = (Instant::now(), (all - before).div_ceil(WINDOWS).max(1));
    let (mut last, mut asked) = (0.0, 0);
    for at in before..all {
        taken.writes.push(micros(|| put(&collection, data, at))?);
        for _ in 0..QUERIES_A_WRITE {
            ask(&collection, data.query(asked % QUERIES), asked % HELD == 0, &mut taken)?;
            asked += 1;
        }
        if (at + 1 - before).is_multiple_of(each) || at + 1 == all {
            let now = begin.elapsed().as_secs_f64();
            windows.push(std::mem::take(&mut taken).window((last, now), collection.len()));
            last = now;
        }
    }
    drop(upkeep);
    Ok(windows)
}

fn micros<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<f64, StoreError> {
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed().as_secs_f64() * 1e6)
}

fn ask(
    collection: &Collection,
    query: &[f32],
    held: bool,
    taken: &mut Taken,
) -> Result<(), StoreError> {
    let query = Query { effort: Effort::Recall(RECALL as f32), ..Query::new(query, NEAREST) };
    let mut answer = None;
    let took = micros(|| {
        answer = Some(collection.search(&query)?);
        Ok(())
    })?;
    taken.queries.push(took);
    if let Some(answer) = answer.filter(|_| held) {
        let exact = collection.search(&Query { effort: Effort::Exact, ..query })?;
        let exact: HashSet<Vec<u8>> = exact.hits.into_iter().map(|hit| hit.id).collect();
        taken.common += answer.hits.iter().filter(|hit| exact.contains(&hit.id)).count();
        taken.held += exact.len();
    }
    Ok(())
}

impl Taken {
    fn window(mut self, (from, to): (f64, f64), records: u64) -> Window {
        let share = |taken: &mut Vec<f64>, share: f64| {
            taken.sort_by(f64::total_cmp);
            let last = taken.len().saturating_sub(1);
            taken.get((last as f64 * share).ceil() as usize).copied().unwrap_or_default()
        };
        Window {
            at_s: f64::midpoint(from, to),
            queries: self.queries.len() as u64,
            p50_us: share(&mut self.queries, 0.5),
            p99_us: share(&mut self.queries, 0.99),
            longest_us: share(&mut self.queries, 1.0),
            write_p99_us: share(&mut self.writes, 0.99),
            recall: self.common as f64 / self.held.max(1) as f64,
            records,
        }
    }
}

/// What a collection takes of memory while it is searched.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Held {
    /// Bytes a vector by which the process grew: its own memory, and files that it has mapped and read.
    pub bytes: f64,
    /// Share of the ten nearest that were found.
    pub recall: f64,
    /// Queries per second of the thread's time.
    pub queries: f64,
    /// What was set.
    pub setting: String,
}

/// Resident bytes of this process, files that it has mapped among them.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or_default() * 1024.0
}

/// Lists without vectors, opened anew and searched until the recall is there.
///
/// # Errors
/// Of the collection.
pub fn held(data: &Data, folder: &Path) -> Result<Held, StoreError> {
    let settings = Settings { raw: Raw::None, graph: false, ..Settings::new(data.base.dim()) };
    let collection = filled(folder, &settings, data, data.base.len())?;
    collection.compact()?;
    drop(collection);
    let mut held = Held::default();
    let before = resident();
    let collection = Collection::open_to_read(folder)?;
    for probes in [16, 24, 32, 48, 64, 96, 128] {
        let effort = Effort::Probes { probes, candidates: 64 };
        let answers = || -> Result<Vec<Vec<u32>>, StoreError> {
            (0..QUERIES)
                .map(|at| {
                    let query = Query { effort, ..Query::new(data.query(at), NEAREST) };
                    let place = |id: &[u8]| id.try_into().map_or(u32::MAX, u32::from_le_bytes);
                    let hits = collection.search(&query)?.hits;
                    Ok(hits.iter().map(|hit| place(&hit.id)).collect())
                })
                .collect()
        };
        let (found, seconds) = timed(answers);
        held.recall = data.recall(&found?);
        held.queries = QUERIES as f64 / seconds;
        held.setting = format!("{probes} lists, 64 candidates");
        if held.recall >= RECALL {
            break;
        }
    }
    held.bytes = (resident() - before) / data.base.len() as f64;
    Ok(held)
}

/// Measures both in a folder of its own, which is removed, and adds them to the report.
pub fn add_to(report: &mut Report, data: &Data) {
    let folder = std::env::temp_dir().join(format!("pfs-bench-vec-{}", std::process::id()));
    let made = std::fs::create_dir_all(&folder).map_err(|error| error.to_string());
    let measured = made.and_then(|()| {
        let error = |error: StoreError| error.to_string();
        let held = held(data, &folder.join("held")).map_err(error)?;
        Ok((windows(data, &folder.join("mixed")).map_err(error)?, held))
    });
    // Left over at worst: the folder is this process's own.
    let _ = std::fs::remove_dir_all(&folder);
    match measured {
        Ok((windows, held)) => tell(report, &windows, &held),
        Err(error) => {
            report.right = false;
            report.notes.push(format!("{}: {error}", folder.display()));
        }
    }
}

fn tell(report: &mut Report, windows: &[Window], held: &Held) {
    let mut table = Table::new(
        "A collection, one write for nine queries, kept in order by a thread beside; by the clock:"
            .to_owned(),
        &["s", "records", "queries", "p50 us", "p99 us", "longest us", "write p99 us", "recall@10"],
    );
    for window in windows.iter().step_by(4) {
        table.row(vec![
            format!("{:.1}", window.at_s),
            window.records.to_string(),
            window.queries.to_string(),
            format!("{:.0}", window.p50_us),
            format!("{:.0}", window.p99_us),
            format!("{:.0}", window.longest_us),
            format!("{:.0}", window.write_p99_us),
            format!("{:.3}", window.recall),
        ]);
    }
    report.tables.push(table);
    report.plots.extend([latency(windows), recall(windows)]);
    let worst = windows.iter().map(|window| window.recall).fold(1.0, f64::min);
    let mean =
        windows.iter().map(|window| window.recall).sum::<f64>() / windows.len().max(1) as f64;
    let (wanted, measured) = (format!("{RECALL}"), format!("{mean:.3}, at worst {worst:.3}"));
    report.targets.push(Target::at_least("recall of a mixed run", wanted, measured, mean, RECALL));
    let what = format!("resident memory at recall {:.3}, {}", held.recall, held.setting);
    let measured = format!("{:.0} B, {:.0} queries/s", held.bytes, held.queries);
    let wanted = "300 B a vector".to_owned();
    if held.recall >= RECALL {
        report.targets.push(Target::at_most(&what, wanted, measured, held.bytes, 300.0));
    } else {
        report.notes.push(format!("{what}: {measured}; recall {RECALL} was not reached"));
    }
}

fn series(name: &str, windows: &[Window], value: impl Fn(&Window) -> f64) -> Series {
    let point = |window: &Window| {
        let (x, y) = (window.at_s, value(window));
        let note = format!("{} records", window.records);
        Point { x, y, least: y, most: y, note, ..Point::default() }
    };
    Series { name: name.to_owned(), points: windows.iter().map(point).collect() }
}

fn latency(windows: &[Window]) -> Plot {
    Plot {
        id: "vec-mixed-latency".to_owned(),
        title: "Queries beside writes and compaction: how long they take".to_owned(),
        x: Axis::linear("time", "s"),
        y: Axis::logarithmic("time of a call", "µs"),
        shape: Shape::Lines,
        references: Vec::new(),
        series: vec![
            series("query, p50", windows, |window| window.p50_us),
            series("query, p99", windows, |window| window.p99_us),
            series("write, p99", windows, |window| window.write_p99_us),
        ],
    }
}

fn recall(windows: &[Window]) -> Plot {
    Plot {
        id: "vec-mixed-recall".to_owned(),
        title: "Queries beside writes and compaction: what they find".to_owned(),
        x: Axis::linear("time", "s"),
        y: Axis::linear("recall@10", ""),
        shape: Shape::Lines,
        references: Vec::new(),
        series: vec![series("recall asked for 0.95", windows, |window| window.recall)],
    }
}
