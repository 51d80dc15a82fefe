//! `token`: the tokenizer against its peers.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::heap;
use crate::token::{Places, Settings, ours, run};
use clap::Subcommand;
use serde::Serialize;

/// Encodes the same samples with our engine and with every peer that is installed, each in a process
/// of its own and in turn, and holds their ids against the reference's. `warm` is the best pass of a
/// process after its first, `first` is that first one. Texts come from bench/token/corpora.py, peers
/// from bench/token/install-peers; what is not there is left out, and noted.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Step>,
    /// Processes of each contender in each scene; the median is reported.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only scenes whose `corpus cut vocabulary` contains this, such as `english packets`.
    #[arg(long, default_value = "")]
    only: String,
    /// Only contenders whose name contains this.
    #[arg(long, default_value = "")]
    contenders: String,
    /// Write the report as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Processes that `token` itself starts.
#[derive(Debug, Subcommand)]
enum Step {
    /// Our engine over one sample.
    #[command(hide = true)]
    Trial { engine: String, vocabulary: String, file: PathBuf, sample: PathBuf, passes: usize },
    /// Two cores against one.
    #[command(hide = true)]
    Cores { vocabulary: String, sample: PathBuf, rounds: usize },
    /// Memory and time to compile.
    #[command(hide = true)]
    Memory { vocabulary: String, sample: PathBuf, rounds: usize },
    /// The ids of a sample as little-endian `u32`, to standard output: for `bench/token/exact.py`.
    #[command(hide = true)]
    Ids { engine: String, vocabulary: String, file: PathBuf, sample: PathBuf },
}

fn print<T: Serialize>(measured: Result<T, String>) -> ExitCode {
    let line =
        measured.and_then(|it| serde_json::to_string(&it).map_err(|error| error.to_string()));
    match line {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn step(step: Step) -> ExitCode {
    match step {
        Step::Trial { engine, vocabulary, file, sample, passes } => {
            print(ours::trial(&engine, &vocabulary, &file, &sample, passes))
        }
        Step::Cores { vocabulary, sample, rounds } => {
            print(ours::cores(&vocabulary, &sample, rounds))
        }
        Step::Memory { vocabulary, sample, rounds } => {
            print(ours::memory(&vocabulary, &sample, rounds))
        }
        Step::Ids { engine, vocabulary, file, sample } => {
            match ours::write_ids(&engine, &vocabulary, &file, &sample) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("{error}");
                    ExitCode::FAILURE
                }
            }
        }
    }
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        heap::count();
        let Args { command, rounds, only, contenders, json } = self;
        if let Some(command) = command {
            return step(command);
        }
        let places = match Places::find() {
            Ok(places) => places,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        };
        run(&Settings { rounds: rounds.max(1), only, contenders, places }).finish(json.as_deref())
    }
}
