//! Syntax trees: bytes, rates and latencies of each form against tree-sitter's live tree.

pub mod corpus;
pub mod measure;
pub mod queries;

use std::path::PathBuf;
use std::time::Duration;

use pfs_cst::languages::Registry;
use serde_json::json;

use crate::report::{Report, Table, Target};
use corpus::Half;
use measure::{ASKED, COLD, Totals, measure};

/// What is measured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of packages, each a folder.
    pub folder: PathBuf,
    /// Languages with the ends of their files and the most files of each.
    pub languages: Vec<(String, Vec<String>, usize)>,
}

/// Measures each language, and says what was reached.
#[must_use]
pub fn run(settings: &Settings) -> Report {
    let mut report = Report::new("cst");
    let mut raw = serde_json::Map::new();
    for (name, ends, most) in &settings.languages {
        let Some(grammar) = Registry::shared().get(name) else {
            report.notes.push(format!("{name}: this build has not its grammar"));
            continue;
        };
        let ends: Vec<_> = ends.iter().map(String::as_str).collect();
        let sources = corpus::sources(&settings.folder, &ends, Half::Measure, *most);
        if sources.is_empty() {
            report.notes.push(format!("{name}: no files below {}", settings.folder.display()));
            continue;
        }
        match measure(&grammar, &sources) {
            Ok(totals) => {
                let dictionaries = grammar.trained().map_or(0, |trained| trained.write().len());
                tell(&mut report, name, &totals, dictionaries);
                raw.insert(name.clone(), json!(format!("{totals:?}")));
                ask(&mut report, name, &queries::measure(&grammar, &sources));
            }
            Err(error) => {
                report.right = false;
                report.notes.push(format!("{name}: {error}"));
            }
        }
    }
    report.raw = raw.into();
    report
}

/// Queries: times of both, and what ours are to reach.
fn ask(report: &mut Report, name: &str, rows: &Result<Vec<queries::Row>, String>) {
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => {
            report.right = false;
            report.notes.push(format!("{name}: {error}"));
            return;
        }
    };
    let title = format!("{name}: published queries, the same matches over live and hot trees");
    let columns = ["query", "matches", "live, ms", "hot, ms", "times as fast"];
    let mut table = Table::new(title, &columns);
    for row in rows {
        let (live, hot) = (row.live.as_secs_f64() * 1e3, row.hot.as_secs_f64() * 1e3);
        let ratio = live / hot;
        table.row(vec![
            row.name.to_owned(),
            row.matches.to_string(),
            format!("{live:.1}"),
            format!("{hot:.1}"),
            format!("{ratio:.2}"),
        ]);
        let what = format!("{name}: query {} over the hot form", row.name);
        let measured = format!("{ratio:.2} ×");
        report.targets.push(Target::at_least(
            &what,
            "≥ 1 × tree-sitter's own".into(),
            measured,
            ratio,
            1.0,
        ));
    }
    report.tables.push(table);
}

fn per(nodes: usize, time: Duration) -> f64 {
    nodes as f64 / time.as_secs_f64() / 1e6
}

fn nanos(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
}

fn tell(report: &mut Report, name: &str, totals: &Totals, trained: usize) {
    let Totals { files, source, lines, nodes, .. } = *totals;
    let bytes = |bytes: usize| bytes as f64 / nodes as f64;
    let title = format!(
        "{name}: {files} files, {:.2} MB, {lines} lines, {nodes} nodes; trained data {trained} bytes, not in the rows",
        source as f64 / 1e6
    );
    let mut table = Table::new(
        title,
        &[
            "form",
            "bytes a node",
            "lines per MiB",
            "encode with walk, M nodes/s",
            "parse + encode / parse",
            "one node, ns",
        ],
    );
    let mut row = |form: &str, size: usize, encode: Duration, one: f64| {
        let whole = totals.flatten + encode;
        let density = lines as f64 / (size as f64 / f64::from(1 << 20));
        let share = totals.parse.as_secs_f64() / (totals.parse + whole).as_secs_f64();
        table.row(vec![
            form.to_owned(),
            format!("{:.3}", bytes(size)),
            format!("{density:.0}"),
            format!("{:.2}", per(nodes, whole)),
            format!("{share:.2}"),
            format!("{one:.0}"),
        ]);
    };
    row("hot", totals.hot_bytes, totals.hot, nanos(totals.random, totals.randoms));
    for (way, (form, _)) in COLD.iter().enumerate() {
        let one = nanos(totals.thaws[way], totals.thawed);
        row(form, totals.cold_bytes[way], totals.cold[way], one);
    }
    report.tables.push(table);
    report.tables.push(walks(name, totals));
    targets(report, name, totals);
}

fn walks(name: &str, totals: &Totals) -> Table {
    let nodes = totals.nodes;
    let mut table = Table::new(
        format!(
            "{name}: walks; live trees take {:.1} bytes a node, parse at {:.2} MB/s",
            totals.live_bytes as f64 / nodes as f64,
            totals.source as f64 / totals.parse.as_secs_f64() / 1e6
        ),
        &["walk over all nodes", "M nodes/s", "ns a node"],
    );
    for (walk, time) in [
        ("live cursor, moves", totals.live_moves),
        ("hot cursor, moves", totals.hot_moves),
        ("live cursor, kind, field, start, end", totals.live_walk),
        ("hot cursor, kind, field, start, end", totals.hot_walk),
        ("hot pre-order, kind, field, depth, start", totals.preorder),
        ("flatten", totals.flatten),
    ] {
        let cells = [format!("{:.2}", per(nodes, time)), format!("{:.1}", nanos(time, nodes))];
        table.row([walk.to_owned()].into_iter().chain(cells).collect());
    }
    table
}

fn targets(report: &mut Report, name: &str, totals: &Totals) {
    let nodes = totals.nodes;
    let size = |bytes: usize| bytes as f64 / nodes as f64;
    let [whole, small, source] = ASKED;
    let mut most = |what: &str, figure: f64, allowed: f64, unit: &str| {
        let (target, measured) = (format!("≤ {allowed} {unit}"), format!("{figure:.3} {unit}"));
        let what = format!("{name}: {what}");
        report.targets.push(Target::at_most(&what, target, measured, figure, allowed));
    };
    most("hot", size(totals.hot_bytes), 2.2, "B/node");
    most("cold, stored", size(totals.cold_bytes[whole]), 0.55, "B/node");
    most("cold, source at hand", size(totals.cold_bytes[source]), 0.36, "B/node");
    most("random node, hot", nanos(totals.random, totals.randoms), 150.0, "ns");
    most("move, hot", nanos(totals.hot_moves, nodes), 100.0, "ns");
    most("one node, blocks of 4,096", nanos(totals.thaws[whole], totals.thawed) / 1e3, 10.0, "µs");
    most("one node, blocks of 256", nanos(totals.thaws[small], totals.thawed) / 1e3, 3.0, "µs");
    let mut least = |what: &str, figure: f64, wanted: f64, unit: &str| {
        let (target, measured) = (format!("≥ {wanted} {unit}"), format!("{figure:.2} {unit}"));
        let what = format!("{name}: {what}");
        report.targets.push(Target::at_least(&what, target, measured, figure, wanted));
    };
    least("encode, hot", per(nodes, totals.flatten + totals.hot), 6.0, "M nodes/s");
    least("encode, zstd-9", per(nodes, totals.flatten + totals.cold[whole]), 4.5, "M nodes/s");
    let ratio = |slow: Duration, fast: Duration| slow.as_secs_f64() / fast.as_secs_f64();
    least("walk, hot against live", ratio(totals.live_walk, totals.hot_walk), 2.0, "×");
}
