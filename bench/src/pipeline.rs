//! The whole way from a source in memory to a program's digest, by stage.
//!
//! Each repetition is two runs: one with no clock read inside gives the rate, one with a look at
//! the counter after every stage of a batch gives the stages.

use std::collections::BTreeMap;

use pfs_dataplane::packet::Rule;
use pfs_dataplane::receivers::Receiver;
use pfs_dataplane::receivers::memory::{MemoryReceiver, MemorySpec};
use pfs_dataplane::run::{ReceiverSlot, RunReport, RunSpec, Workers, start};
use pfs_dataplane::transmitters::frames::{FrameSize, GenerateSpec};
use serde::Serialize;

use crate::host::{cycles, two_cores};
use crate::interrupt;
use crate::report::{Axis, Figure, PlanHash, Plot, Point, Report, Series, Shape, Table, Target};
use crate::spec::spec;
use crate::stats::{Shuffle, Spread};

/// Bytes before the payload: Ethernet, IPv4 and UDP headers.
const HEADERS: usize = 42;
const PROGRAM: &str = "crc32c";
const STAGES: [&str; 6] = ["poll", "classify", "steer", "recycle", "lane", "program"];

/// What to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Packets of each run.
    pub packets: u64,
    /// Runs of each row.
    pub rounds: usize,
    /// Slots of the lane's forward ring.
    pub ring_slots: u32,
    /// Different frames.
    pub frames: u32,
}

/// Where the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A worker on a core of its own, behind a lane.
    Pipeline,
    /// The receiver's thread.
    RunToCompletion,
}

/// One size in one mode, over all rounds.
#[derive(Clone, Debug, Serialize)]
struct Row {
    size: String,
    mode: Mode,
    /// Packets a second of the runs without a clock inside.
    packets_per_second: Spread,
    /// Ticks of the time-stamp counter from start to end, a packet.
    cycles_per_packet: Spread,
    /// Ticks a packet by stage.
    stages: BTreeMap<&'static str, Spread>,
    /// Packets of one poll that found any.
    polled_together: Spread,
    /// Descriptors of one burst that the worker ran.
    run_together: Spread,
    right: bool,
}

/// A row before it is summed up.
struct Job {
    size: FrameSize,
    mode: Mode,
    expected: u64,
    rates: Vec<f64>,
    whole: Vec<f64>,
    stages: BTreeMap<&'static str, Vec<f64>>,
    polled: Vec<f64>,
    run: Vec<f64>,
    right: bool,
}

/// Measures all sizes in both modes.
#[must_use]
pub fn run(settings: &Settings) -> Report {
    interrupt::watch();
    let mut report = Report::new("pipeline");
    let sizes = ["64", "imix", "1518"].map(|size| size.parse().expect("a size"));
    let modes = [Mode::Pipeline, Mode::RunToCompletion];
    let mut jobs: Vec<Job> = sizes
        .into_iter()
        .flat_map(|size| modes.map(|mode| Job::new(settings, size, mode)))
        .collect();
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    let mut shuffle = Shuffle::default();
    // Round 0 warms up and is thrown away.
    for round in 0..=settings.rounds {
        shuffle.shuffle(&mut order);
        for &at in order.iter().take_while(|_| !interrupt::asked()) {
            if let Err(error) = jobs[at].repeat(settings, round > 0) {
                report.notes.push(format!("{} {:?}: {error}", jobs[at].size, jobs[at].mode));
                jobs[at].right = false;
            }
        }
    }
    let measured = jobs.into_iter().filter(|job| !job.rates.is_empty() || !job.right);
    let rows: Vec<Row> = measured.map(Job::sum_up).collect();
    report.right = rows.iter().all(|row| row.right);
    report.tables = vec![rates(&rows), stages(&rows)];
    report.plots = plots(&rows);
    report.figures = figures(&rows);
    for core in two_cores() {
        report.grants.pinned("receiver or worker", core);
    }
    for row in &rows {
        let what = format!("{} {}", row.size, row.mode.name());
        report.plans.push(PlanHash::of(&what, &planned(settings, row)));
    }
    report.targets = vec![Target::holds(
        "memory → steer → ring → `crc32c`",
        "cycles by stage at 64 B, IMIX, 1518 B; digests right",
        format!("{} rows", rows.len()),
        report.right,
    )];
    report.notes.push(
        "Allocations on the packet path: none; held by the test `dataplane/tests/zero_alloc.rs`."
            .to_owned(),
    );
    report.raw = serde_json::to_value(&rows).unwrap_or_default();
    report
}

