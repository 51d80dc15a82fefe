//! Tables, plots and targets of the multi-core bench.

use std::collections::BTreeMap;

use pfs_dataplane::pcpu::{Op, Program};

use super::ask::Settings;
use super::ground::Contender;
use super::member::Touch;
use super::spans::Mode;
use super::{Point, Row};
use crate::report::{Axis, Figure, Plot, Reference, Report, Series, Shape, Table, Target};
use crate::stats::Spread;

/// Largest range of one worker that counts as in cache: that of a core's own second level.
const IN_CACHE: u64 = 512 << 10;
/// Smallest that counts as in memory.
const IN_MEMORY: u64 = 64 << 20;
/// What workers behind lanes are to reach over scattered spans in memory, against plain threads.
const SCATTERED: f64 = 1.5;

pub(super) fn report(settings: &Settings, rows: &[Row]) -> Report {
    let mut report = Report::new("pcores");
    report.right = rows.iter().all(|row| row.right);
    let all = Rows(rows);
    report.tables = vec![all.points(), all.bounds()];
    report.plots = all.plots();
    report.figures = rows.iter().map(Row::figure).collect();
    report.targets = all.targets();
    report.notes = notes(settings, rows);
    report.notes.extend(all.out_of_reach());
    report.raw = serde_json::to_value(rows).unwrap_or_default();
    report
}

fn notes(settings: &Settings, rows: &[Row]) -> Vec<String> {
    let feeding = match settings.producers {
        0 => "each worker feeds its own lane: both ends of its rings are one thread".to_owned(),
        n => format!("{n} producers on cores of their own feed the workers"),
    };
    let mut notes = vec![format!("Members are {:?}; {feeding}.", settings.kind)];
    let repeated: usize = rows.iter().map(|row| row.repeated).sum();
    let disturbed: usize = rows.iter().map(|row| row.disturbed).sum();
    let trials: usize = rows.iter().map(|row| row.gb_per_s.samples.len()).sum();
    if let Some(worst) = rows.iter().map(|row| row.disturbance).reduce(|a, b| a.worse(b)) {
        notes.push(format!(
            "{disturbed} of {trials} trials count though disturbed, {repeated} were made again; at worst {}.",
            worst.text()
        ));
    }
    notes
}

struct Rows<'a>(&'a [Row]);

/// Rates of one row over those of another, round by round.
fn ratio(over: &Row, under: Option<&Row>) -> Option<Spread> {
    let under = &under?.gb_per_s.samples;
    let pairs = over.gb_per_s.samples.iter().zip(under);
    let ratios: Vec<f64> = pairs.map(|(over, under)| over / under.max(f64::MIN_POSITIVE)).collect();
    (!ratios.is_empty()).then(|| Spread::of(ratios))
}

fn text(ratio: Option<Spread>) -> String {
    ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{:.2}", ratio.median))
}

impl Point {
    fn spans(&self) -> String {
        let dpf =
            if self.shape.dpf == 1 { String::new() } else { format!(" × {}", self.shape.dpf) };
        match self.shape.mode {
            Mode::Contiguous => format!("{} B{dpf}", self.shape.span_bytes()),
            Mode::Scattered => {
                let align = self.shape.align;
                format!("{align}–{} B scattered{dpf}", align * 5 - 1)
            }
        }
    }

    /// What stays the same when workers are added.
    fn key(&self) -> String {
        let Self { program, range, ring_slots, burst, .. } = self;
        format!("{program}, {}, {}, {ring_slots}/{burst}", self.spans(), size(*range))
    }

    /// Which bound its program has: bytes are read, or read and written.
    fn touch(&self) -> Touch {
        let changes = |op: &Op| matches!(op, Op::Xor(_) | Op::Add(_));
        let program = Program::parse(&self.program);
        if program.is_ok_and(|program| program.ops().iter().any(changes)) {
            Touch::ReadWrite
        } else {
            Touch::Read
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0 => "as placed".into(),
        b if b >= 1 << 20 => format!("{} MiB", b >> 20),
        b => format!("{} KiB", b.div_ceil(1024)),
    }
}

impl Rows<'_> {
    fn rings(&self) -> impl Iterator<Item = (&Row, &Point)> {
        let rings = self.0.iter().filter(|row| row.contender == Contender::Rings);
        rings.filter_map(|row| Some((row, row.point.as_ref()?)))
    }

