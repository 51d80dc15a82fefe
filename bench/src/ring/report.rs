//! The ring's tables, plots and targets.

use std::collections::BTreeMap;

use super::placement::Placement;
use super::rows::{Figure, OneWay, Rings};
use crate::report::{Axis, Figure as Named, Plot, Point, Report, Series, Shape, Table, Target};

pub(super) fn report(rings: &Rings) -> Report {
    let mut report = Report::new("ring");
    report.right = rings.throughput.iter().all(|figure| figure.right)
        && rings.latency.iter().all(|latency| latency.right);
    report.notes.push(format!("rte_ring: {}", rings.rte_ring));
    report.notes.extend(rings.failed.iter().map(|why| format!("failed: {why}")));
    for (what, core) in [("producer", rings.cores.producer), ("consumer", rings.cores.consumer)] {
        report.grants.pinned(what, core as u32);
    }
    let head = ["cores", "items", "burst", "ring", "trials", "M items/s", "cycles/item"];
    let mut table = Table::new("Two pinned cores:", &head);
    for figure in &rings.throughput {
        table.row(vec![
            figure.shape.placement.name().to_owned(),
            format!("{} B", figure.shape.item_bytes),
            figure.shape.burst.to_string(),
            figure.name.to_owned(),
            figure.million_items_per_second.samples.len().to_string(),
            figure.million_items_per_second.text(1),
            format!("{:.1}", figure.cycles_per_item.median),
        ]);
    }
    let mut waits =
        Table::new("One way, item by item:", &["cores", "ring", "trials", "p50 ns", "p99 ns"]);
    for OneWay { name, placement, p50_ns, p99_ns, .. } in &rings.latency {
        waits.row(vec![
            placement.name().to_owned(),
            (*name).to_owned(),
            p50_ns.samples.len().to_string(),
            format!("{:.0}", p50_ns.median),
            format!("{:.0}", p99_ns.median),
        ]);
    }
    report.tables = vec![table, waits];
    report.plots = plots(rings);
    report.figures = figures(rings);
    for placement in [Placement::Near, Placement::Far] {
        report.targets.extend(targets(rings, placement));
    }
    report.raw = serde_json::to_value(rings).unwrap_or_default();
    report
}

fn figures(rings: &Rings) -> Vec<Named> {
    let rates = rings.throughput.iter().map(|figure| {
        let super::rows::Shape { placement, item_bytes, burst } = figure.shape;
        let name = format!("{}, {item_bytes} B × {burst}, {}", figure.name, placement.name());
        Named::rate(name, "M items/s", &figure.million_items_per_second)
    });
    let waits = rings.latency.iter().map(|one| {
        let name = format!("{}, one way, {}", one.name, one.placement.name());
        Named::cost(name, "ns", &one.p50_ns)
    });
    rates.chain(waits).collect()
}

/// A plot for each placement and size of item: rate over burst, a line for each contender.
fn plots(rings: &Rings) -> Vec<Plot> {
    let mut plots: BTreeMap<(Placement, usize), BTreeMap<&str, Vec<Point>>> = BTreeMap::new();
    for figure in &rings.throughput {
        let plot = plots.entry((figure.shape.placement, figure.shape.item_bytes)).or_default();
        let burst = figure.shape.burst as f64;
        plot.entry(figure.name)
            .or_default()
            .push(Point::at(burst, &figure.million_items_per_second));
    }
    let plot = |((placement, bytes), lines): ((Placement, usize), BTreeMap<&str, Vec<Point>>)| {
        let line = |(name, points): (&str, _)| Series { name: name.to_owned(), points };
        Plot {
            id: format!("ring-{}-{bytes}", placement.name()),
            title: format!("{bytes}-byte items between two cores, {}", placement.name()),
            x: Axis::logarithmic("burst", "items"),
            y: Axis::logarithmic("rate", "M items/s"),
            shape: Shape::Lines,
            series: lines.into_iter().map(line).collect(),
            ..Plot::default()
        }
    };
    plots.into_iter().map(plot).collect()
}

/// Trials that a figure needs to be held against another.
const ENOUGH: usize = 3;

/// The targets in one placement of the cores, as far as both sides were there often enough.
fn targets(rings: &Rings, placement: Placement) -> Vec<Target> {
    let enough = |f: &&Figure| {
        f.shape.placement == placement && f.million_items_per_second.samples.len() >= ENOUGH
    };
    let best = |item: usize, burst: usize, wanted: &dyn Fn(&str) -> bool| {
        let of_shape = rings.throughput.iter().filter(enough);
        let of_shape = of_shape.filter(|f| (f.shape.item_bytes, f.shape.burst) == (item, burst));
        let rates = of_shape.filter(|figure| wanted(figure.name));
        rates.map(|figure| figure.million_items_per_second.median).fold(0.0, f64::max)
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
        let here = |l: &&OneWay| l.placement == placement && l.name.starts_with(name);
        rings.latency.iter().find(here).map(|latency| latency.p50_ns.median)
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
