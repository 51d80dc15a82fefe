//! Cost classes of every op, and the file that plans are held against.

use std::path::Path;

use pfs_cst::languages::Registry;
use pfs_dataplane::costs::{CostClass, Costs, PAYLOADS, Sample, measure};
use pfs_dataplane::pcpu::{Isa, OPS, Program};
use serde::Serialize;

use crate::interrupt;
use crate::report::{Axis, Figure, Plot, Point, Report, Series, Shape, Table};
use crate::stats::Spread;

/// Ops on bytes: their kernels differ by level.
const BYTES: [&str; 9] = [
    "crc32c",
    "crc32c:chain",
    "fnv64",
    "fnv64:chain",
    "counteq:0",
    "xor:255",
    "add:7",
    "hist8",
    "len",
];
/// Ops of engines, which choose their level by themselves. A trial touches no folder.
const ENGINES: [&str; 8] = [
    "token:cl100k_base",
    "token:o200k_base",
    "kv",
    "kv:cheetah",
    "kv:resp",
    "pvrt",
    "vec:DIR",
    "cst",
];

/// One op at one level.
#[derive(Debug, Serialize)]
struct Row {
    op: String,
    level: String,
    /// At each length of payload.
    costs: Vec<Cost>,
}

#[derive(Debug, Serialize)]
struct Cost {
    payload_bytes: u32,
    ns_per_packet: Spread,
    ticks_per_packet: Spread,
}

/// Measures all ops, adds what they cost to `report`, and keeps it in the file at `path`.
pub(super) fn add(report: &mut Report, path: &Path, trials: usize) {
    let mut costs = Costs::default();
    let mut rows = Vec::new();
    for text in names() {
        if interrupt::asked() {
            report.notes.push("interrupted: cost classes were not kept".into());
            return;
        }
        let Ok(program) = Program::parse(&text) else {
            report.notes.push(format!("{text}: not measured: it needs an argument"));
            continue;
        };
        let engine = program.engines().next().is_some();
        let levels = if engine { vec![Isa::detect()] } else { Isa::all_available() };
        for isa in levels {
            match row(&program, isa, engine, trials) {
                Ok(row) => {
                    if isa == Isa::detect() {
                        keep(&mut costs, &program, &row);
                    }
                    rows.push(row);
                }
                Err(error) => report.notes.push(format!("{text}: not measured: {error}")),
            }
        }
    }
    report.tables.push(table(&rows));
    report.plots.push(plot(&rows));
    report.figures.extend(figures(&rows));
    match costs.store(path) {
        Ok(()) => report.notes.push(format!("Cost classes are kept in {}.", path.display())),
        Err(error) => report.notes.push(format!("cost classes were not kept: {error}")),
    }
    let raw = serde_json::to_value(&rows).unwrap_or_default();
    report.raw = serde_json::json!({ "rows": report.raw.take(), "costs": raw });
}

/// The ops above, `cst` of each language, and any other op that this build knows.
fn names() -> Vec<String> {
    let known = || BYTES.iter().chain(&ENGINES).copied();
    let head = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
    let others = OPS.iter().filter(|op| !known().any(|text| head(text) == op.name));
    let mut names: Vec<String> = known().map(str::to_owned).collect();
    names.extend(Registry::shared().names().iter().map(|lang| format!("cst:{lang}")));
    names.extend(others.map(|op| op.name.to_owned()));
    names
}

fn row(program: &Program, isa: Isa, engine: bool, trials: usize) -> Result<Row, String> {
    let mut costs = Vec::new();
    for payload_bytes in PAYLOADS {
        let once = |_| measure(program, payload_bytes, isa).map_err(|error| error.to_string());
        let taken = (0..trials).map(once).collect::<Result<Vec<CostClass>, String>>()?;
        let spread = |of: fn(&CostClass) -> f64| Spread::of(taken.iter().map(of).collect());
        costs.push(Cost {
            payload_bytes,
            ns_per_packet: spread(|cost| cost.ns_per_packet),
            ticks_per_packet: spread(|cost| cost.ticks_per_packet),
        });
    }
    let level = if engine { "own".to_owned() } else { isa.to_string() };
    Ok(Row { op: program.to_string(), level, costs })
}

fn keep(costs: &mut Costs, program: &Program, row: &Row) {
    let sample = |cost: &Cost| Sample {
        payload_bytes: cost.payload_bytes,
        ns_per_packet: cost.ns_per_packet.median,
        ticks_per_packet: cost.ticks_per_packet.median,
    };
    if let [op] = program.ops() {
        costs.insert(op, row.costs.iter().map(sample).collect());
    }
}

fn table(rows: &[Row]) -> Table {
    let lengths = PAYLOADS.map(|bytes| format!("{bytes} B"));
    let mut head = vec!["op", "level"];
    head.extend(lengths.iter().map(String::as_str));
    head.push("cycles/B");
    let title = "Cost classes: ticks of the time-stamp counter for each packet, by payload; a byte's at the longest:";
    let mut table = Table::new(title, &head);
    for row in rows {
        let mut cells = vec![row.op.clone(), row.level.clone()];
        cells.extend(row.costs.iter().map(|cost| format!("{:.1}", cost.ticks_per_packet.median)));
        let last = row
            .costs
            .last()
            .map_or(0.0, |cost| cost.ticks_per_packet.median / f64::from(cost.payload_bytes));
        cells.push(format!("{last:.3}"));
        table.row(cells);
    }
    table
}

fn plot(rows: &[Row]) -> Plot {
    let series = rows.iter().map(|row| Series {
        name: format!("{}, {}", row.op, row.level),
        points: row
            .costs
            .iter()
            .map(|cost| Point::at(f64::from(cost.payload_bytes), &cost.ticks_per_packet))
            .collect(),
    });
    Plot {
        id: "op-costs".into(),
        title: "Cost of an op by length of payload".into(),
        x: Axis::logarithmic("payload", "B"),
        y: Axis::logarithmic("cost", "ticks/packet"),
        shape: Shape::Lines,
        references: Vec::new(),
        series: series.collect(),
    }
}

fn figures(rows: &[Row]) -> impl Iterator<Item = Figure> + '_ {
    rows.iter().flat_map(|row| {
        row.costs.iter().map(|cost| {
            let name = format!("cost of {}, {}, {} B", row.op, row.level, cost.payload_bytes);
            Figure::cost(name, "ns/packet", &cost.ns_per_packet)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_op_is_tried_and_known_by_another_folder_and_other_settings() {
        let mut costs = Costs::default();
        for text in names() {
            let program = Program::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let cost = measure(&program, 256, Isa::detect()).expect("can be tried");
            assert!(cost.ns_per_packet > 0.0, "{text}: {cost:?}");
            let CostClass { ns_per_packet, ticks_per_packet } = cost;
            let sample = Sample { payload_bytes: 256, ns_per_packet, ticks_per_packet };
            costs.insert(&program.ops()[0], vec![sample]);
        }
        let classes: Vec<&String> = costs.ops().keys().collect();
        for op in &OPS {
            let has = |class: &&&String| class.split(':').next() == Some(op.name);
            assert!(classes.iter().any(|class| has(&class)), "{} is none of {classes:?}", op.name);
        }
        for text in [
            "vec:/elsewhere,fsync=never",
            "pvrt:/elsewhere",
            "kv,dir=/elsewhere",
            "cst:rust,mode=flow",
        ] {
            let program = Program::parse(text).expect("an op");
            assert!(costs.of(&program, 1000).is_some(), "{text} is none of {classes:?}");
        }
    }
}
