//! `pcores`: pinned workers over lanes, on 1 to N cores.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use pfs_dataplane::pin;
use pfs_rings::PageWish;

use super::size::{bytes, counts, place};
use crate::pcores::{Mode, PcoresError, Settings, original, run};
use crate::team::Kind;

/// Measures pinned workers behind lanes on 1 to N cores, beside plain threads and the memory's own
/// bounds in the same run. Lists are swept: every combination is a point. Every answer is checked;
/// a wrong one ends with exit code 1. docs/BENCH.md tells what each figure means.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Numbers of workers: `1,2`, `1..N` with N for the cores that this process may use.
    #[arg(long, default_value = "1..N")]
    cores: String,
    /// Cores by the kernel's ids: producers take the first, workers the next [default: all].
    #[arg(long, value_delimiter = ',')]
    core_list: Vec<u32>,
    /// Producers on cores of their own; with 0 every worker feeds its own lane.
    #[arg(long, default_value_t = 0)]
    producers: usize,
    /// Members are processes forked for each trial instead of threads.
    #[arg(long)]
    processes: bool,
    /// A program; can be given several times [default: crc32c, fnv64, counteq:0, xor:255].
    #[arg(long = "prog")]
    programs: Vec<String>,
    /// `contiguous`, `scattered`.
    #[arg(long, value_delimiter = ',', default_value = "contiguous,scattered")]
    mode: Vec<Mode>,
    /// Bytes of contiguous spans, rounded up to --align.
    #[arg(long, visible_alias = "seg-len", value_delimiter = ',', default_value = "4096")]
    span_len: Vec<u32>,
    /// Border of spans in bytes; scattered ones are from it to five times it less 1 byte long.
    #[arg(long, default_value_t = 64)]
    align: u32,
    /// Spans (descriptors) of one message (frame), 1 to 64: digests go over all of them.
    #[arg(long, default_value_t = 1)]
    dpf: usize,
    /// Slots of forward rings, powers of two.
    #[arg(long, value_delimiter = ',', default_value = "4096")]
    ring_slots: Vec<usize>,
    /// Descriptors pushed, and run, at a time, up to 64.
    #[arg(long, value_delimiter = ',', default_value = "64")]
    burst: Vec<usize>,
    /// Bytes of memory for each worker, as 256K, 512M.
    #[arg(long, value_delimiter = ',', value_parser = bytes, default_value = "256K,256M")]
    range: Vec<u64>,
    /// Instead of --range: OFFSET:LENGTH of one worker's part of memory; one for each worker.
    #[arg(long = "place", value_parser = place, conflicts_with = "range")]
    places: Vec<(u64, u64)>,
    /// Pages of payload: auto, 1g, 2m, thp, 4k, or max: before one.
    #[arg(long, default_value = "max:2m")]
    pages: PageWish,
    /// Trials of each row; its figure is the median.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a trial in milliseconds.
    #[arg(long, default_value_t = 200)]
    trial_ms: u64,
    /// Times that a trial whose cores were taken away is made again before it counts, marked.
    #[arg(long, default_value_t = 2)]
    retries: usize,
    /// `original`: the recipes that PacketFS documents, beside what its own tools reached.
    #[arg(long, value_parser = ["original"], conflicts_with_all = ["programs", "places"])]
    recipe: Option<String>,
    /// Write the report as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        let json = self.json.clone();
        let trial = Duration::from_millis(self.trial_ms);
        let measured = if self.recipe.is_some() {
            original(self.rounds.max(1), trial, self.retries)
        } else {
            self.settings().map_err(PcoresError::Asked).and_then(|settings| run(&settings))
        };
        match measured {
            Ok(report) => report.finish(json.as_deref()),
            Err(PcoresError::Asked(why)) => {
                eprintln!("pfs-bench: {why}");
                ExitCode::from(2)
            }
            Err(error) => super::failed(error),
        }
    }

    fn settings(self) -> Result<Settings, String> {
        let allowed = pin::allowed_cores().map_err(|error| error.to_string())?.len();
        let most = if self.core_list.is_empty() { allowed } else { self.core_list.len() };
        let most = most.saturating_sub(self.producers).max(1);
        let default = || ["crc32c", "fnv64", "counteq:0", "xor:255"].map(str::to_owned).to_vec();
        Ok(Settings {
            workers: counts(&self.cores, most).map_err(|why| format!("--cores {why}"))?,
            cores: self.core_list,
            producers: self.producers,
            kind: if self.processes { Kind::Processes } else { Kind::Threads },
            programs: if self.programs.is_empty() { default() } else { self.programs },
            modes: self.mode,
            span_lens: self.span_len,
            align: self.align,
            dpf: self.dpf,
            ring_slots: self.ring_slots,
            bursts: self.burst,
            ranges: self.range,
            places: self.places,
            pages: self.pages,
            rounds: self.rounds,
            trial: Duration::from_millis(self.trial_ms),
            retries: self.retries,
        })
    }
}
