//! What the projection to line rates starts from: the pipeline's own figures.

use serde::{Deserialize, Serialize};

use super::Report;
use crate::stats::Spread;

/// Group whose rows give cycles a packet.
const GROUP: &str = "pipeline";
/// Line rates that are projected to, in Gbit/s.
const RATES: [u32; 4] = [10, 25, 100, 400];
/// Mean size of 28 frames of 64 B, 16 of 570 B and 4 of 1518 B, check sequences counted.
const IMIX_BYTES: f64 = (28.0 * 64.0 + 16.0 * 570.0 + 4.0 * 1518.0) / 48.0;

/// The figures that a page's projection is reckoned from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Projection {
    /// Billions of ticks a second of the counter that cycles are ticks of.
    pub(super) ghz: f64,
    /// Line rates in Gbit/s.
    pub(super) rates: Vec<u32>,
    /// Frame sizes, and the cycles of a packet in the first mode.
    pub(super) sizes: Vec<Size>,
    /// Ways to lay the work out; each has the cycles of all sizes.
    pub(super) modes: Vec<Mode>,
}

/// One frame size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Size {
    pub(super) name: String,
    /// Bytes of a frame with its check sequence; of a mix, the mean.
    pub(super) bytes: f64,
    /// Cycles of a packet.
    pub(super) cycles: f64,
}

/// One way to lay the work out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Mode {
    pub(super) name: &'static str,
    /// Cores that one lane takes.
    pub(super) cores: u32,
    /// Cycles of a packet, by size.
    pub(super) cycles: Vec<f64>,
}

/// A row of the pipeline's raw figures, as far as it matters here.
#[derive(Deserialize)]
struct Row {
    size: String,
    mode: String,
    packets_per_second: Spread,
    cycles_per_packet: Spread,
}

/// The projection's start from the first pipeline report among `reports`; `None` without any, or
/// when its rows are not of the known form.
pub(super) fn from(reports: &[Report]) -> Option<Projection> {
    let report = reports.iter().find(|report| report.group == GROUP && report.right)?;
    let raw = report.raw.get("rows").unwrap_or(&report.raw);
    let rows: Vec<Row> = serde_json::from_value(raw.clone()).ok()?;
    let of_mode = |name: &str| -> Vec<&Row> {
        let rows = rows.iter().filter(|row| row.mode == name && row.cycles_per_packet.median > 0.0);
        rows.collect()
    };
    let one = of_mode("run_to_completion");
    let cycles =
        |rows: &[&Row]| rows.iter().map(|row| round(row.cycles_per_packet.median)).collect();
    let mut modes =
        vec![Mode { name: "run to completion, 1 core a lane", cores: 1, cycles: cycles(&one) }];
    let two = of_mode("pipeline");
    if two.iter().map(|row| &row.size).eq(one.iter().map(|row| &row.size)) {
        let name = "pipeline, 2 cores a lane";
        modes.push(Mode { name, cores: 2, cycles: cycles(&two) });
    }
    let ticks = |row: &&Row| row.packets_per_second.median * row.cycles_per_packet.median / 1e9;
    let ghz = Spread::of(one.iter().map(ticks).collect()).median;
    let size = |row: &&Row| {
        let bytes = if row.size == "imix" { Some(IMIX_BYTES) } else { row.size.parse().ok() };
        let name = if row.size == "imix" { "IMIX".to_owned() } else { format!("{} B", row.size) };
        Some(Size { name, bytes: bytes?, cycles: round(row.cycles_per_packet.median) })
    };
    let sizes: Option<Vec<Size>> = one.iter().map(size).collect();
    let sizes = sizes.filter(|sizes| !sizes.is_empty())?;
    Some(Projection { ghz: (ghz * 1e3).round() / 1e3, rates: RATES.to_vec(), sizes, modes })
}

/// To a tenth of a cycle, which is more than such a figure is known to.
fn round(cycles: f64) -> f64 {
    (cycles * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(modes: &[&str]) -> Report {
        let spread = |value: f64| json!({"median": value, "least": value, "most": value, "samples": [value]});
        let row = |size: &str, mode: &str, cycles: f64| {
            json!({"size": size, "mode": mode, "packets_per_second": spread(3e9 / cycles),
                   "cycles_per_packet": spread(cycles), "right": true})
        };
        let sizes = [("64", 100.04), ("imix", 200.0), ("1518", 400.0)];
        let rows: Vec<_> = modes
            .iter()
            .flat_map(|mode| sizes.map(|(size, cycles)| row(size, mode, cycles)))
            .collect();
        Report { group: GROUP.to_owned(), right: true, raw: json!(rows), ..Report::default() }
    }

    #[test]
    fn cycles_come_from_the_pipelines_rows() {
        let projection = from(&[report(&["pipeline", "run_to_completion"])]).expect("rows");
        assert_eq!(projection.ghz, 3.0);
        let names: Vec<&str> = projection.sizes.iter().map(|size| size.name.as_str()).collect();
        assert_eq!(names, ["64 B", "IMIX", "1518 B"]);
        assert_eq!(projection.sizes[0].cycles, 100.0);
        assert!((projection.sizes[1].bytes - 353.833).abs() < 0.001);
        assert_eq!(projection.modes.len(), 2);
        assert_eq!((projection.modes[1].cores, projection.modes[1].cycles.len()), (2, 3));
    }

    #[test]
    fn without_right_figures_there_is_none() {
        assert_eq!(from(&[]), None);
        assert_eq!(from(&[report(&["pipeline"])]), None);
        assert_eq!(from(&[Report { right: false, ..report(&["run_to_completion"]) }]), None);
        assert_eq!(from(&[Report { raw: json!({"other": 1}), ..report(&[]) }]), None);
    }
}
