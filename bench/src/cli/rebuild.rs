//! `rebuild`: files out of references, beside memcpy.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::rebuild::{Settings, run};

/// Measures identity, xor and add at every instruction-set level beside memcpy over the same
/// pieces, and whole files by a formula. A wrong answer ends with exit code 1.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Size of blob and of output in MiB.
    #[arg(long, default_value_t = 256)]
    mib: usize,
    /// Runs of each row; the median is reported.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Folder that whole files are written to.
    #[arg(long, default_value = "/dev/shm")]
    folder: PathBuf,
    /// Write the report as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        let Args { mib, rounds, folder, json } = self;
        let settings = Settings { bytes: mib.max(1) << 20, rounds: rounds.max(1), folder };
        run(&settings).finish(json.as_deref())
    }
}
