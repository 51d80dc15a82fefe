//! `pfs cst ls` and `stats`.

use std::collections::BTreeMap;
use std::path::Path;

use pfs_cst::tiers::{Entry, Kept};
use serde_json::{Value, json};

use super::show::table;
use crate::failure::Failure;
use crate::out;

/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;

/// `pfs cst ls`.
///
/// # Errors
/// The collection cannot be read.
pub(super) fn list(dir: &Path, lang: Option<&str>, as_json: bool) -> Result<(), Failure> {
    let mut entries = super::open(dir)?.list()?;
    entries.retain(|entry| lang.is_none_or(|lang| *entry.language == *lang));
    if as_json {
        let lines: Vec<String> =
            entries.iter().map(|entry| object(entry).to_string() + "\n").collect();
        return out::print(&lines.concat());
    }
    let head = ["LANGUAGE", "NODES", "LINES", "BYTES", "SOURCE", "PATH"].map(str::to_owned);
    let rows = entries.iter().map(|entry| {
        [
            entry.language.to_string(),
            entry.nodes.to_string(),
            entry.lines.to_string(),
            entry.bytes.to_string(),
            kept(entry).into(),
            entry.name.to_string(),
        ]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    out::print(&table(&rows))
}

const fn kept(entry: &Entry) -> &'static str {
    match entry.kept {
        Kept::Nothing => "none",
        Kept::File { .. } => "ref",
        Kept::Copy { .. } => "copy",
    }
}

fn object(entry: &Entry) -> Value {
    json!({
        "path": entry.name,
        "language": entry.language,
        "nodes": entry.nodes,
        "lines": entry.lines,
        "source_bytes": entry.source_bytes,
        "bytes": entry.bytes,
        "source": kept(entry),
    })
}

/// Sums over trees.
#[derive(Default)]
struct Sums {
    trees: usize,
    nodes: usize,
    lines: usize,
    source_bytes: usize,
    bytes: usize,
}

impl Sums {
    fn add(&mut self, entry: &Entry) {
        self.trees += 1;
        self.nodes += entry.nodes;
        self.lines += entry.lines;
        self.source_bytes += entry.source_bytes;
        self.bytes += entry.bytes;
    }

    fn object(&self) -> Value {
        let per = |amount: f64, of: usize| if of == 0 { 0.0 } else { amount / of as f64 };
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        json!({
            "trees": self.trees,
            "nodes": self.nodes,
            "lines": self.lines,
            "source_bytes": self.source_bytes,
            "bytes": self.bytes,
            "bytes_per_node": round(per(self.bytes as f64, self.nodes)),
            "lines_per_mib": per(self.lines as f64 * MIB, self.bytes).round(),
        })
    }
}

/// `pfs cst stats`.
///
/// # Errors
/// The collection cannot be read.
pub(super) fn stats(dir: &Path) -> Result<(), Failure> {
    let store = super::open(dir)?;
    let (mut all, mut languages) = (Sums::default(), BTreeMap::<Box<str>, Sums>::new());
    for entry in store.list()? {
        all.add(&entry);
        languages.entry(entry.language.clone()).or_default().add(&entry);
    }
    let stats = store.stats();
    let mut object = all.object();
    object["segments"] = json!(stats.segments);
    object["disk_bytes"] = json!(stats.disk_bytes);
    object["dead_trees"] = json!(stats.dead_trees);
    let languages = languages.iter().map(|(name, sums)| (name.to_string(), sums.object()));
    object["languages"] = Value::Object(languages.collect());
    out::json(&object)
}
