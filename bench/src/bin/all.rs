//! `all`: every group of benchmarks in turn, and what was to be reached.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use pfs_bench::all::{Settings, become_group, names, run};

/// Runs every group of benchmarks in turn, each in a process of its own, and prints their tables
/// and what was to be reached. Each group's JSON goes to target/bench. A wrong answer in any
/// group ends with exit code 1; a missed target does not.
#[derive(Parser)]
#[command(name = "all")]
struct Args {
    #[command(subcommand)]
    command: Option<Step>,
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

#[derive(Subcommand)]
enum Step {
    /// One group's process: started by `all` itself.
    #[command(hide = true)]
    Become {
        /// The group's program.
        program: PathBuf,
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let Args { command, only, thorough, out, markdown } = Args::parse();
    if let Some(Step::Become { program, arguments }) = command {
        return become_group(&program, &arguments);
    }
    run(&Settings { only, thorough, out, markdown })
}