impl Job {
    fn new(settings: &Settings, size: FrameSize, mode: Mode) -> Self {
        let generate = generate(settings, size);
        Self {
            size,
            mode,
            expected: expected(&generate, settings.packets),
            rates: Vec::new(),
            whole: Vec::new(),
            stages: BTreeMap::new(),
            polled: Vec::new(),
            run: Vec::new(),
            right: true,
        }
    }

    fn repeat(&mut self, settings: &Settings, counts: bool) -> Result<(), String> {
        let (plain, ticks) = self.once(settings, false)?;
        let (timed, _) = self.once(settings, true)?;
        if !counts {
            return Ok(());
        }
        let packets = settings.packets as f64;
        self.rates.push(packets / plain.elapsed_s);
        self.whole.push(ticks as f64 / packets);
        let receiver = timed.receivers.first().ok_or("no receiver in the report")?.counters;
        let worker = timed.workers.first().ok_or("no worker in the report")?.counters;
        let spent = [
            receiver.poll_cycles,
            receiver.classify_cycles,
            receiver.steer_cycles,
            receiver.recycle_cycles,
            worker.lane_cycles,
            worker.program_cycles,
        ];
        for (stage, cycles) in STAGES.into_iter().zip(spent) {
            self.stages.entry(stage).or_default().push(cycles as f64 / packets);
        }
        self.polled.push(packets / receiver.polls.max(1) as f64);
        self.run.push(packets / worker.batches.max(1) as f64);
        Ok(())
    }

    /// One run and its ticks, answer checked.
    fn once(
        &mut self,
        settings: &Settings,
        stage_cycles: bool,
    ) -> Result<(RunReport, u64), String> {
        let spec = plan(settings, generate(settings, self.size), self.mode, stage_cycles)?;
        let before = cycles();
        let running = start(spec).map_err(|error| error.to_string())?;
        let report = running.join();
        let ticks = cycles().wrapping_sub(before);
        let digest = report.results.first().and_then(|rule| rule.results.get(PROGRAM));
        let books = report.books;
        if digest != Some(self.expected) {
            return Err(format!("digest {digest:?}, expected {}", self.expected));
        }
        if books.consumed != settings.packets || books.residual != 0 || !report.errors.is_empty() {
            return Err(format!("{books:?} {:?}", report.errors));
        }
        Ok((report, ticks))
    }

    fn sum_up(self) -> Row {
        Row {
            size: self.size.to_string(),
            mode: self.mode,
            packets_per_second: Spread::of(self.rates),
            cycles_per_packet: Spread::of(self.whole),
            stages: self.stages.into_iter().map(|(name, all)| (name, Spread::of(all))).collect(),
            polled_together: Spread::of(self.polled),
            run_together: Spread::of(self.run),
            right: self.right,
        }
    }
}

fn generate(settings: &Settings, size: FrameSize) -> GenerateSpec {
    GenerateSpec { frames: settings.frames, ..GenerateSpec::of_size(size) }
}

fn plan(
    settings: &Settings,
    generate: GenerateSpec,
    mode: Mode,
    stage_cycles: bool,
) -> Result<RunSpec, String> {
    let memory = MemorySpec::generated(generate, Some(settings.packets));
    let source = MemoryReceiver::open(&memory).map_err(|error| error.to_string())?;
    let [core, worker] = two_cores();
    let source = Receiver::Memory(source);
    let slot = ReceiverSlot { name: "memory".into(), core, source };
    let workers = match mode {
        Mode::Pipeline => {
            Workers::Pipeline { cores: vec![worker], ring_slots: settings.ring_slots }
        }
        Mode::RunToCompletion => Workers::RunToCompletion,
    };
    Ok(RunSpec { stage_cycles, ..spec(vec![slot], Rule::all("all"), PROGRAM, workers)? })
}

