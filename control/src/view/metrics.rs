//! `/metrics`: the counters as Prometheus text.

use std::fmt::Write as _;

use pfs_dataplane::counters::{
    CounterDef, LaneTotals, ReceiverCounters, SourceCounters, StepCounters, WorkerCounters,
};
use pfs_dataplane::run::{LaneSnapshot, Snapshot};

use super::sample::Watched;

/// The counters of `run` in Prometheus' text format, as they are now.
pub(super) fn render(run: &Watched) -> String {
    let snapshot = &run.snapshot();
    let mut text = String::new();
    let named = |at: usize| run.receivers().get(at).map_or("?", |of| of.source.as_str());
    let source: Vec<_> = snapshot.receivers.iter().map(|(source, _)| source.values()).collect();
    let receiver: Vec<_> = snapshot.receivers.iter().map(|(_, own)| own.values()).collect();
    let worker: Vec<_> = snapshot.workers.iter().map(WorkerCounters::values).collect();
    family(&mut text, "source", SourceCounters::TABLE, &source, |at| {
        format!("receiver=\"{at}\",source=\"{}\"", escape(named(at)))
    });
    family(&mut text, "receiver", ReceiverCounters::TABLE, &receiver, |at| {
        format!("receiver=\"{at}\",source=\"{}\"", escape(named(at)))
    });
    family(&mut text, "worker", WorkerCounters::TABLE, &worker, |at| format!("worker=\"{at}\""));
    lanes(&mut text, snapshot);
    steps(&mut text, snapshot);
    engines(&mut text, snapshot);
    levels(&mut text, run, snapshot);
    text
}

/// What may fall again: everything else only grows.
fn levels(text: &mut String, run: &Watched, snapshot: &Snapshot) {
    let books = snapshot.books();
    for (name, help, value) in [
        ("in_flight_packets", "Packets handed to workers and not yet finished.", books.in_flight),
        ("residual_packets", "Packets that the books cannot account for.", books.residual),
    ] {
        let _ =
            write!(text, "# HELP pfs_{name} {help}\n# TYPE pfs_{name} gauge\npfs_{name} {value}\n");
    }
    gauge(text, "lane_queued_spans", "Spans in the forward ring.", &snapshot.lanes, |lane| {
        (lane_labels(lane), lane.totals.pushed.saturating_sub(lane.totals.taken))
    });
    let help = "Most spans that the forward ring was found to hold since the run began.";
    gauge(text, "lane_high_water_spans", help, &snapshot.lanes, |lane| {
        (lane_labels(lane), lane.high_water)
    });
    gauge(text, "lane_slots", "Slots of the forward ring.", &snapshot.lanes, |lane| {
        (lane_labels(lane), lane.slots as u64)
    });
    let pools: Vec<_> = run.receivers().iter().zip(&snapshot.receivers).enumerate().collect();
    let labels =
        |at: usize, source: &str| format!("receiver=\"{at}\",source=\"{}\"", escape(source));
    gauge(text, "pool_frames", "Frames that can be on loan at once.", &pools, |(at, (of, _))| {
        (labels(*at, &of.source), of.backend.frames.into())
    });
    gauge(text, "pool_frames_on_loan", "Frames on loan.", &pools, |(at, (of, (_, own)))| {
        (labels(*at, &of.source), own.lent.saturating_sub(own.returned))
    });
    waits(text, snapshot);
}

/// How long packets waited for each worker, since the run began.
fn waits(text: &mut String, snapshot: &Snapshot) {
    let mut rows = Vec::new();
    for (at, waits) in snapshot.waits.iter().enumerate() {
        let Some(latency) = waits.summary() else { continue };
        for (quantile, ns) in [
            ("0.5", latency.p50_ns),
            ("0.9", latency.p90_ns),
            ("0.99", latency.p99_ns),
            ("0.999", latency.p999_ns),
            ("1", latency.max_ns),
        ] {
            rows.push((format!("worker=\"{at}\",quantile=\"{quantile}\""), ns));
        }
    }
    let help = "How long packets waited for the worker, at most 1/16 too long; 1 is the longest.";
    gauge(text, "worker_wait_nanoseconds", help, &rows, |(labels, ns)| (labels.clone(), *ns));
}

/// One family of levels; none where there is no row.
fn gauge<T>(
    text: &mut String,
    name: &str,
    help: &str,
    rows: &[T],
    row: impl Fn(&T) -> (String, u64),
) {
    if rows.is_empty() {
        return;
    }
    let _ = write!(text, "# HELP pfs_{name} {help}\n# TYPE pfs_{name} gauge\n");
    for (labels, value) in rows.iter().map(row) {
        let _ = writeln!(text, "pfs_{name}{{{labels}}} {value}");
    }
}

fn lane_labels(lane: &LaneSnapshot) -> String {
    format!("receiver=\"{}\",worker=\"{}\"", lane.receiver, lane.worker)
}

fn lanes(text: &mut String, snapshot: &Snapshot) {
    if snapshot.lanes.is_empty() {
        return;
    }
    let rows: Vec<_> = snapshot.lanes.iter().map(|lane| lane.totals.values()).collect();
    family(text, "lane", LaneTotals::TABLE, &rows, |at| lane_labels(&snapshot.lanes[at]));
}

fn steps(text: &mut String, snapshot: &Snapshot) {
    let rows: Vec<_> = snapshot.steps.iter().map(|step| step.counters.values()).collect();
    family(text, "step", StepCounters::TABLE, &rows, |at| {
        let step = &snapshot.steps[at];
        let (rule, op) = (escape(&step.rule), escape(&step.ops));
        format!("worker=\"{}\",rule=\"{rule}\",op=\"{op}\"", step.worker)
    });
}

fn family(
    text: &mut String,
    group: &str,
    table: &[CounterDef],
    rows: &[impl AsRef<[u64]>],
    labels: impl Fn(usize) -> String,
) {
    for (column, def) in table.iter().enumerate() {
        let unit = def.unit.name();
        let stem = def.name.strip_suffix(unit).unwrap_or(def.name).trim_end_matches('_');
        let name = ["pfs", group, stem, unit, "total"].into_iter().filter(|part| !part.is_empty());
        let name = name.collect::<Vec<_>>().join("_");
        // Writing to a String cannot fail.
        let _ = write!(text, "# HELP {name} {}\n# TYPE {name} counter\n", def.help);
        for (at, row) in rows.iter().enumerate() {
            let _ = writeln!(text, "{name}{{{}}} {}", labels(at), row.as_ref()[column]);
        }
    }
}

/// Counters of engine ops, a family each, over all workers and rules that have them.
fn engines(text: &mut String, snapshot: &Snapshot) {
    let mut groups: Vec<(&str, &[CounterDef])> = Vec::new();
    for engine in &snapshot.engines {
        if groups.iter().all(|(group, _)| *group != engine.group) {
            groups.push((engine.group, engine.table));
        }
    }
    for (group, table) in groups {
        let mine: Vec<_> = snapshot.engines.iter().filter(|e| e.group == group).collect();
        let rows: Vec<&[u64]> = mine.iter().map(|engine| engine.values.as_slice()).collect();
        family(text, group, table, &rows, |at| {
            let engine = mine[at];
            let (rule, op) = (escape(&engine.rule), escape(&engine.op));
            format!("worker=\"{}\",rule=\"{rule}\",op=\"{op}\"", engine.worker)
        });
    }
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
