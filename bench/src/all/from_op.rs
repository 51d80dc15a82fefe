//! The report of `op`, from its own JSON.

use std::path::Path;

use serde::Deserialize;

use super::parse;
use crate::report::{Report, Table, Target};

/// Four ops whose separate and fused runs are compared.
const FOUR: &str = "xor:255,add:7,counteq:0,crc32c";

#[derive(Deserialize)]
struct Ops {
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    group: String,
    what: String,
    isa: String,
    gb_per_s: f64,
    min: f64,
    max: f64,
    ok: bool,
}

impl Ops {
    /// Best rate in GB/s of the rows of `group` whose name is one of `whats`; 0 without any.
    fn best(&self, group: &str, whats: &[&str]) -> f64 {
        let rows = self.rows.iter().filter(|row| row.group == group);
        let rows = rows.filter(|row| whats.contains(&row.what.as_str()));
        rows.map(|row| row.gb_per_s).fold(0.0, f64::max)
    }
}

pub(super) fn report(path: &Path) -> Result<Report, String> {
    let ops: Ops = parse(path)?;
    let mut report = Report::new("op");
    report.right = ops.rows.iter().all(|row| row.ok);
    let head = ["spans", "what", "level", "GB/s"];
    let mut table = Table::new("Our best level, and peers, by place and length of spans:", &head);
    for row in &ops.rows {
        let better = |other: &Row| {
            (&other.group, &other.what) == (&row.group, &row.what) && other.gb_per_s > row.gb_per_s
        };
        if ops.rows.iter().any(better) {
            continue;
        }
        table.row(vec![
            row.group.clone(),
            row.what.clone(),
            row.isa.clone(),
            format!("{:.1} ({:.1}–{:.1})", row.gb_per_s, row.min, row.max),
        ]);
    }
    report.tables = vec![table];
    report.targets = targets(&ops);
    Ok(report)
}

fn target(what: &str, why: &str, figure: f64, wanted: f64) -> Target {
    let target = format!("≥ {wanted:.1} GB/s ({why})");
    Target::at_least(what, target, format!("{figure:.1} GB/s"), figure, wanted)
}

fn targets(ops: &Ops) -> Vec<Target> {
    const CACHED: &str = "l1 4K";
    let crc = ops.best(CACHED, &["crc32c"]);
    let crates = ops.best(CACHED, &["crate crc32c", "crate crc-fast"]);
    let read = ops.best(CACHED, &["roofline read", "roofline read ahead"]);
    let mut targets = vec![
        target("crc32c, 4 KiB spans in cache", "set", crc, 25.0),
        target("crc32c, 4 KiB spans in cache", "the better crate", crc, crates),
        target(
            "counteq, 4 KiB spans in cache",
            "30, or 90 % of the read roofline",
            ops.best(CACHED, &["counteq:0"]),
            (0.9 * read).min(30.0),
        ),
    ];
    for group in [CACHED, "dram 4K"] {
        let both = ops.best(group, &["roofline read+write", "roofline read+write ahead"]);
        for op in ["xor:255", "add:7"] {
            let what = format!("{op}, {group}");
            let why = "95 % of the read+write roofline";
            targets.push(target(&what, why, ops.best(group, &[op]), 0.95 * both));
        }
    }
    for group in ["256", "1400"] {
        let what = format!("fnv64, 64 spans of {group} B");
        targets.push(target(&what, "set", ops.best(group, &["fnv64"]), 5.0));
    }
    let original =
        [("xor:255", 2.0), ("add:7", 1.7), ("counteq:0", 0.93), ("fnv64", 0.39), ("crc32c", 0.09)];
    for (op, rate) in original {
        let what = format!("{op}, scattered spans over 1 GiB");
        targets.push(target(&what, "3 × the original", ops.best("scattered", &[op]), 3.0 * rate));
    }
    let of = |mode: &str| ops.best(CACHED, &[&format!("{FOUR} {mode}")]);
    let what = format!("{FOUR}, 4 KiB spans, fused");
    targets.push(target(&what, "1.5 × separate passes", of("fused"), 1.5 * of("separate")));
    targets.push(target(&what, "100 × the original", of("fused"), 10.0));
    targets
}
