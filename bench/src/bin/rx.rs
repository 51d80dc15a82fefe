//! `rx`: receivers on a veth pair, ours and others', behind one sender.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use pfs_bench::rx::{Settings, receive, run};

/// Measures receivers on a veth pair, one at a time behind the same sender: rate delivered, loss
/// by cause, processor time. Needs root. Peers that are not installed are left out.
#[derive(Parser)]
#[command(name = "rx")]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Sending time of a trial in milliseconds.
    #[arg(long, default_value_t = 1000)]
    trial_ms: u64,
    /// Trials of each row; its figure is the median.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Frame sizes in bytes.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 1400])]
    sizes: Vec<usize>,
    /// Only receivers whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Write the report as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// The receiver's process: started by `rx` itself.
    #[command(hide = true)]
    Receive {
        /// What to run, as JSON.
        #[arg(long)]
        what: String,
        /// Core for its thread.
        #[arg(long)]
        core: u32,
    },
}

fn main() -> ExitCode {
    let Args { command, trial_ms, rounds, sizes, only, json } = Args::parse();
    if let Some(Command::Receive { what, core }) = command {
        return receive(&what, core);
    }
    let time = Duration::from_millis(trial_ms);
    run(&Settings { time, rounds, sizes, only }).finish(json.as_deref())
}