    /// Another contender, or another number of workers, at the same point.
    fn beside(&self, point: &Point, contender: Contender, workers: usize) -> Option<&Row> {
        self.0.iter().find(|row| {
            row.contender == contender
                && row.workers == workers
                && row.point.as_ref().is_some_and(|other| other.key() == point.key())
        })
    }

    /// The best way to touch memory by as many workers.
    fn bound(&self, workers: usize, range: u64, touch: Touch) -> Option<&Row> {
        let here = self.0.iter().filter(|row| (row.workers, row.range) == (workers, range));
        let ways = here.filter(|row| matches!(row.contender, Contender::Bound(t, _) if t == touch));
        ways.max_by(|a, b| a.gb_per_s.median.total_cmp(&b.gb_per_s.median))
    }

    /// What memory gives of a point's spans: scattered ones are held against their own lines.
    fn most(&self, row: &Row, point: &Point) -> Option<&Row> {
        let lines = [false, true].map(Contender::Lines);
        let here = lines.into_iter().filter_map(|ways| self.beside(point, ways, row.workers));
        let best = here.max_by(|a, b| a.gb_per_s.median.total_cmp(&b.gb_per_s.median));
        best.or_else(|| self.bound(row.workers, point.range, point.touch()))
    }

    /// What scattered spans allow at most, where it is less than the target asks.
    fn out_of_reach(&self) -> Vec<String> {
        let note = |(row, point): (&Row, &Point)| {
            let plain = self.beside(point, Contender::Plain, row.workers)?;
            let most = ratio(self.most(row, point)?, Some(plain))?.median;
            let asked = point.shape.mode == Mode::Scattered && point.range >= IN_MEMORY;
            (asked && most < SCATTERED).then(|| {
                format!(
                    "{}, {} workers: a loop that loads one byte of each line of these spans, and does nothing else, goes {most:.2} × plain threads here: {SCATTERED} × is more than this memory gives.",
                    point.key(), row.workers
                )
            })
        };
        self.rings().filter_map(note).collect()
    }

    fn points(&self) -> Table {
        let head = [
            "workers",
            "program",
            "spans",
            "range each",
            "slots/burst",
            "GB/s",
            "M spans/s",
            "cycles/B",
            "of bound",
            "efficiency",
            "/ plain",
            "/ plain, prefetch",
            "CPUpwn",
            "",
        ];
        let title = "Workers behind lanes (of scattered spans the bound is a loop that loads one byte of each of their lines; CPUpwn as its original defines it: over as many threads on one core; the honest ones are / plain):";
        let mut table = Table::new(title, &head);
        for (row, point) in self.rings() {
            let workers = row.workers;
            let beside = |contender| ratio(row, self.beside(point, contender, workers));
            let one = ratio(row, self.beside(point, Contender::Rings, 1));
            let efficiency = one.map(|one| format!("{:.2}", one.median / workers as f64));
            let mark = match (row.right, row.disturbed) {
                (false, _) => "WRONG".to_owned(),
                (true, 0) => String::new(),
                (true, n) => format!("disturbed {n}/{}", row.gb_per_s.samples.len()),
            };
            table.row(vec![
                workers.to_string(),
                point.program.clone(),
                point.spans(),
                size(point.range),
                format!("{}/{}", point.ring_slots, point.burst),
                row.gb_per_s.text(2),
                format!("{:.2}", row.spans_per_s.median / 1e6),
                format!("{:.3}", row.ticks_per_byte.median),
                text(ratio(row, self.most(row, point))),
                efficiency.unwrap_or_else(|| "–".into()),
                text(beside(Contender::Plain)),
                text(beside(Contender::PlainAhead)),
                text(beside(Contender::OneCore)),
                mark,
            ]);
        }
        table
    }

