//! A row's figures as they are drawn.

use std::collections::BTreeSet;

use super::row::Row;
use super::search::{Found, Outcome};
use crate::report::{Axis, Plot, Point, Series, Shape};
use crate::stats::Spread;

/// Shares of frames whose waits are drawn.
const SHARES: [f64; 12] =
    [0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999];

/// The plots of the rows of one frame size; those without a point are left out.
pub(super) fn of_size(size: &str, rows: &[&Row]) -> Vec<Plot> {
    let bytes = if size == "imix" { "IMIX".to_owned() } else { format!("{size} B") };
    let mut plots = vec![
        top_speed(size, &bytes, rows),
        searched(size, &bytes, rows),
        curve(size, &bytes, rows),
        losses(size, &bytes, rows),
    ];
    let mut loads: Vec<&str> = Vec::new();
    for waited in rows.iter().flat_map(|row| &row.latency) {
        if !loads.contains(&waited.load.as_str()) {
            loads.push(&waited.load);
        }
    }
    plots.extend(loads.iter().map(|load| waits(size, &bytes, load, rows)));
    plots.retain(|plot| plot.series.iter().any(|series| !series.points.is_empty()));
    plots
}

fn note(row: &Row) -> String {
    row.granted.as_ref().map_or_else(String::new, |granted| format!("granted: {}", granted.mode))
}

fn top_speed(size: &str, bytes: &str, rows: &[&Row]) -> Plot {
    let measured = rows.iter().filter(|row| !row.mrr.is_empty());
    let point = |(at, row): (usize, &&Row)| {
        let sent = format!("sender {:.0} kpps", row.sent_kpps().median);
        let note = [note(row), sent].into_iter().filter(|part| !part.is_empty());
        Point {
            note: note.collect::<Vec<_>>().join("; "),
            ..Point::named(row.name, at, &row.kpps())
        }
    };
    Plot {
        id: format!("{size}-mrr"),
        title: format!("{bytes}: delivered at the sender's top speed (MRR)"),
        y: Axis::linear("delivered", "kpps"),
        shape: Shape::Bars,
        series: vec![Series {
            name: "MRR".to_owned(),
            points: measured.enumerate().map(point).collect(),
        }],
        ..Plot::default()
    }
}

fn searched(size: &str, bytes: &str, rows: &[&Row]) -> Plot {
    let rows: Vec<&&Row> = rows.iter().filter(|row| row.searched.is_some()).collect();
    let series = ["NDR", "PDR"].map(|goal| {
        let point = |(at, row): (usize, &&&Row)| {
            let found = row.found(goal)?;
            let spread = bounds(found)?;
            let note = words(row, found).to_owned();
            Some(Point { note, ..Point::named(row.name, at, &spread) })
        };
        Series {
            name: goal.to_owned(),
            points: rows.iter().enumerate().filter_map(point).collect(),
        }
    });
    Plot {
        id: format!("{size}-ndr-pdr"),
        title: format!("{bytes}: highest rate without loss (NDR) and with 0.5 % (PDR)"),
        y: Axis::linear("rate; whisker: the bounds", "kpps"),
        shape: Shape::Bars,
        series: series.into(),
        ..Plot::default()
    }
}

/// What came through at the lower bound, between the bounds.
fn bounds(found: &Found) -> Option<Spread> {
    let (rate, lower) = (found.throughput?, found.lower?);
    let upper = found.upper.unwrap_or(lower);
    let kpps = |rate: f64| rate / 1e3;
    let least = kpps(lower.min(rate));
    Some(Spread { median: kpps(rate), least, most: kpps(upper), samples: Vec::new() })
}

/// How a search ended.
fn words(row: &Row, found: &Found) -> &'static str {
    match found.outcome {
        _ if row.sender_was_limit(found) => "the sender was the limit",
        Outcome::Found | Outcome::AtMost => "both bounds found",
        Outcome::BelowLeast => "below the lowest load",
        Outcome::OutOfTrials => "trials ran out before the bounds met",
    }
}

fn curve(size: &str, bytes: &str, rows: &[&Row]) -> Plot {
    let series = rows.iter().filter(|row| !row.curve.is_empty()).map(|row| {
        let mut points: Vec<Point> = row
            .curve
            .iter()
            .map(|trial| {
                let short =
                    if trial.sender_short { "; the sender did not keep its load" } else { "" };
                Point {
                    note: format!("{:.2} % lost{short}", trial.loss_ratio() * 100.0),
                    ..Point::exact(trial.sent_rate() / 1e3, trial.rate() / 1e3)
                }
            })
            .collect();
        let top = Point::exact(row.sent_kpps().median, row.kpps().median);
        points.push(Point { note: "top speed".to_owned(), ..top });
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        Series { name: row.name.to_owned(), points }
    });
    Plot {
        id: format!("{size}-curve"),
        title: format!("{bytes}: delivered at rising load"),
        x: Axis::linear("sent", "kpps"),
        y: Axis::linear("delivered", "kpps"),
        series: series.collect(),
        ..Plot::default()
    }
}

fn losses(size: &str, bytes: &str, rows: &[&Row]) -> Plot {
    let measured: Vec<&&Row> = rows.iter().filter(|row| !row.mrr.is_empty()).collect();
    let causes: BTreeSet<&String> =
        measured.iter().flat_map(|row| &row.mrr).flat_map(|trial| trial.lost.keys()).collect();
    let share = |row: &Row, of: &dyn Fn(&super::trial::Trial) -> u64| {
        let sent: u64 = row.mrr.iter().map(|trial| trial.sent).sum();
        row.mrr.iter().map(of).sum::<u64>() as f64 / sent.max(1) as f64 * 100.0
    };
    let series = |name: &str, of: &dyn Fn(&super::trial::Trial) -> u64| Series {
        name: name.to_owned(),
        points: measured
            .iter()
            .enumerate()
            .map(|(at, row)| Point {
                label: row.name.to_owned(),
                ..Point::exact(at as f64, share(row, of))
            })
            .collect(),
    };
    let mut all: Vec<Series> = causes
        .into_iter()
        .map(|cause| series(cause, &|trial| trial.lost.get(cause).copied().unwrap_or(0)))
        .collect();
    all.push(series("unaccounted", &|trial| trial.unaccounted.max(0).unsigned_abs()));
    Plot {
        id: format!("{size}-loss"),
        title: format!("{bytes}: loss by cause at top speed"),
        y: Axis::linear("of the frames sent", "%"),
        shape: Shape::Stacked,
        series: all,
        ..Plot::default()
    }
}

fn waits(size: &str, bytes: &str, load: &str, rows: &[&Row]) -> Plot {
    let series = rows.iter().filter_map(|row| {
        let waited = row.latency.iter().find(|waited| waited.load == load)?;
        let point = |share: &f64| {
            let ns = waited.quantile(*share)?;
            Some(Point::percentile(*share, ns as f64 / 1e3))
        };
        let points = SHARES.iter().filter_map(point).collect();
        Some(Series { name: row.name.to_owned(), points })
    });
    let name: String = load.chars().filter(char::is_ascii_alphanumeric).collect();
    Plot {
        id: format!("{size}-latency-{}", name.to_lowercase()),
        title: format!("{bytes}: latency at {load}"),
        x: Axis::percentile("share of frames that waited no longer"),
        y: Axis::logarithmic("hand-over to poll", "µs"),
        series: series.collect(),
        ..Plot::default()
    }
}
