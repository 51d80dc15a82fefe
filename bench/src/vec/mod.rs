//! `vec`: the vector library beside faiss, usearch, hnswlib and rabitqlib, on one thread, one
//! query a call, per second of that thread's time; recall is of the ten nearest.

pub mod data;
pub mod measure;
pub mod mixed;
pub mod ours;
pub mod peers;

use std::path::PathBuf;

use serde_json::json;

use crate::report::{Report, Table, Target};
use data::Data;
use measure::Line;
use ours::RECALL;
use peers::Peer;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Vectors, the last 1,000 of them as queries.
    pub data: PathBuf,
    /// The peers' Python environment; `None` leaves them out.
    pub venv: Option<PathBuf>,
    /// The peers' script.
    pub script: PathBuf,
    /// Passes of ours and of the peers, by turns; the best figures count.
    pub rounds: usize,
}

/// Measures ours and the peers.
#[must_use]
pub fn run(settings: &Settings) -> Report {
    let mut report = Report::new("vec");
    let data = match Data::read(&settings.data) {
        Ok(data) => data,
        Err(error) => {
            report.right = false;
            report.notes.push(error);
            return report;
        }
    };
    let (rounds, mut lines, mut peers) = (settings.rounds.max(1), Vec::new(), Vec::new());
    for _ in 0..rounds {
        merge(&mut lines, ours::lines(&data));
        if let Some(venv) = &settings.venv {
            match peers::measure(venv, &settings.script, &settings.data) {
                Ok(measured) => peers::merge(&mut peers, measured),
                Err(error) => report.notes.push(error),
            }
        }
    }
    check(&mut report, &lines);
    report.tables = tables(&data, &lines, &peers);
    report.targets = targets(&lines, &peers);
    mixed::add_to(&mut report, &data);
    report.raw = json!({ "ours": lines, "peers": peers });
    report
}

/// Keeps the best figures of each line.
fn merge(lines: &mut Vec<Line>, round: Vec<Line>) {
    for line in round {
        let same = |other: &&mut Line| (&other.what, &other.setting) == (&line.what, &line.setting);
        let bandwidth = |other: &&mut Line| other.what == line.what && line.queries == 0.0;
        if let Some(other) = lines.iter_mut().find(|other| same(other) || bandwidth(other)) {
            if line.scanned > other.scanned {
                other.setting.clone_from(&line.setting);
            }
            other.added = other.added.max(line.added);
            other.scanned = other.scanned.max(line.scanned);
            other.queries = other.queries.max(line.queries);
        } else {
            lines.push(line);
        }
    }
}

/// Answers that are to be right whatever the data is.
fn check(report: &mut Report, lines: &[Line]) {
    // Scores that are next to equal may change places between one order of sums and another.
    for (what, least) in [("exact, one query", 0.999), ("exact, batch", 0.999), ("i8 exact", 0.9)] {
        if lines.iter().any(|line| line.what == what && line.recall < least) {
            report.right = false;
            report.notes.push(format!("{what} did not find the nearest"));
        }
    }
}

/// A rate with a unit that keeps it short; a dash for none.
fn rate(value: f64) -> String {
    match value {
        value if value <= 0.0 => "–".to_owned(),
        value if value >= 1e6 => format!("{:.1} M", value / 1e6),
        value if value >= 1e5 => format!("{:.0} k", value / 1e3),
        value => format!("{value:.0}"),
    }
}

fn tables(data: &Data, lines: &[Line], peers: &[Peer]) -> Vec<Table> {
    let size = format!("{} x {}", data.base.len(), data.base.dim());
    let head = ["what", "added/s", "scanned/s", "queries/s", "recall@10", "B/vector", "setting"];
    let mut ours = Table::new(format!("Ours, {size}, one thread, per second of its time:"), &head);
    let some = |value: f64, text: String| if value > 0.0 { text } else { "–".to_owned() };
    for line in lines {
        ours.row(vec![
            line.what.clone(),
            rate(line.added),
            rate(line.scanned),
            rate(line.queries),
            some(line.recall, format!("{:.4}", line.recall)),
            some(line.bytes, format!("{:.0}", line.bytes)),
            line.setting.clone(),
        ]);
    }
    let head = ["peer", "added/s", "scanned/s", "queries/s", "recall@10", "setting"];
    let mut theirs =
        Table::new(format!("Peers, {size}, one thread, per second of its time:"), &head);
    for peer in peers {
        let recall = peer.recall.unwrap_or_default();
        theirs.row(vec![
            peer.peer.clone(),
            rate(peer.add_per_s.unwrap_or_default()),
            rate(peer.vectors_per_s.unwrap_or_default()),
            rate(peer.qps.unwrap_or_default()),
            some(recall, format!("{recall:.4}")),
            peer.setting.map_or_else(|| "–".to_owned(), |setting| setting.to_string()),
        ]);
    }
    let mut tables = vec![ours, theirs];
    tables.retain(|table| !table.rows.is_empty());
    tables
}

