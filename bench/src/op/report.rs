//! The kernels' tables, plots and targets.

use std::collections::BTreeMap;

use super::measure::Row;
use crate::report::{Axis, Figure, Plot, Point, Reference, Report, Series, Shape, Table, Target};

/// Four ops whose separate and fused runs are compared.
const FOUR: &str = super::FOUR;

struct Ops<'a> {
    rows: &'a [Row],
}

impl Ops<'_> {
    /// Best rate in GB/s of the rows of `group` whose name is one of `whats`; 0 without any.
    fn best(&self, group: &str, whats: &[&str]) -> f64 {
        let rows = self.rows.iter().filter(|row| row.group == group);
        let rows = rows.filter(|row| whats.contains(&row.what.as_str()));
        rows.map(|row| row.gb_per_s.median).fold(0.0, f64::max)
    }
}

pub(super) fn report(rows: &[Row]) -> Report {
    let mut report = Report::new("op");
    report.right = rows.iter().all(|row| row.ok);
    let head = ["spans", "what", "level", "GB/s", "ticks/byte"];
    let mut table = Table::new("Our kernels at every level, and peers:", &head);
    for row in rows {
        table.row(vec![
            row.group.to_owned(),
            row.what.clone(),
            row.isa.clone(),
            row.gb_per_s.text(1),
            format!("{:.4}", row.ticks_per_byte.median),
        ]);
    }
    report.tables = vec![table];
    report.plots = plots(rows);
    let figure = |row: &Row| {
        let name = format!("{}, {}, {}", row.what, row.group, row.isa);
        Figure::rate(name, "GB/s", &row.gb_per_s)
    };
    report.figures = rows.iter().map(figure).collect();
    report.targets = targets(&Ops { rows });
    report.raw = serde_json::to_value(rows).unwrap_or_default();
    report
}

/// A plot for each kind of span: a bar for each program or peer, a series for each level.
fn plots(rows: &[Row]) -> Vec<Plot> {
    let mut groups: Vec<&str> = rows.iter().map(|row| row.group).collect();
    groups.dedup();
    groups.into_iter().map(|group| plot(group, rows)).collect()
}

fn plot(group: &str, rows: &[Row]) -> Plot {
    let (roofs, rows): (Vec<&Row>, Vec<&Row>) =
        rows.iter().filter(|row| row.group == group).partition(|row| row.what.starts_with(ROOF));
    let mut names: Vec<&str> = Vec::new();
    for row in &rows {
        if !names.contains(&row.what.as_str()) {
            names.push(&row.what);
        }
    }
    let mut series: BTreeMap<&str, Vec<Point>> = BTreeMap::new();
    for (index, name) in names.iter().enumerate() {
        for row in rows.iter().filter(|row| row.what == *name) {
            let level = if row.isa == "-" { "peer or bound" } else { &row.isa };
            series.entry(level).or_default().push(Point::named(name, index, &row.gb_per_s));
        }
    }
    let line = |(name, points): (&str, _)| Series { name: name.to_owned(), points };
    Plot {
        id: format!("op-{}", group.replace(' ', "-").to_lowercase()),
        title: format!("Payload operations, spans: {group}"),
        x: Axis::linear("operation", ""),
        y: Axis::linear("rate", "GB/s"),
        shape: Shape::Bars,
        series: series.into_iter().map(line).collect(),
        references: references(&roofs),
    }
}

/// Names of the rows that are the memory's own speed.
const ROOF: &str = "roofline ";

/// A line for each kind of access, with prefetch or without, whichever is faster.
fn references(roofs: &[&Row]) -> Vec<Reference> {
    let mut best: BTreeMap<&str, f64> = BTreeMap::new();
    for row in roofs {
        let kind = row.what.trim_start_matches(ROOF).trim_end_matches(" ahead");
        let roof = best.entry(kind).or_default();
        *roof = roof.max(row.gb_per_s.median);
    }
    let line = |(kind, y): (&str, f64)| Reference { name: format!("{kind} roofline"), y };
    best.into_iter().map(line).collect()
}

fn target(what: &str, why: &str, figure: f64, wanted: f64) -> Target {
    let target = format!("≥ {wanted:.1} GB/s ({why})");
    Target::at_least(what, target, format!("{figure:.1} GB/s"), figure, wanted)
}

fn targets(ops: &Ops<'_>) -> Vec<Target> {
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
