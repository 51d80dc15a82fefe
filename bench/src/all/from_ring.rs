//! The report of `ring`, from its own JSON.

use std::path::Path;

use serde::Deserialize;

use super::parse;
use crate::report::{Report, Table, Target};
use crate::ring::placement::Placement;

#[derive(Deserialize)]
struct Rings {
    rte_ring: String,
    throughput: Vec<Figure>,
    latency: Vec<Latency>,
}

#[derive(Deserialize)]
struct Figure {
    name: String,
    placement: Placement,
    trials: usize,
    item_bytes: usize,
    burst: usize,
    million_items_per_second: f64,
    least: f64,
    most: f64,
    cycles_per_item: f64,
    right: bool,
}

#[derive(Deserialize)]
struct Latency {
    name: String,
    placement: Placement,
    trials: usize,
    p50_ns: f64,
    p99_ns: f64,
    right: bool,
}

pub(super) fn report(path: &Path) -> Result<Report, String> {
    let rings: Rings = parse(path)?;
    let mut report = Report::new("ring");
    report.right = rings.throughput.iter().all(|figure| figure.right)
        && rings.latency.iter().all(|latency| latency.right);
    report.notes.push(format!("rte_ring: {}", rings.rte_ring));
    let head = ["cores", "items", "burst", "ring", "trials", "M items/s", "cycles/item"];
    let mut table = Table::new("Two pinned cores:", &head);
    for figure in &rings.throughput {
        let Figure { million_items_per_second: rate, least, most, .. } = figure;
        table.row(vec![
            figure.placement.name().to_owned(),
            format!("{} B", figure.item_bytes),
            figure.burst.to_string(),
            figure.name.clone(),
            figure.trials.to_string(),
            format!("{rate:.1} ({least:.1}–{most:.1})"),
            format!("{:.1}", figure.cycles_per_item),
        ]);
    }
    let mut waits =
        Table::new("One way, item by item:", &["cores", "ring", "trials", "p50 ns", "p99 ns"]);
    for latency in &rings.latency {
        let ns = |ns: f64| format!("{ns:.0}");
        waits.row(vec![
            latency.placement.name().to_owned(),
            latency.name.clone(),
            latency.trials.to_string(),
            ns(latency.p50_ns),
            ns(latency.p99_ns),
        ]);
    }
    report.tables = vec![table, waits];
    for placement in [Placement::Near, Placement::Far] {
        report.targets.extend(targets(&rings, placement));
    }
    Ok(report)
}

/// Trials that a figure needs to be held against another.
const ENOUGH: usize = 3;

/// The targets in one placement of the cores, as far as both sides were there often enough.
fn targets(rings: &Rings, placement: Placement) -> Vec<Target> {
    let best = |item: usize, burst: usize, wanted: &dyn Fn(&str) -> bool| {
        let here = |f: &&Figure| f.placement == placement && f.trials >= ENOUGH;
        let of_shape = rings.throughput.iter().filter(here);
        let of_shape = of_shape.filter(|f| (f.item_bytes, f.burst) == (item, burst));
        let rates = of_shape.filter(|figure| wanted(&figure.name));
        rates.map(|figure| figure.million_items_per_second).fold(0.0, f64::max)
    };
    let ours = |name: &str| name.starts_with("pfs");
    let mut targets = Vec::new();
    let mut add = |what: String, times: f64, peer: &str, figure: f64, rate: f64| {
        if figure > 0.0 && rate > 0.0 {
            let target = format!("≥ {times} × {peer}'s {rate:.1} M/s");
            let measured = format!("{figure:.1} M/s");
            targets.push(Target::at_least(&what, target, measured, figure, times * rate));
        }
    };
    for item in [16, 32] {
        let what =
            |burst: usize| format!("{}, {item}-byte items, bursts of {burst}", placement.name());
        let rtrb = best(item, 1, &|name| name.starts_with("rtrb"));
        add(what(1), 1.0, "rtrb", best(item, 1, &ours), rtrb);
        for burst in [32, 64] {
            let peers = best(item, burst, &|name| !ours(name));
            add(what(burst), 1.2, "the best peer", best(item, burst, &ours), peers);
        }
        let array = best(item, 1, &|name| name == "ArrayQueue");
        add(what(64), 10.0, "ArrayQueue", best(item, 64, &ours), array);
    }
    let p50 = |name: &str| {
        let here = |l: &&Latency| l.placement == placement && l.name.starts_with(name);
        rings.latency.iter().find(here).map(|latency| latency.p50_ns)
    };
    if let (Some(ours), Some(rtrb)) = (p50("pfs"), p50("rtrb")) {
        targets.push(Target::at_most(
            &format!("{}, one-way latency, median", placement.name()),
            format!("≤ rtrb's {rtrb:.0} ns"),
            format!("{ours:.0} ns"),
            ours,
            rtrb,
        ));
    }
    targets
}
