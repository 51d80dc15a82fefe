//! `overload`: a slow worker behind a live source, offered up to twice what it can carry.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::overload::{Settings, run};

/// Measures what is delivered, lost by cause, and how long packets wait, at 0.5 to 2 times what
/// a slowed worker can carry. Needs root and two cores.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Sending time of a trial in milliseconds.
    #[arg(long, default_value_t = 1000)]
    trial_ms: u64,
    /// Trials of each row; its figure is the median.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Slots of the forward ring, a power of two.
    #[arg(long, default_value_t = 1024)]
    ring_slots: u32,
    /// Write the report as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        let Args { trial_ms, rounds, ring_slots, json } = self;
        let time = Duration::from_millis(trial_ms);
        run(&Settings { time, rounds, ring_slots }).finish(json.as_deref())
    }
}
