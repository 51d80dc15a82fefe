//! `kv`: the key/value engine beside hash maps, ordered maps and durable stores, one process each,
//! all under one workload with checked answers.
//!
//! Peers are a program of their own (`bench/kv/peers`), so that the workspace does not depend on
//! them: `cargo build --release --manifest-path bench/kv/peers/Cargo.toml`, with `--features rocksdb`
//! where librocksdb-dev is installed.

mod beside;
mod client;
mod ours;
mod packets;
mod served;
pub mod workload;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::interrupt;
use crate::report::{Report, Table, Target};
use crate::stats::{Shuffle, Spread};

pub use ours::child;

/// What is measured, and how often.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Keys.
    pub keys: usize,
    /// Runs of each engine.
    pub rounds: usize,
    /// The peers' program.
    pub peers: PathBuf,
    /// Where durable engines keep their files: on the disk that is to be measured.
    pub folder: PathBuf,
    /// Only engines whose name contains this.
    pub filter: String,
}

/// Engines, and which of them are the peers' program's.
const ENGINES: [(&str, bool); 13] = [
    ("pfs", false),
    ("pfs-disk", false),
    ("hashbrown", true),
    ("btreemap", true),
    ("blart", true),
    ("heed", true),
    ("fjall", true),
    ("rocksdb", true),
    ("pfs-packets", false),
    ("pfs-beside", false),
    ("pfs-served", false),
    ("pfs-served-2", false),
    ("redis", false),
];

/// Columns of the table: figure, head, decimals.
const COLUMNS: [(&str, &str, usize); 14] = [
    ("put", "put M/s", 2),
    ("get", "get M/s", 2),
    ("burst", "get, bursts of 16", 2),
    ("execute", "the same as operations", 2),
    ("scan", "scan M rows/s", 1),
    ("seek", "seek + 20 rows M/s", 3),
    ("place", "the same, anywhere", 3),
    ("churn", "overwrite M/s", 2),
    ("durable_group", "durable, 1000s M/s", 3),
    ("durable_small", "durable, 64s M/s", 3),
    ("durable_single", "durable, singles M/s", 4),
    ("recover", "recovery s", 2),
    ("resident", "resident MB", 0),
    ("overhead", "B/record beyond key and value", 1),
];

/// Columns of the servers' table: figure, head, decimals.
const SERVED: [(&str, &str, usize); 8] = [
    ("resp_first_set", "RESP SET, new keys", 3),
    ("resp_set", "RESP SET", 3),
    ("resp_get", "RESP GET", 3),
    ("resp_durable", "RESP SET, on disk, M per second", 4),
    ("insert", "INSERT", 3),
    ("read", "READ", 3),
    ("pair_set", "PAIR_SET", 3),
    ("pair_scan", "PAIR_SCAN, M rows", 2),
];

/// Columns of the table of packets.
const PACKETS: [(&str, &str, usize); 6] = [
    ("packet_new", "put of new keys", 2),
    ("packet_put", "put", 2),
    ("packet_get", "get, answered", 2),
    ("packet_new_cycles", "cycles: put of new keys", 0),
    ("packet_put_cycles", "put", 0),
    ("packet_get_cycles", "get, answered", 0),
];

/// Columns of the table of waits.
const BESIDE: [(&str, &str, usize); 9] = [
    ("beside_none_p50", "no clients: p50", 2),
    ("beside_none_p99", "p99", 2),
    ("beside_none_p999", "p99.9", 2),
    ("beside_gets_p50", "4 with pipelines of 16 GET: p50", 2),
    ("beside_gets_p99", "p99", 2),
    ("beside_gets_p999", "p99.9", 2),
    ("beside_summaries_p50", "4 with PAIR_SUMMARY of all: p50", 2),
    ("beside_summaries_p99", "p99", 2),
    ("beside_summaries_p999", "p99.9", 2),
];

type Samples = BTreeMap<(String, String), Vec<f64>>;

