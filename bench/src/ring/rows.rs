//! All rows: each contender with each size of item and of burst.
//!
//! A row's figure is the median of its trials in one placement of the two cores. The rows of one
//! table are therefore from the same minutes of the same machine: read ratios, not rates.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;

use pfs_rings::Desc;
use serde::Serialize;

use super::contenders::{
    Array, PfsChunk, PfsItem, PfsSlice, Ringbuf, RtrbChunk, RtrbItem, RtrbSlice, RtrbUninit,
};
use super::dpdk::RteRing;
use super::item::{Item, Small};
use super::latency::{Latency, ping_pong};
use super::placement::Placement;
use super::report::report;
use super::run::{Cores, SLOTS, Timing, run};
use crate::interrupt;
use crate::report::Report;
use crate::stats::{Shuffle, Spread};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Runs of each row.
    pub rounds: usize,
    /// Items in a run of bursts.
    pub items: u64,
    /// Where the two sides run.
    pub cores: Cores,
    /// Only rows whose name contains this.
    pub only: String,
}

/// What is compared within a table: the same items in the same bursts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Shape {
    pub(super) placement: Placement,
    pub(super) item_bytes: usize,
    pub(super) burst: usize,
}

type Job = Box<dyn Fn() -> Result<Timing, String>>;

struct Row {
    name: &'static str,
    item_bytes: usize,
    burst: usize,
    job: Job,
    timings: Vec<(Placement, Timing)>,
    /// Why it is not measured any more.
    failed: Option<String>,
}

/// One row in one placement of the cores.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    #[serde(flatten)]
    pub(super) shape: Shape,
    pub(super) million_items_per_second: Spread,
    pub(super) cycles_per_item: Spread,
    pub(super) right: bool,
}

/// One ring's one-way latency in one placement; the median of its runs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct OneWay {
    pub(super) name: &'static str,
    pub(super) placement: Placement,
    pub(super) p50_ns: Spread,
    pub(super) p99_ns: Spread,
    pub(super) right: bool,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Rings {
    pub(super) cores: Cores,
    pub(super) rounds: usize,
    pub(super) slots: usize,
    pub(super) rte_ring: String,
    /// Rows that failed in the middle, and why.
    pub(super) failed: Vec<String>,
    pub(super) throughput: Vec<Figure>,
    pub(super) latency: Vec<OneWay>,
}

/// Measures all rows and latencies.
///
/// A peer that fails costs its own row and no other's.
///
/// # Errors
/// When a scratch folder cannot be made.
pub fn measure(settings: &Settings) -> io::Result<Report> {
    interrupt::watch();
    let Settings { rounds, items, cores, ref only } = *settings;
    let dir = tempfile::tempdir()?;
    let peer = RteRing::compile(dir.path()).map(Rc::new);
    let rte_ring =
        peer.as_ref().map_or_else(Clone::clone, |peer| format!("libdpdk {}", peer.version));
    let mut rows = Vec::new();
    rows_of_size::<Small>(&mut rows, items, cores, peer.as_ref().ok());
    rows_of_size::<Desc>(&mut rows, items, cores, peer.as_ref().ok());
    rows.retain(|row| row.name.contains(only));
    let mut order = Shuffle::default();
    for _ in 0..rounds {
        order.shuffle(&mut rows);
        for row in rows.iter_mut().filter(|row| row.failed.is_none()) {
            if interrupt::asked() {
                break;
            }
            match Placement::steady(cores, &row.job) {
                Ok(timing) => row.timings.push(timing),
                Err(error) => row.failed = Some(error),
            }
        }
    }
    let failed = |row: &Row| {
        let Row { name, item_bytes, burst, failed, .. } = row;
        failed.as_ref().map(|why| format!("{name}, {item_bytes} B × {burst}: {why}"))
    };
    let failed = rows.iter().filter_map(failed).collect();
    let mut throughput: Vec<_> = rows.iter().flat_map(figures).collect();
    throughput.sort_by_key(|figure| (figure.shape, figure.name));
    let latency = latencies(settings);
    Ok(report(&Rings { cores, rounds, slots: SLOTS, rte_ring, failed, throughput, latency }))
}

fn rows_of_size<T: Item + 'static>(
    rows: &mut Vec<Row>,
    items: u64,
    cores: Cores,
    dpdk: Option<&Rc<RteRing>>,
) {
    let item_bytes = size_of::<T>();
    let mut add = |name, burst, job: Job| {
        rows.push(Row { name, item_bytes, burst, job, timings: Vec::new(), failed: None });
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
            let dpdk = Rc::clone(dpdk);
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
    let here = row.timings.iter().filter(|(there, _)| *there == placement);
    let timings: Vec<&Timing> = here.map(|(_, timing)| timing).collect();
    let spread = |of: fn(&Timing) -> f64| Spread::of(timings.iter().map(|&t| of(t)).collect());
    (!timings.is_empty()).then(|| Figure {
        name: row.name,
        shape: Shape { placement, item_bytes: row.item_bytes, burst: row.burst },
        million_items_per_second: spread(|t| t.items as f64 * 1e3 / t.nanoseconds as f64),
        cycles_per_item: spread(|t| t.cycles as f64 / t.items as f64),
        right: timings.iter().all(|timing| timing.right),
    })
}

fn latencies(settings: &Settings) -> Vec<OneWay> {
    const TRIPS: u64 = 50_000;
    let cores = settings.cores;
    let mut runs: BTreeMap<_, Vec<Latency>> = BTreeMap::new();
    for round in 0..2 * settings.rounds {
        if interrupt::asked() {
            break;
        }
        let ours = || ("pfs item", ping_pong::<Small, PfsItem>(TRIPS, cores));
        let peer = || ("rtrb item", ping_pong::<Small, RtrbItem>(TRIPS, cores));
        let pair = || Ok(if round % 2 == 0 { [ours(), peer()] } else { [peer(), ours()] });
        let Ok((placement, pair)) = Placement::steady::<_, Infallible>(cores, pair);
        for (name, latency) in pair {
            runs.entry((placement, name)).or_default().push(latency);
        }
    }
    let one_way = |((placement, name), runs): ((Placement, &'static str), Vec<Latency>)| {
        let spread = |of: fn(&Latency) -> f64| Spread::of(runs.iter().map(of).collect());
        OneWay {
            name,
            placement,
            p50_ns: spread(|run| run.p50_ns),
            p99_ns: spread(|run| run.p99_ns),
            right: runs.iter().all(|run| run.right),
        }
    };
    runs.into_iter().map(one_way).collect()
}
