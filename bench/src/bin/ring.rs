//! Rings compared: `ring [--rounds N] [--json FILE] [--only TEXT]`.
//!
//! Each round runs every row once, in an order of its own; a row's figure is the median of its
//! trials in one placement of the two cores. The rows of one table are therefore from the same
//! minutes of the same machine: read ratios, not rates.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use pfs_bench::ring::contenders::{
    Array, PfsChunk, PfsItem, PfsSlice, Ringbuf, RtrbChunk, RtrbItem, RtrbSlice, RtrbUninit,
};
use pfs_bench::ring::dpdk::RteRing;
use pfs_bench::ring::item::{Item, Small};
use pfs_bench::ring::latency::{Latency, ping_pong};
use pfs_bench::ring::placement::Placement;
use pfs_bench::ring::run::{Cores, Timing, run};
use pfs_rings::Desc;
use serde::Serialize;

#[derive(Debug, Parser)]
#[command(about = "Compare the descriptor ring with rtrb, ringbuf, ArrayQueue and rte_ring")]
struct Args {
    /// Runs of each row; its figure is the median.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Items in a run of bursts; a quarter of it item by item.
    #[arg(long, default_value_t = 4_000_000)]
    items: u64,
    /// Producer's and consumer's core.
    #[arg(long, num_args = 2, default_values_t = [0, 1])]
    cores: Vec<usize>,
    /// Run only rows whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Write the results here as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What is compared within a table: the same items in the same bursts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Shape {
    placement: Placement,
    item_bytes: usize,
    burst: usize,
}

type Job = Box<dyn Fn() -> Result<Timing, String>>;

struct Row {
    name: &'static str,
    item_bytes: usize,
    burst: usize,
    job: Job,
    timings: Vec<(Placement, Timing)>,
}

#[derive(Debug, Serialize)]
struct Figure {
    name: &'static str,
    #[serde(flatten)]
    shape: Shape,
    trials: usize,
    million_items_per_second: f64,
    least: f64,
    most: f64,
    cycles_per_item: f64,
    right: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    cores: Cores,
    rounds: usize,
    slots: usize,
    rte_ring: String,
    throughput: Vec<Figure>,
    latency: Vec<OneWay>,
}

/// One ring's one-way latency in one placement.
#[derive(Debug, Serialize)]
struct OneWay {
    name: &'static str,
    placement: Placement,
    trials: usize,
    #[serde(flatten)]
    latency: Latency,
}

fn main() -> ExitCode {
    match bench(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("ring: a row lost, repeated or reordered items");
            ExitCode::FAILURE
        }
        Err(err) => {
            eprintln!("ring: {err}");
            ExitCode::FAILURE
        }
    }
}

