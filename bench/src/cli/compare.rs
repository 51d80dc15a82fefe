//! `compare`: two runs of the same measurements.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::compare::{Limits, compare};

/// Says what changed between two runs by more than noise: the ranks of all samples differ by more
/// than chance, and the medians by more than --effect. Takes two files of --json, or two folders
/// of them, such as `just bench` leaves in target/bench.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The earlier run.
    old: PathBuf,
    /// The later run.
    new: PathBuf,
    /// Least change of a median that counts, in per cent.
    #[arg(long, default_value_t = 3.0)]
    effect: f64,
    /// Largest probability of chance for a change that counts.
    #[arg(long, default_value_t = 0.01)]
    chance: f64,
    /// End with exit code 1 when a figure got worse.
    #[arg(long)]
    fail_on_regression: bool,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        let limits = Limits { effect: self.effect / 100.0, chance: self.chance };
        match compare(&self.old, &self.new, limits) {
            Ok(all) => {
                print!("{}", all.text(limits));
                if self.fail_on_regression && all.has_regression() {
                    ExitCode::FAILURE
                } else {
                    ExitCode::SUCCESS
                }
            }
            Err(error) => super::failed(error),
        }
    }
}