    fn bounds(&self) -> Table {
        let head = ["workers", "range each", "read", "write", "read and write"];
        let mut table = Table::new("The memory's own bounds in the same run, GB/s:", &head);
        let mut places: Vec<(usize, u64)> =
            self.0.iter().map(|row| (row.workers, row.range)).collect();
        places.sort_unstable();
        places.dedup();
        for (workers, range) in places {
            let cell = |touch| {
                let bound = self.bound(workers, range, touch);
                bound.map_or_else(|| "–".into(), |row| row.gb_per_s.text(1))
            };
            table.row(vec![
                workers.to_string(),
                size(range),
                cell(Touch::Read),
                cell(Touch::Write),
                cell(Touch::ReadWrite),
            ]);
        }
        table
    }

    fn plots(&self) -> Vec<Plot> {
        let mut plots = vec![self.scaling(), self.roofline()];
        for (id, title, x, of) in [
            ("pcores-span", "Rate by length of spans", "span", Sweep::Span),
            ("pcores-ring", "Rate by slots of rings", "slots", Sweep::Ring),
            ("pcores-burst", "Rate by burst", "burst", Sweep::Burst),
        ] {
            plots.extend(self.sweep(id, title, x, of));
        }
        plots
    }

    /// Rate over workers, a line for each program over each kind of span, and the bounds.
    fn scaling(&self) -> Plot {
        let mut lines: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (row, point) in self.rings() {
            lines.entry(point.key()).or_default().push(row.point_at(row.workers as f64));
        }
        for row in self.0 {
            let Contender::Bound(touch, _) = row.contender else { continue };
            let best = self.bound(row.workers, row.range, touch);
            if best.is_some_and(|best| std::ptr::eq(best, row)) {
                let name = format!("bound: {}, {}", touch.name(), size(row.range));
                lines.entry(name).or_default().push(row.point_at(row.workers as f64));
            }
        }
        plot("pcores-scaling", "Rate by number of workers", Axis::linear("workers", ""), lines)
    }

    /// Share of the bound, a bar for each point.
    fn roofline(&self) -> Plot {
        let mut series: BTreeMap<String, Vec<_>> = BTreeMap::new();
        let mut names: Vec<String> = Vec::new();
        for (row, point) in self.rings() {
            let Some(share) = ratio(row, self.most(row, point)) else { continue };
            let key = point.key();
            let index = names.iter().position(|name| *name == key).unwrap_or(names.len());
            if index == names.len() {
                names.push(key.clone());
            }
            let bar = crate::report::Point::named(&key, index, &share);
            let workers = row.workers;
            let plural = if workers == 1 { "" } else { "s" };
            series.entry(format!("{workers} worker{plural}")).or_default().push(bar);
        }
        Plot {
            id: "pcores-roofline".into(),
            title: "Share of the memory's own speed, measured in the same run".into(),
            x: Axis::linear("program, spans, range", ""),
            y: Axis::linear("share of bound", ""),
            shape: Shape::Bars,
            series: lines(series),
            references: vec![Reference { name: "the memory's own speed".into(), y: 1.0 }],
        }
    }

    /// Rate over one swept parameter; nothing where it was not swept.
    fn sweep(&self, id: &str, title: &str, x: &str, of: Sweep) -> Option<Plot> {
        let mut series: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (row, point) in self.rings() {
            if let Some((at, rest)) = of.split(point) {
                let name = format!("{} × {rest}", row.workers);
                series.entry(name).or_default().push(row.point_at(at));
            }
        }
        series.values_mut().for_each(|points| points.sort_by(|a, b| a.x.total_cmp(&b.x)));
        let swept = series.values().any(|points| points.len() > 1);
        swept.then(|| plot(id, title, Axis::logarithmic(x, of.unit()), series))
    }