/// Runs every engine `rounds` times, in another order each time.
#[must_use]
pub fn run(settings: &Settings) -> Report {
    interrupt::watch();
    let mut report = Report::new("kv");
    let (mut samples, mut shuffle) = (Samples::new(), Shuffle::default());
    let mut engines: Vec<(&str, bool)> =
        ENGINES.into_iter().filter(|(name, _)| name.contains(&settings.filter)).collect();
    if !settings.peers.exists() {
        let peers = settings.peers.display();
        report.notes.push(format!(
            "no peers: {peers} is not there; cargo build --release --manifest-path bench/kv/peers/Cargo.toml"
        ));
        engines.retain(|(_, peer)| !peer);
    }
    for _ in 0..settings.rounds {
        shuffle.shuffle(&mut engines);
        for &(engine, peer) in engines.iter().take_while(|_| !interrupt::asked()) {
            match run_one(settings, engine, peer) {
                Ok(figures) if figures.is_empty() => {
                    let note = format!("{engine} is not installed: not measured");
                    if !report.notes.contains(&note) {
                        report.notes.push(note);
                    }
                }
                Ok(figures) => figures.into_iter().for_each(|(name, value)| {
                    samples.entry((engine.to_owned(), name)).or_default().push(value);
                }),
                // A terminal's signal ends the engine's process too.
                Err(_) if interrupt::asked() => {}
                Err(error) => {
                    report.right = false;
                    report.notes.push(format!("{engine}: {error}"));
                }
            }
        }
    }
    finish(&mut report, settings, &samples);
    report
}

fn run_one(settings: &Settings, engine: &str, peer: bool) -> Result<Vec<(String, f64)>, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(if peer { &settings.peers } else { &own });
    if !peer {
        command.args(["kv", "--child"]);
    }
    command.arg(engine).arg(settings.keys.to_string()).arg(&settings.folder);
    let output = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("figures "));
    match line {
        Some(line) if output.status.success() => Ok(parse(line)),
        _ => Err(String::from_utf8_lossy(&output.stderr).lines().take(2).collect::<String>()),
    }
}