fn bench(args: &Args) -> Result<bool, Box<dyn Error>> {
    let cores = Cores { producer: args.cores[0], consumer: args.cores[1] };
    let dir = std::env::temp_dir().join(format!("pfs-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let peer = RteRing::compile(&dir).map(std::rc::Rc::new);
    let rte_ring =
        peer.as_ref().map_or_else(Clone::clone, |peer| format!("libdpdk {}", peer.version));
    println!("{rte_ring}");
    let mut rows = Vec::new();
    rows_of_size::<Small>(&mut rows, args.items, cores, peer.as_ref().ok());
    rows_of_size::<Desc>(&mut rows, args.items, cores, peer.as_ref().ok());
    rows.retain(|row| row.name.contains(&args.only));
    let mut order = Shuffle(0x9e37_79b9_7f4a_7c15);
    for _ in 0..args.rounds {
        order.shuffle(&mut rows);
        for row in &mut rows {
            row.timings.push(Placement::steady(cores, &row.job)?);
        }
    }
    std::fs::remove_dir_all(&dir)?;
    let mut throughput: Vec<_> = rows.iter().flat_map(figures).collect();
    throughput.sort_by_key(|figure| (figure.shape, figure.name));
    print_throughput(&throughput);
    let latency = latencies(args, cores);
    let right = throughput.iter().all(|f| f.right) && latency.iter().all(|one| one.latency.right);
    if let Some(path) = &args.json {
        let slots = pfs_bench::ring::run::SLOTS;
        let report = Report { cores, rounds: args.rounds, slots, rte_ring, throughput, latency };
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(right)
}

fn rows_of_size<T: Item + 'static>(
    rows: &mut Vec<Row>,
    items: u64,
    cores: Cores,
    dpdk: Option<&std::rc::Rc<RteRing>>,
) {
    let item_bytes = size_of::<T>();
    let mut add = |name, burst, job: Job| {
        rows.push(Row { name, item_bytes, burst, job, timings: Vec::new() });
    };
    macro_rules! rust {
        ($name:literal, $contender:ty, $items:expr; $($burst:literal)*) => {$(
            add($name, $burst, Box::new(move || Ok(run::<T, $contender, $burst>($items, cores))));
        )*};
    }
    rust!("pfs item", PfsItem, items / 4; 1);
    rust!("rtrb item", RtrbItem, items / 4; 1);
    rust!("ArrayQueue", Array, items / 4; 1);
    rust!("ringbuf", Ringbuf, items / 4; 1);
    rust!("pfs slice", PfsSlice, items; 8 32 64 256);
    rust!("pfs chunk", PfsChunk, items; 8 32 64 256);
    rust!("rtrb slice", RtrbSlice, items; 8 32 64 256);
    rust!("rtrb chunk", RtrbChunk, items; 8 32 64 256);
    rust!("rtrb uninit", RtrbUninit, items; 8 32 64 256);
    rust!("ringbuf", Ringbuf, items; 8 32 64 256);
    if let Some(dpdk) = dpdk {
        for burst in [1, 8, 32, 64, 256] {
            let items = if burst == 1 { items / 4 } else { items };
            let dpdk = std::rc::Rc::clone(dpdk);
            add("rte_ring (C)", burst, Box::new(move || dpdk.run(item_bytes, burst, items, cores)));
        }
    }
}

/// The row's figure in each placement that it had a trial in.
fn figures(row: &Row) -> Vec<Figure> {
    [Placement::Near, Placement::Far]
        .iter()
        .filter_map(|&placement| figure(row, placement))
        .collect()
}

fn figure(row: &Row, placement: Placement) -> Option<Figure> {
    let timings: Vec<_> =
        row.timings.iter().filter(|(there, _)| *there == placement).map(|(_, t)| t).collect();
    let sorted = |of: &dyn Fn(&Timing) -> f64| {
        let mut values: Vec<f64> = timings.iter().map(|timing| of(timing)).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let rates = sorted(&|timing| timing.items as f64 * 1e3 / timing.nanoseconds as f64);
    let cycles = sorted(&|timing| timing.cycles as f64 / timing.items as f64);
    Some(Figure {
        name: row.name,
        shape: Shape { placement, item_bytes: row.item_bytes, burst: row.burst },
        trials: timings.len(),
        million_items_per_second: *rates.get(rates.len() / 2)?,
        least: rates[0],
        most: rates[rates.len() - 1],
        cycles_per_item: cycles[cycles.len() / 2],
        right: timings.iter().all(|timing| timing.right),
    })
}

fn print_throughput(figures: &[Figure]) {
    let queue = |bytes: usize, placement: Placement| {
        let row = figures.iter().find(|f| {
            f.shape.item_bytes == bytes && f.shape.placement == placement && f.name == "ArrayQueue"
        });
        row.map_or(f64::NAN, |row| row.million_items_per_second)
    };
    for group in figures.chunk_by(|a, b| a.shape == b.shape) {
        let Shape { placement, item_bytes, burst } = group[0].shape;
        let best = |ours: bool| {
            let side = group.iter().filter(|figure| figure.name.starts_with("pfs") == ours);
            side.map(|figure| figure.million_items_per_second).fold(0.0, f64::max)
        };
        let ratio = best(true) / best(false);
        let over_queue = best(true) / queue(item_bytes, placement);
        println!("\n{item_bytes}-byte items, bursts of {burst}, cores {}:", placement.name());
        println!("best of ours / best peer {ratio:.2}, / ArrayQueue {over_queue:.1}");
        println!(
            "{:<14} {:>6} {:>9} {:>16} {:>12}",
            "ring", "trials", "M items/s", "least–most", "cycles/item"
        );
        for figure in group {
            let spread = format!("{:.1}–{:.1}", figure.least, figure.most);
            println!(
                "{:<14} {:>6} {:>9.1} {spread:>16} {:>12.1} {}",
                figure.name,
                figure.trials,
                figure.million_items_per_second,
                figure.cycles_per_item,
                if figure.right { "" } else { "WRONG" },
            );
        }
    }
}

fn latencies(args: &Args, cores: Cores) -> Vec<OneWay> {
    const TRIPS: u64 = 50_000;
    let mut runs: BTreeMap<_, Vec<Latency>> = BTreeMap::new();
    for round in 0..2 * args.rounds {
        let ours = || ("pfs item", ping_pong::<Small, PfsItem>(TRIPS, cores));
        let peer = || ("rtrb item", ping_pong::<Small, RtrbItem>(TRIPS, cores));
        let pair = || Ok(if round % 2 == 0 { [ours(), peer()] } else { [peer(), ours()] });
        let Ok((placement, pair)) = Placement::steady::<_, Infallible>(cores, pair);
        for (name, latency) in pair {
            runs.entry((placement, name)).or_default().push(latency);
        }
    }
    let one_way = |((placement, name), mut runs): ((Placement, &'static str), Vec<Latency>)| {
        let right = runs.iter().all(|run| run.right);
        runs.sort_by(|a, b| a.p50_ns.total_cmp(&b.p50_ns));
        let latency = Latency { right, ..runs[runs.len() / 2] };
        OneWay { name, placement, trials: runs.len(), latency }
    };
    let latencies: Vec<_> = runs.into_iter().map(one_way).collect();
    println!(
        "\none way, item by item: {:>6} {:>10} {:>10} {:>10}",
        "trials", "p50 ns", "p99 ns", "least ns"
    );
    for OneWay { name, placement, trials, latency } in &latencies {
        let Latency { p50_ns, p99_ns, least_ns, .. } = latency;
        let name = format!("{name}, {}", placement.name());
        println!("{name:<22} {trials:>6} {p50_ns:>10.1} {p99_ns:>10.1} {least_ns:>10.1}");
    }
    latencies
}

/// A fixed sequence of orders: xorshift64 under Fisher and Yates.
struct Shuffle(u64);

impl Shuffle {
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            items.swap(last, (self.0 % (last as u64 + 1)) as usize);
        }
    }
}
