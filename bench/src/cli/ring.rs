//! `ring`: the descriptor ring and its peers.

use std::path::PathBuf;
use std::process::ExitCode;

use pfs_dataplane::pin;

use crate::ring::{Cores, Settings, run};

/// Compares the descriptor ring with rtrb, ringbuf, ArrayQueue and rte_ring. Each round runs every
/// row once, in an order of its own; a trial counts with those of the same placement of the two
/// cores. Items that are lost, repeated or out of order end with exit code 1.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
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
    /// Write the report as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        let Self { rounds, items, cores, only, json } = self;
        if let Some(error) = cores.iter().find_map(|&core| pin::check(core as u32).err()) {
            eprintln!("pfs-bench: {error}");
            return ExitCode::from(2);
        }
        let cores = Cores { producer: cores[0], consumer: cores[1] };
        match run(&Settings { rounds: rounds.max(1), items, cores, only }) {
            Ok(report) => report.finish(json.as_deref()),
            Err(error) => super::failed(error),
        }
    }
}
