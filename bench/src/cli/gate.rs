//! `gate`: instruction counts against those that are kept.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::gate::{Outcome, child, run};

/// Counts instructions of kernels, rings and the packet path by callgrind, and fails when one rose
/// by more than 2 % above what is kept. Valgrind has no AVX-512: the AVX2 and portable kernels are
/// counted.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The counts that are kept.
    #[arg(long, default_value = "bench/gate.json")]
    kept: PathBuf,
    /// Write the counts anew instead of comparing: after a change that is meant to be so.
    #[arg(long)]
    renew: bool,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        match run(&self.kept, self.renew) {
            Ok(Outcome::Skipped(why)) => {
                println!("skipped: {why}");
                ExitCode::SUCCESS
            }
            Ok(Outcome::Counted { lines, passed }) => {
                lines.iter().for_each(|line| println!("{line}"));
                if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(error) => super::failed(error),
        }
    }
}

/// The process that callgrind watches.
#[derive(Debug, clap::Args)]
pub(super) struct ChildArgs {}

impl ChildArgs {
    #[allow(clippy::unused_self, reason = "as every group's")]
    pub(super) fn run(self) -> ExitCode {
        child().map_or_else(super::failed, |()| ExitCode::SUCCESS)
    }
}
