//! `blob`: filling, cutting, storing and opening blobs.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::blob::{self, Settings};

/// Measures the blob, its chunks beside the crate `fastcdc`. Every answer is checked; a wrong one
/// ends with exit code 1.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Bytes that are cut and stored, in MiB.
    #[arg(long, default_value_t = 256)]
    mib: usize,
    /// Chunks of the blob that is opened.
    #[arg(long, default_value_t = 1_000_000)]
    chunks: u64,
    /// Runs of each; medians are reported.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Folder for the blob that is opened.
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// Write the report as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        let args = self;
        let settings = Settings {
            bytes: args.mib.max(1) << 20,
            chunks: args.chunks,
            rounds: args.rounds.max(1),
            folder: args.folder,
        };
        match blob::run(&settings) {
            Ok(report) => report.finish(args.json.as_deref()),
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }
}
