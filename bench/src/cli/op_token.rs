//! `op_token`: the op `token` in a worker beside its engine alone.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::op_token::{Settings, run};

/// Measures the op `token` from a source in memory, and its engine called directly on the same
/// payloads. Wrong tokens or a wrong digest end with exit code 1.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Text that payloads are cut from.
    #[arg(long, default_value = "testdata/text/mixed.txt")]
    text: PathBuf,
    /// Vocabulary.
    #[arg(long, default_value = "cl100k_base")]
    vocab: String,
    /// Bytes of a payload.
    #[arg(long, default_value_t = 1400)]
    payload: usize,
    /// Bytes of text in each run, at least.
    #[arg(long, default_value_t = 300_000_000)]
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
        let Args { text, vocab, payload, bytes, rounds, json } = self;
        run(&Settings { text, vocab, payload, bytes, rounds }).finish(json.as_deref())
    }
}
