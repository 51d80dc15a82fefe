//! `vec`: the vector library against its peers.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::heap;
use crate::vec::{Settings, run};

/// Encodes, scans, indexes and searches the same vectors with our library and, in a process of
/// their own in between, with the libraries that bench/vec/install-peers installs. One thread, one
/// query a call; rates are per second of the thread's time, memory is what was allocated, recall
/// is of the ten nearest by dot product.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Vectors of length 1 as .npy, the last 1,000 as queries [default: bench-corpora/vec/real.npy
    /// in the target folder].
    #[arg(long)]
    data: Option<PathBuf>,
    /// The peers' Python environment [default: bench-peers/vec in the target folder].
    #[arg(long)]
    venv: Option<PathBuf>,
    /// The peers' script.
    #[arg(long, default_value = "bench/vec/peers.py")]
    script: PathBuf,
    /// Leave the peers out.
    #[arg(long)]
    alone: bool,
    /// Passes of ours and of the peers, by turns; the best figures are reported.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Write the report as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// A path below the folder that this program was built in.
fn beside(path: &str) -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.ancestors().nth(2).unwrap_or(&program).join(path)
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        heap::count();
        let Args { data, venv, script, alone, rounds, json } = self;
        let settings = Settings {
            data: data.unwrap_or_else(|| beside("bench-corpora/vec/real.npy")),
            venv: (!alone).then(|| venv.unwrap_or_else(|| beside("bench-peers/vec"))),
            script,
            rounds,
        };
        run(&settings).finish(json.as_deref())
    }
}