    fn targets(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        for (row, point) in self.rings() {
            let what = |what: &str| format!("{what}: {}, {} workers", point.key(), row.workers);
            let times = |ratio: &Spread| format!("{} ×", ratio.text(2));
            let mut add = |name: &str, target: String, ratio: Option<Spread>, wanted: f64| {
                if let Some(ratio) = ratio {
                    let (measured, median) = (times(&ratio), ratio.median);
                    targets.push(Target::at_least(&what(name), target, measured, median, wanted));
                }
            };
            let digest = ["crc32c", "fnv64"].contains(&point.program.as_str());
            let long = point.shape.mode == Mode::Contiguous && point.shape.span_bytes() >= 4096;
            if row.workers == 2 && digest && long && point.range <= IN_CACHE {
                let one = ratio(row, self.beside(point, Contender::Rings, 1));
                add("scaling", "≥ 1.9 × one worker".into(), one, 1.9);
            }
            if row.workers > 1 && long && point.range >= IN_MEMORY {
                let bound = ratio(row, self.bound(row.workers, point.range, point.touch()));
                add("of the bound", "≥ 0.9 ×".into(), bound, 0.9);
            }
            let plain = ratio(row, self.beside(point, Contender::Plain, row.workers));
            if long && point.shape.span_bytes() == 4096 {
                add("rings / plain threads", "≥ 0.95 ×".into(), plain, 0.95);
            } else if point.shape.mode == Mode::Scattered && point.range >= IN_MEMORY {
                add("rings / plain threads", format!("≥ {SCATTERED} ×"), plain, SCATTERED);
            }
        }
        targets
    }
}

/// What is swept in a plot.
#[derive(Clone, Copy)]
enum Sweep {
    Span,
    Ring,
    Burst,
}

impl Sweep {
    /// Where a point lies, and what else it is.
    fn split(self, point: &Point) -> Option<(f64, String)> {
        let Point { program, range, ring_slots, burst, .. } = point;
        let (spans, range) = (point.spans(), size(*range));
        Some(match self {
            Self::Span if point.shape.mode == Mode::Scattered => return None,
            Self::Span => (
                f64::from(point.shape.span_bytes()),
                format!("{program}, {range}, {ring_slots}/{burst}"),
            ),
            Self::Ring => (*ring_slots as f64, format!("{program}, {spans}, {range}, /{burst}")),
            Self::Burst => (*burst as f64, format!("{program}, {spans}, {range}, {ring_slots}/")),
        })
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Span => "B",
            Self::Ring => "",
            Self::Burst => "descriptors",
        }
    }
}

impl Contender {
    fn name(self) -> String {
        match self {
            Self::Rings => "rings".into(),
            Self::Plain => "plain threads".into(),
            Self::PlainAhead => "plain threads with prefetch".into(),
            Self::OneCore => "plain threads on one core".into(),
            Self::Lines(false) => "bound: lines of spans".into(),
            Self::Lines(true) => "bound: lines of spans with prefetch".into(),
            Self::Bound(touch, false) => format!("bound: {}", touch.name()),
            Self::Bound(touch, true) => format!("bound: {} with prefetch", touch.name()),
        }
    }
}

impl Touch {
    const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::ReadWrite => "read and write",
        }
    }
}

impl Row {
    fn figure(&self) -> Figure {
        let what = match &self.point {
            Some(point) => point.key(),
            None => size(self.range),
        };
        let name = format!("{}, {} workers, {what}", self.contender.name(), self.workers);
        Figure::rate(name, "GB/s", &self.gb_per_s)
    }

    fn point_at(&self, x: f64) -> crate::report::Point {
        let note = if self.disturbed > 0 {
            format!("disturbed: {}", self.disturbance.text())
        } else {
            String::new()
        };
        crate::report::Point { note, ..crate::report::Point::at(x, &self.gb_per_s) }
    }
}

fn lines(series: BTreeMap<String, Vec<crate::report::Point>>) -> Vec<Series> {
    series.into_iter().map(|(name, points)| Series { name, points }).collect()
}

fn plot(
    id: &str,
    title: &str,
    x: Axis,
    series: BTreeMap<String, Vec<crate::report::Point>>,
) -> Plot {
    Plot {
        id: id.to_owned(),
        title: title.to_owned(),
        x,
        y: Axis::logarithmic("rate", "GB/s"),
        shape: Shape::Lines,
        series: lines(series),
        ..Plot::default()
    }
}
