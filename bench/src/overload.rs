//! A worker slowed on purpose, offered up to twice what it can carry.
//!
//! The receiver and the sender share one core, the worker has the other to itself. What the
//! worker can carry is measured first, from memory, where nothing is lost.

use std::thread;
use std::time::{Duration, Instant};

use pfs_dataplane::books::Books;
use pfs_dataplane::packet::Rule;
use pfs_dataplane::receivers::af_packet::AfPacketSpec;
use pfs_dataplane::receivers::af_xdp::AfXdpSpec;
use pfs_dataplane::receivers::memory::MemorySpec;
use pfs_dataplane::receivers::{Receiver, SourceSpec};
use pfs_dataplane::run::{Latency, ReceiverSlot, RunReport, RunSpec, Running, Workers, start};
use pfs_dataplane::transmitters::frames::{FrameSize, GenerateSpec};
use serde::Serialize;

use crate::host::{run_on, two_cores};
use crate::interrupt;
use crate::report::{Report, Table, Target};
use crate::spec::spec;
use crate::stats::{Shuffle, Spread};
use crate::veth::{SENDER, Sender, TO, Veth};

/// Four chains of one multiplication a byte each, which nothing can make parallel.
const PROGRAM: &str = "fnv64:chain,fnv64:chain,fnv64:chain,fnv64:chain";
const FRAME_BYTES: usize = 1400;
/// What is offered, as multiples of what the worker can carry.
const LOADS: [f64; 5] = [0.5, 0.9, 1.2, 1.5, 2.0];
/// How long after the last frame the last block of a packet ring may take.
const DRAIN: Duration = Duration::from_millis(100);

/// What to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Sending time of a trial.
    pub time: Duration,
    /// Trials of each row.
    pub rounds: usize,
    /// Slots of the lane's forward ring.
    pub ring_slots: u32,
}

/// One load on one source.
#[derive(Clone, Debug, Serialize)]
struct Row {
    source: &'static str,
    /// Multiple of what the worker can carry.
    load: f64,
    sent_kpps: Spread,
    delivered_kpps: Spread,
    p50_us: Spread,
    p99_us: Spread,
    max_us: Spread,
    trials: Vec<Trial>,
}

#[derive(Clone, Debug, Serialize)]
struct Trial {
    sent: u64,
    seconds: f64,
    books: Books,
    latency: Option<Latency>,
}

/// Measures every load on every live source of this build.
#[must_use]
pub fn run(settings: &Settings) -> Report {
    interrupt::watch();
    let mut report = Report::new("overload");
    if let Err(error) = measure(settings, &mut report) {
        report.right = false;
        report.notes.push(error);
    }
    report
}

fn measure(settings: &Settings, report: &mut Report) -> Result<(), String> {
    let [core, worker] = two_cores();
    if core == worker {
        report.notes.push("skipped: needs two cores".to_owned());
        return Ok(());
    }
    let capacity = capacity(settings)?;
    let mut sources = vec![("af_packet", SourceSpec::AfPacket(AfPacketSpec::new(TO)))];
    if cfg!(feature = "af-xdp") {
        sources.push(("af_xdp", SourceSpec::AfXdp(AfXdpSpec::new(TO))));
    }
    let _veth = Veth::new().map_err(|error| error.to_string())?;
    let mut sender = Sender::open(FRAME_BYTES).map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    for (name, source) in sources {
        let mut trials = vec![Vec::new(); LOADS.len()];
        let mut order: Vec<usize> = (0..LOADS.len()).collect();
        let mut shuffle = Shuffle::default();
        for _ in 0..settings.rounds {
            shuffle.shuffle(&mut order);
            for &at in order.iter().take_while(|_| !interrupt::asked()) {
                let rate = capacity * LOADS[at];
                trials[at].push(trial(settings, &source, &mut sender, rate)?);
            }
        }
        let of_load = LOADS.into_iter().zip(trials).filter(|(_, trials)| !trials.is_empty());
        rows.extend(of_load.map(|(load, trials)| Row::of(name, load, trials)));
    }
    summary(report, &rows, capacity);
    Ok(())
}

/// Packets a second that the worker can carry.
fn capacity(settings: &Settings) -> Result<f64, String> {
    let size: FrameSize = FRAME_BYTES.to_string().parse().map_err(|_| "bad frame size")?;
    let packets = 100_000;
    let memory = MemorySpec::generated(GenerateSpec::of_size(size), Some(packets));
    let opened = SourceSpec::Memory(memory).open(1, &[]).map_err(|error| error.to_string())?;
    let rates = opened.into_iter().map(|source| {
        let report = start(plan(settings, source, Rule::all("all"))?)
            .map_err(|error| error.to_string())?
            .join();
        Ok(packets as f64 / report.elapsed_s)
    });
    rates.sum()
}

fn plan(settings: &Settings, source: Receiver, rule: Rule) -> Result<RunSpec, String> {
    let [core, worker] = two_cores();
    let slot = ReceiverSlot { name: "rx".into(), core, source };
    let workers = Workers::Pipeline { cores: vec![worker], ring_slots: settings.ring_slots };
    Ok(RunSpec { stage_cycles: true, ..spec(vec![slot], rule, PROGRAM, workers)? })
}