/// The digest of `packets` packets, from the frames themselves and another implementation.
fn expected(generate: &GenerateSpec, packets: u64) -> u64 {
    let count = u64::from(generate.count());
    let digests = (0..count.min(packets)).map(|index| {
        let mut frame = vec![0; generate.frame_size.len_of(index)];
        generate.write(index, &mut frame);
        u64::from(crc32c::crc32c(&frame[HEADERS..]))
    });
    let times = |index: u64| packets / count + u64::from(index < packets % count);
    (0..)
        .zip(digests)
        .fold(0, |sum: u64, (index, digest)| sum.wrapping_add(digest.wrapping_mul(times(index))))
}

fn rates(rows: &[Row]) -> Table {
    let head = ["frame", "mode", "Mpps", "cycles/packet", "polled together", "run together"];
    let title = format!("Memory source to `{PROGRAM}`, runs without a clock inside:");
    let mut table = Table::new(title, &head);
    for row in rows {
        let mpps = row.packets_per_second.samples.iter().map(|rate| rate / 1e6).collect();
        table.row(vec![
            row.size.clone(),
            row.mode.name().to_owned(),
            Spread::of(mpps).text(2),
            row.cycles_per_packet.text(1),
            format!("{:.1}", row.polled_together.median),
            format!("{:.1}", row.run_together.median),
        ]);
    }
    table
}

fn stages(rows: &[Row]) -> Table {
    let head: Vec<&str> = ["frame", "mode"].into_iter().chain(STAGES).collect();
    let title = "Cycles/packet by stage, runs with a look at the counter after each:";
    let mut table = Table::new(title, &head);
    for row in rows {
        let stage = |name| row.stages.get(name).map_or(0.0, |spread| spread.median);
        let figures = STAGES.iter().map(|name| format!("{:.1}", stage(name)));
        let head = [row.size.clone(), row.mode.name().to_owned()];
        table.row(head.into_iter().chain(figures).collect());
    }
    table
}

/// What a row's runs were made from.
fn planned(settings: &Settings, row: &Row) -> serde_json::Value {
    let Settings { packets, ring_slots, frames, .. } = settings;
    serde_json::json!({
        "source": { "memory": { "frame": row.size, "frames": frames, "packets": packets } },
        "rule": "all",
        "program": PROGRAM,
        "lanes": { "mode": row.mode, "ring_slots": ring_slots, "cores": two_cores() },
    })
}

fn figures(rows: &[Row]) -> Vec<Figure> {
    let of = |row: &Row| {
        let name = format!("{} {}", row.size, row.mode.name());
        let rate = Figure::rate(name.clone(), "packets/s", &row.packets_per_second);
        let stage = |(stage, spread): (&&str, &Spread)| {
            Figure::cost(format!("{name}, {stage}"), "ticks/packet", spread)
        };
        [rate].into_iter().chain(row.stages.iter().map(stage)).collect::<Vec<_>>()
    };
    rows.iter().flat_map(of).collect()
}

fn plots(rows: &[Row]) -> Vec<Plot> {
    let of = |mode: Mode, y: fn(&Row) -> &Spread| {
        let here = rows.iter().filter(|row| row.mode == mode).enumerate();
        let points = here.map(|(at, row)| Point::named(&row.size, at, y(row))).collect();
        Series { name: mode.name().to_owned(), points }
    };
    let modes = [Mode::Pipeline, Mode::RunToCompletion];
    let rate = Plot {
        id: "pipeline-rate".into(),
        title: format!("Memory source to `{PROGRAM}`"),
        x: Axis::linear("frame", ""),
        y: Axis::linear("rate", "packets/s"),
        shape: Shape::Bars,
        references: Vec::new(),
        series: modes.map(|mode| of(mode, |row| &row.packets_per_second)).to_vec(),
    };
    let stages = rows.iter().map(|row| Series {
        name: format!("{} {}", row.size, row.mode.name()),
        points: (0..)
            .zip(STAGES)
            .filter_map(|(at, stage)| Some(Point::named(stage, at, row.stages.get(stage)?)))
            .collect(),
    });
    let stages = Plot {
        id: "pipeline-stages".into(),
        title: "Cost of each stage".into(),
        x: Axis::linear("stage", ""),
        y: Axis::linear("cost", "ticks/packet"),
        shape: Shape::Bars,
        references: Vec::new(),
        series: stages.collect(),
    };
    vec![rate, stages]
}

impl Mode {
    const fn name(self) -> &'static str {
        match self {
            Self::Pipeline => "pipeline",
            Self::RunToCompletion => "run to completion",
        }
    }
}
