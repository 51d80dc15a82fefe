//! `packet`: parse, match, hash and classify.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::packet::run;

/// Measures ticks per packet of parse, match, hash and classify, over frames in cache and in 256 MiB.
/// A wrong answer ends with exit code 1.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Runs of each row; the best is reported.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Write the report as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        run(self.rounds.max(1)).finish(self.json.as_deref())
    }
}