fn parse(line: &str) -> Vec<(String, f64)> {
    let figure = |part: &str| {
        let (name, value) = part.split_once('=')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    line.split(' ').filter_map(figure).collect()
}

fn finish(report: &mut Report, settings: &Settings, samples: &Samples) {
    let spread = |engine: &str, figure: &str| {
        let key = (engine.to_owned(), figure.to_owned());
        samples.get(&key).map(|samples| Spread::of(samples.clone()))
    };
    let rows = |title: String, columns: &[(&'static str, &'static str, usize)]| {
        let mut head = vec!["engine"];
        head.extend(columns.iter().map(|&(_, head, _)| head));
        let mut table = Table::new(title, &head);
        for (engine, _) in ENGINES {
            let cell = |&(figure, _, places): &(&str, &str, usize)| {
                let scale = if figure == "resident" { 1e6 } else { 1.0 };
                let text = |of: Spread| format!("{:.places$}", of.median / scale);
                spread(engine, figure).map_or_else(|| "–".to_owned(), text)
            };
            let cells: Vec<String> = columns.iter().map(cell).collect();
            if cells.iter().any(|cell| cell != "–") {
                table.row([vec![engine.to_owned()], cells].concat());
            }
        }
        table
    };
    let Settings { keys, rounds, .. } = settings;
    let title = format!("{keys} keys, one thread, medians of {rounds}:");
    let served = "Servers, pipelines of 16, millions per second of the server's CPU time:";
    let packets = "The op `kv` on frames in memory, no socket, receiver and op in one thread, millions per second of CPU time:";
    let beside =
        "How long a batch of 64 waits for a shard that a server takes as well, microseconds:";
    report.tables = vec![
        rows(title, &COLUMNS),
        rows(served.to_owned(), &SERVED),
        rows(packets.to_owned(), &PACKETS),
        rows(beside.to_owned(), &BESIDE),
    ];
    report.tables.retain(|table| !table.rows.is_empty());
    for sum in ["seek_sum", "place_sum"] {
        let sums: Vec<f64> = samples
            .iter()
            .filter(|((_, figure), _)| figure == sum)
            .flat_map(|(_, samples)| samples.iter().copied())
            .collect();
        if sums.windows(2).any(|pair| pair[0] != pair[1]) {
            report.right = false;
            report.notes.push(format!("engines disagree on {sum}"));
        }
    }
    let median = |engine: &str, figure: &str| spread(engine, figure).map(|of| of.median);
    report.targets = targets(&median);
    let raw: BTreeMap<String, &Vec<f64>> =
        samples.iter().map(|((engine, figure), of)| (format!("{engine}/{figure}"), of)).collect();
    report.raw = json!(raw);
}

/// What, our engine and figure, the peer's, and how many times the peer's it is to be.
const WANTED: [(&str, &str, &str, &str, &str, f64); 20] = [
    ("get, bursts of 16", "pfs", "burst", "hashbrown", "get", 1.7),
    ("get, single", "pfs", "get", "blart", "get", 2.0),
    ("put, ordered", "pfs", "put", "btreemap", "put", 1.2),
    ("full prefix scan", "pfs", "scan", "btreemap", "scan", 0.95),
    ("full prefix scan", "pfs", "scan", "heed", "scan", 1.4),
    ("seek + 20 rows", "pfs", "seek", "btreemap", "seek", 1.5),
    ("seek + 20 rows", "pfs", "seek", "heed", "seek", 1.5),
    ("durable put, groups of 1000", "pfs-disk", "durable_group", "fjall", "durable_group", 2.5),
    ("durable put, groups of 1000", "pfs-disk", "durable_group", "heed", "durable_group", 2.5),
    ("durable put, groups of 1000", "pfs-disk", "durable_group", "rocksdb", "durable_group", 2.5),
    ("durable put, groups of 64", "pfs-disk", "durable_small", "fjall", "durable_small", 1.5),
    ("durable put, groups of 64", "pfs-disk", "durable_small", "rocksdb", "durable_small", 1.5),
    ("durable put, single", "pfs-disk", "durable_single", "fjall", "durable_single", 1.0),
    ("get from the durable store, single", "pfs-disk", "get", "heed", "get", 4.0),
    ("get from the durable store, bursts", "pfs-disk", "burst", "heed", "get", 8.0),
    ("RESP SET of new keys", "pfs-served", "resp_first_set", "redis", "resp_first_set", 2.0),
    ("RESP SET", "pfs-served", "resp_set", "redis", "resp_set", 2.0),
    ("RESP GET", "pfs-served", "resp_get", "redis", "resp_get", 2.0),
    ("packets to the store: put", "pfs-packets", "packet_put", "redis", "resp_set", 6.0),
    ("packets to the store: get", "pfs-packets", "packet_get", "redis", "resp_get", 6.0),
];

/// Operations from packets that a core is to do, millions a second: put, and get with its answer.
const PACKET_RATE: f64 = 4.0;

/// What, our figure, and how many millions per CPU second it is to be: multiples of what the server
/// did whose grammar this is, which answered 41,000 INSERT, 91,000 READ, 2,400 PAIR_SET and 24,000
/// rows of PAIR_SCAN on the same kind of machine.
const LINES: [(&str, &str, f64); 4] = [
    ("INSERT", "insert", 0.41),
    ("READ", "read", 0.91),
    ("PAIR_SET", "pair_set", 1.2),
    ("PAIR_SCAN rows", "pair_scan", 2.4),
];

fn targets(median: &dyn Fn(&str, &str) -> Option<f64>) -> Vec<Target> {
    let mut targets = Vec::new();
    for (what, ours, figure, peer, peer_figure, times) in WANTED {
        if let (Some(own), Some(theirs)) = (median(ours, figure), median(peer, peer_figure)) {
            let target = format!("{times} × {peer}'s {theirs:.4} M/s");
            let measured = format!("{own:.4} M/s, {:.2} ×", own / theirs);
            targets.push(Target::at_least(what, target, measured, own, theirs * times));
        }
    }
    for (what, figure) in [("put", "packet_put"), ("get", "packet_get")] {
        if let Some(own) = median("pfs-packets", figure) {
            let what = format!("packets to the store: {what}, a core");
            let target = format!("{PACKET_RATE} M/s");
            let measured = format!("{own:.2} M/s");
            targets.push(Target::at_least(&what, target, measured, own, PACKET_RATE));
        }
    }
    if let Some(overhead) = median("pfs", "overhead") {
        let what = "memory per record beyond key and value";
        let measured = format!("{overhead:.1} B");
        targets.push(Target::at_most(what, "24 B".to_owned(), measured, overhead, 24.0));
    }
    for (what, figure, wanted) in LINES {
        if let Some(own) = median("pfs-served", figure) {
            let target = format!("{wanted} M per server-CPU-second");
            targets.push(Target::at_least(what, target, format!("{own:.3} M"), own, wanted));
        }
    }
    targets
}

/// Where cargo puts the peers' program, seen from the repository's root.
#[must_use]
pub fn default_peers() -> PathBuf {
    Path::new("bench/kv/peers/target/release/kv-peers").to_path_buf()
}