fn trial(
    settings: &Settings,
    source: &SourceSpec,
    sender: &mut Sender,
    rate: f64,
) -> Result<Trial, String> {
    let cores = two_cores();
    let mut rule = Rule::all("all");
    rule.matches.ethertype = Some(0x88b5);
    run_on(&cores)?;
    let opened = source.open(1, &[rule.to_xdp()]).map_err(|error| error.to_string())?;
    let source = opened.into_iter().next().ok_or("no receiver")?;
    let running = start(plan(settings, source, rule)?).map_err(|error| error.to_string())?;
    run_on(&cores[..1])?;
    let sent = sender.send(settings.time, Some(rate)).map_err(|error| error.to_string());
    let report = finish(running);
    let sent = sent?;
    if let Some(error) = report.errors.first() {
        return Err(error.clone());
    }
    let latency = report.workers.first().and_then(|worker| worker.latency);
    Ok(Trial { sent: sent.frames, seconds: sent.seconds, books: report.books, latency })
}

fn finish(running: Running) -> RunReport {
    let deadline = Instant::now() + DRAIN;
    while Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    running.stop();
    running.join()
}

impl Row {
    fn of(source: &'static str, load: f64, trials: Vec<Trial>) -> Self {
        let spread = |of: &dyn Fn(&Trial) -> f64| Spread::of(trials.iter().map(of).collect());
        let waited = |of: &dyn Fn(&Latency) -> u64| {
            let waits = trials.iter().filter_map(|trial| trial.latency.as_ref());
            Spread::of(waits.map(|latency| of(latency) as f64 / 1e3).collect())
        };
        Self {
            source,
            load,
            sent_kpps: spread(&|trial| trial.sent as f64 / trial.seconds / 1e3),
            delivered_kpps: spread(&|trial| trial.books.consumed as f64 / trial.seconds / 1e3),
            p50_us: waited(&|latency| latency.p50_ns),
            p99_us: waited(&|latency| latency.p99_ns),
            max_us: waited(&|latency| latency.max_ns),
            trials,
        }
    }

    fn sum(&self, of: impl Fn(&Books) -> u64) -> u64 {
        self.trials.iter().map(|trial| of(&trial.books)).sum()
    }

    fn share(&self, of: impl Fn(&Books) -> u64) -> String {
        format!(
            "{:.1} %",
            self.sum(of) as f64 / self.sum(|books| books.offered).max(1) as f64 * 100.0
        )
    }
}

fn summary(report: &mut Report, rows: &[Row], capacity: f64) {
    report.right = rows.iter().all(|row| row.sum(|books| books.residual) == 0);
    for rows in rows.chunk_by(|a, b| a.source == b.source) {
        report.tables.push(table(rows, capacity));
        report.targets.extend(targets(rows));
    }
    report.raw = serde_json::to_value(rows).unwrap_or_default();
}

fn table(rows: &[Row], capacity: f64) -> Table {
    let title = format!(
        "{}, {FRAME_BYTES} B frames, sender {SENDER}, worker slowed by `{PROGRAM}` to {:.0} kpps; \
         latency from the frame's stamp to the worker's turn:",
        rows[0].source,
        capacity / 1e3
    );
    let head = [
        "load",
        "sent kpps",
        "delivered kpps",
        "ring full",
        "no frame",
        "kernel",
        "p50 µs",
        "p99 µs",
        "max µs",
        "residual",
    ];
    let mut table = Table::new(title, &head);
    for row in rows {
        table.row(vec![
            format!("{:.1} ×", row.load),
            format!("{:.0}", row.sent_kpps.median),
            row.delivered_kpps.text(0),
            row.share(|books| books.dropped_ring_full),
            row.share(|books| books.dropped_no_frame),
            row.share(|books| books.dropped_kernel),
            format!("{:.0}", row.p50_us.median),
            format!("{:.0}", row.p99_us.median),
            format!("{:.0}", row.max_us.most),
            row.sum(|books| books.residual).to_string(),
        ]);
    }
    table
}

fn targets(rows: &[Row]) -> Vec<Target> {
    let peak = rows.iter().map(|row| row.delivered_kpps.median).fold(0.0, f64::max);
    // Not there where an interrupt came first.
    let Some(twice) = rows.iter().find(|row| row.load >= 2.0) else { return Vec::new() };
    let source = twice.source;
    let delivered = twice.delivered_kpps.median;
    let ours = twice.sum(|books| books.dropped_ring_full + books.dropped_no_frame);
    let all = twice.sum(Books::dropped);
    let [p99, of] = [twice.p99_us.median, twice.max_us.most];
    vec![
        Target::at_least(
            &format!("{source}: delivered at 2 × overload"),
            format!("≥ 90 % of its peak, {peak:.0} kpps"),
            format!("{delivered:.0} kpps"),
            delivered,
            0.9 * peak,
        ),
        Target::at_least(
            &format!("{source}: loss in dropped_ring_full and dropped_no_frame"),
            format!("all {all}"),
            ours.to_string(),
            ours as f64,
            all as f64,
        ),
        Target::holds(
            &format!("{source}: latency at 2 × overload"),
            "bounded: longest below 100 ms",
            format!("p99 {p99:.0} µs, longest {of:.0} µs"),
            of > 0.0 && of < 100_000.0,
        ),
        Target::holds(
            &format!("{source}: books"),
            "residual 0",
            format!(
                "residual {}",
                rows.iter().map(|row| row.sum(|books| books.residual)).sum::<u64>()
            ),
            rows.iter().all(|row| row.sum(|books| books.residual) == 0),
        ),
    ]
}