/// The first of our lines of that name with the recall to be reached, or the only one.
fn own<'a>(lines: &'a [Line], what: &str, recall: f64) -> Option<&'a Line> {
    lines.iter().find(|line| line.what == what && line.recall >= recall)
}

/// Vectors a second that a peer looks at.
fn scanned(peers: &[Peer], name: &str) -> Option<f64> {
    peers.iter().find(|peer| peer.peer == name)?.vectors_per_s
}

/// Vectors a second that a peer takes in.
fn added(peers: &[Peer], name: &str) -> Option<f64> {
    peers.iter().find(|peer| peer.peer == name)?.add_per_s
}

/// Queries a second of a peer where it first reaches the recall.
fn reached(peers: &[Peer], name: &str) -> Option<f64> {
    let at = |peer: &&Peer| peer.peer == name && peer.recall.is_some_and(|r| r >= RECALL);
    peers.iter().find(at)?.qps
}

type Figure = fn(&Line) -> f64;
type PeerFigure = fn(&[Peer], &str) -> Option<f64>;

/// What, our line, its figure, and what it is to be.
const FIXED: [(&str, &str, Figure, f64); 4] = [
    ("i8 exact scan", "i8 exact", |line| line.scanned, 50e6),
    ("1-bit encode, rotation included", "1 bit", |line| line.added, 1e6),
    ("insert, flat codes", "flat codes, 1 + 4 bits", |line| line.added, 600e3),
    ("insert, list assignment", LISTS, |line| line.added, 160e3),
];

const LISTS: &str = "lists, 1 + 4 bits";
const GRAPH: &str = "graph of 32";
const SYMQG: &str = "rabitqlib SymphonyQG 32";

/// What, our line, its figure and least recall, and how many times which peer's figure it is to be.
const BESIDE: [(&str, &str, Figure, f64, f64, &str, PeerFigure); 10] = [
    ("exact, batch", "exact, batch", |line| line.scanned, 0.0, 1.0, "faiss flat, batch", scanned),
    (
        "exact, one query",
        "exact, one query",
        |line| line.scanned,
        0.0,
        1.05,
        "faiss flat, one query",
        scanned,
    ),
    ("PQ 48 x 8 encode", "PQ 48 x 8", |line| line.added, 0.0, 3.5, "faiss PQ48x8", added),
    (
        "48 bytes, 4 bits a part: scan",
        "PQ 96 x 4",
        |line| line.scanned,
        0.0,
        1.5,
        "faiss PQ96x4fs",
        scanned,
    ),
    (
        "48 bytes, 6 bits a part: scan",
        "PQ 64 x 6",
        |line| line.scanned,
        0.0,
        1.5,
        "faiss PQ96x4fs",
        scanned,
    ),
    (
        "queries at recall 0.95, graph",
        GRAPH,
        |line| line.queries,
        RECALL,
        4.0,
        "usearch bf16",
        reached,
    ),
    ("queries at recall 0.95, graph", GRAPH, |line| line.queries, RECALL, 1.0, SYMQG, reached),
    (
        "queries at recall 0.95, lists",
        LISTS,
        |line| line.queries,
        RECALL,
        4.0,
        "usearch bf16",
        reached,
    ),
    ("queries at recall 0.95, lists", LISTS, |line| line.queries, RECALL, 1.0, SYMQG, reached),
    ("insert, graph", GRAPH, |line| line.added, 0.0, 1.1, "usearch i8", added),
];

fn targets(lines: &[Line], peers: &[Peer]) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut add = |what: &str, wanted: String, figure: f64, least: f64| {
        targets.push(Target::at_least(what, wanted, format!("{}/s", rate(figure)), figure, least));
    };
    for (what, line, figure, least) in FIXED {
        if let Some(line) = own(lines, line, 0.0) {
            add(what, format!("{}/s", rate(least)), figure(line), least);
        }
    }
    let bandwidth = own(lines, "read bandwidth", 0.0).map(|line| 0.95 * line.scanned);
    if let (Some(line), Some(least)) = (own(lines, "exact, one query", 0.0), bandwidth) {
        let wanted = format!("0.95 of the read bandwidth, {}/s", rate(least));
        add("exact, one query", wanted, line.scanned, least);
    }
    for (what, line, figure, recall, times, peer, of) in BESIDE {
        if let (Some(line), Some(theirs)) = (own(lines, line, recall), of(peers, peer)) {
            let wanted = format!("{times} x {peer}'s {}/s", rate(theirs));
            add(what, wanted, figure(line), times * theirs);
        }
    }
    if let Some(line) = own(lines, LISTS, RECALL) {
        let (what, measured) = ("memory at recall 0.95, lists", format!("{:.0} B", line.bytes));
        let wanted = "300 B a vector".to_owned();
        targets.push(Target::at_most(what, wanted, measured, line.bytes, 300.0));
    }
    targets
}
