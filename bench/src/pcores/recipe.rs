//! The recipes that PacketFS documents for its ring bench and its multi-core tool, run here, beside
//! what its own tools reached.
//!
//! Its figures: compiled with `gcc -O3 -march=native` and run on the same type of machine (two
//! virtual cores of an AMD EPYC with AVX-512, hugetlbfs of 2 MiB pages), medians of 3, in MB/s of
//! 10^6 bytes. Only rows whose work was done are listed: the tool's rows that never touch payload
//! and those that read the page of zeroes are not.

use std::time::Duration;

use pfs_rings::{PageSize, PageWish};

use super::ask::Settings;
use super::spans::Mode;
use super::{PcoresError, run};
use crate::interrupt;
use crate::report::{Report, Table, Target};
use crate::team::Kind;

/// Ops as the tools name them, and as programs here.
const OPS: [(&str, &str); 5] = [
    ("xor", "xor:255"),
    ("add", "add:7"),
    ("counteq", "counteq:0"),
    ("fnv", "fnv64:packetfs"),
    ("crc32c", "crc32c"),
];

/// One recipe: its spans, and what the original reached with each op, in MB/s.
struct Recipe {
    name: &'static str,
    mode: Mode,
    span_len: u32,
    producers: usize,
    workers: usize,
    range: u64,
    original: [f64; 5],
}

/// `pfs_shm_ring_bench`: one producer, one consumer, 1 GiB, 64 descriptors a frame; then
/// `pfs_proc_pcores`: two processes over 256 MiB, with its baseline left its two cores.
const RECIPES: [Recipe; 4] = [
    Recipe {
        name: "ring bench, scattered",
        mode: Mode::Scattered,
        span_len: 64,
        producers: 1,
        workers: 1,
        range: 1 << 30,
        original: [1981.6, 1661.7, 929.5, 391.3, 90.9],
    },
    Recipe {
        name: "ring bench, contiguous 256 B",
        mode: Mode::Contiguous,
        span_len: 256,
        producers: 1,
        workers: 1,
        range: 1 << 30,
        original: [16973.9, 16414.0, 7366.3, 832.8, 100.4],
    },
    Recipe {
        name: "ring bench, contiguous 4096 B",
        mode: Mode::Contiguous,
        span_len: 4096,
        producers: 1,
        workers: 1,
        range: 1 << 30,
        original: [23868.5, 22482.9, 9138.7, 833.8, 104.7],
    },
    Recipe {
        name: "two pcores, scattered",
        mode: Mode::Scattered,
        span_len: 64,
        producers: 0,
        workers: 2,
        range: 128 << 20,
        original: [2992.4, 2785.0, 1842.6, 725.6, 141.6],
    },
];

/// Runs every recipe that this host has cores and memory for.
///
/// # Errors
/// As [`run`], of the first recipe that fails in the middle.
pub fn original(rounds: usize, trial: Duration, retries: usize) -> Result<Report, PcoresError> {
    let mut all = Report::new("pcores");
    let head = ["recipe", "op", "original MB/s", "ours MB/s", "ours / original", ""];
    let mut table = Table::new(
        "The original's recipes on the same type of machine: frames of 64 descriptors, each digested as one:",
        &head,
    );
    for recipe in &RECIPES {
        if interrupt::asked() {
            break;
        }
        match run(&recipe.settings(rounds, trial, retries)) {
            Ok(report) => recipe.add(report, &mut table, &mut all),
            Err(PcoresError::Asked(why)) => all.notes.push(format!("{}: {why}", recipe.name)),
            Err(error) => return Err(error),
        }
    }
    all.tables.insert(0, table);
    Ok(all)
}

impl Recipe {
    fn settings(&self, rounds: usize, trial: Duration, retries: usize) -> Settings {
        Settings {
            workers: vec![self.workers],
            cores: Vec::new(),
            producers: self.producers,
            kind: Kind::Processes,
            programs: OPS.iter().map(|(_, program)| (*program).to_owned()).collect(),
            modes: vec![self.mode],
            span_lens: vec![self.span_len],
            align: 64,
            dpf: 64,
            ring_slots: vec![1 << 16],
            bursts: vec![64],
            ranges: vec![self.range],
            places: Vec::new(),
            pages: PageWish::AtMost(PageSize::Huge2M),
            rounds,
            trial,
            retries,
        }
    }

    fn add(&self, report: Report, table: &mut Table, all: &mut Report) {
        for ((name, program), original) in OPS.iter().zip(self.original) {
            let row = report
                .raw
                .as_array()
                .into_iter()
                .flatten()
                .find(|row| row["contender"] == "rings" && row["point"]["program"] == *program);
            let Some(row) = row else { continue };
            let ours = row["gb_per_s"]["median"].as_f64().unwrap_or(0.0) * 1e3;
            let right = row["right"] == true;
            table.row(vec![
                self.name.to_owned(),
                (*name).to_owned(),
                format!("{original:.1}"),
                format!("{ours:.1}"),
                format!("{:.1}", ours / original),
                if right { String::new() } else { "WRONG".into() },
            ]);
            all.targets.push(Target::at_least(
                &format!("{}, {name}", self.name),
                format!("> the original's {original:.1} MB/s"),
                format!("{ours:.1} MB/s"),
                ours,
                original,
            ));
        }
        all.right &= report.right;
        all.interrupted |= report.interrupted;
        all.notes.extend(report.notes.into_iter().map(|note| format!("{}: {note}", self.name)));
        for memory in report.grants.memory {
            all.grants.add(&memory.what, &memory.granted);
        }
        for thread in report.grants.threads {
            all.grants.pinned(&thread.what, thread.core);
        }
        all.plans.extend(report.plans);
        all.figures.extend(report.figures.into_iter().map(|figure| crate::report::Figure {
            name: format!("{}: {}", self.name, figure.name),
            ..figure
        }));
        all.plots.extend(report.plots.into_iter().map(|plot| crate::report::Plot {
            id: format!("{}-{}", plot.id, self.name.replace([' ', ','], "-")),
            title: format!("{}: {}", self.name, plot.title),
            ..plot
        }));
        if let serde_json::Value::Array(rows) = &mut all.raw {
            rows.extend(report.raw.as_array().cloned().into_iter().flatten());
        } else {
            all.raw = report.raw;
        }
    }
}
