//! The control plane: plans, runs, smoke, transmit, doctor. It never touches payload.
//!
//! The binary `pfs` is [`main`] and no more.

mod bench;
mod cli;
mod cst;
mod detach;
mod doctor;
mod failure;
#[doc(hidden)]
pub mod fuzzing;
mod kv;
mod out;
pub mod plan;
mod progress;
mod pvrt;
mod run;
mod settings;
mod smoke;
mod token;
mod top;
mod tx;
mod vec;
pub mod view;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tracing_subscriber::EnvFilter;

use cli::{Cli, Command, PlanCommand};
use failure::Failure;

/// Parses the command line, does what it says, and gives the exit code: 0 done, 1 failed, 2 usage.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log(cli.verbose);
    let outcome = act(&cli.command);
    #[cfg(feature = "dpdk")]
    pfs_dataplane::dpdk::cleanup();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            out::complain(&format!("pfs: {failure}"));
            failure.code()
        }
    }
}

fn act(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Smoke(args) => smoke::smoke(args),
        Command::Run(args) => run::run(args),
        Command::Top(args) => top::top(args),
        Command::Plan(command) => plan(command),
        Command::Tx(args) => tx::tx(args),
        Command::Tokenize(args) => token::tokenize(args),
        Command::Detokenize(args) => token::detokenize(args),
        Command::Vocab(command) => token::vocab(command),
        Command::Kv(command) => kv::kv(command),
        Command::Vec(command) => vec::vec(command),
        Command::Cst(command) => cst::cst(command),
        Command::Blob(command) => pvrt::blob(command),
        Command::Rebuild(args) => pvrt::rebuild(args),
        Command::PlanFile(args) => pvrt::plan_file(args),
        Command::Send(args) => pvrt::send(args),
        Command::Recv(args) => pvrt::recv(args),
        Command::Bench(args) => bench::bench(args),
        Command::Doctor(args) => doctor::doctor(args),
        Command::Detach(args) => detach::detach(args),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "pfs", &mut text);
            out::print(&String::from_utf8_lossy(&text))
        }
        Command::Man => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut text)
                .map_err(|error| Failure::failed(format!("writing the manual page: {error}")))?;
            out::print(&String::from_utf8_lossy(&text))
        }
    }
}

fn plan(command: &PlanCommand) -> Result<(), Failure> {
    match command {
        PlanCommand::Make { flags, output } => plan::cmd_make(flags, output.as_deref()),
        PlanCommand::Check { plan } => plan::cmd_check(plan),
        PlanCommand::Explain { plan } => plan::cmd_explain(plan),
        PlanCommand::Schema => plan::cmd_schema(),
    }
}

/// Logs go to standard error; `RUST_LOG` wins over `-v`.
fn log(verbose: u8) {
    let default = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        // Or a closed standard error would end the process.
        .log_internal_errors(false)
        .init();
}
