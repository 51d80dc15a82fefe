//! `all`: every group of benchmarks in turn, and what was to be reached.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::all::{Settings, names, run};
use clap::builder::PossibleValuesParser;

/// Runs every group of benchmarks in turn, each in a process of its own, and prints their tables
/// and what was to be reached. Each group's JSON goes to target/bench. A wrong answer in any
/// group ends with exit code 1; a missed target does not.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this group; can be given several times.
    #[arg(long, value_parser = PossibleValuesParser::new(names()))]
    only: Vec<String>,
    /// Longer trials and more of them: about half an hour instead of some minutes.
    #[arg(long)]
    thorough: bool,
    /// Folder for the groups' JSON and logs.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// Write all tables as Markdown to this file.
    #[arg(long)]
    markdown: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        let Args { only, thorough, out, markdown } = self;
        run(&Settings { only, thorough, out, markdown })
    }
}
