//! `pipeline`: memory source → classify → steer → lane → program, by stage.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::pipeline::{Settings, run};

/// Measures the packet path from a source in memory to the digest of a program, at 64 B, IMIX
/// and 1518 B, with a worker behind a lane and in one thread. A wrong digest ends with exit
/// code 1.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Packets of each run.
    #[arg(long, default_value_t = 2_000_000)]
    packets: u64,
    /// Runs of each row; its figure is the median.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Slots of the forward ring, a power of two.
    #[arg(long, default_value_t = 4096)]
    ring_slots: u32,
    /// Different frames in memory.
    #[arg(long, default_value_t = 4096)]
    frames: u32,
    /// Write the report as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        let Args { packets, rounds, ring_slots, frames, json } = self;
        run(&Settings { packets, rounds, ring_slots, frames }).finish(json.as_deref())
    }
}
