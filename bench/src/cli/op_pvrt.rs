//! `op_pvrt`: the op `pvrt` in a worker, from frames in memory.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::op_pvrt::{Settings, run};

/// Measures the op `pvrt` from a source in memory on one core: windows of references and windows as
/// they are, plain and sealed. A wrong file ends with exit code 1.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Bytes of the file that is put together.
    #[arg(long, default_value_t = 256 << 20)]
    bytes: u64,
    /// Runs of each row; its figure is the median.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Write the report as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        let Args { bytes, rounds, json } = self;
        run(&Settings { bytes, rounds }).finish(json.as_deref())
    }
}
