//! The command line: one definition gives parsing, help, man page and completions.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::bench::BenchArgs;
use crate::cst::CstCommand;
use crate::doctor::DoctorArgs;
use crate::kv::KvCommand;
use crate::plan::PlanFlags;
use crate::pvrt::{BlobCommand, PlanFileArgs, RebuildArgs, RecvArgs, SendArgs};
use crate::smoke::SmokeArgs;
use crate::token::{DetokenizeArgs, TokenizeArgs, VocabCommand};
use crate::top::TopArgs;
use crate::tx::TxArgs;
use crate::vec::VecCommand;

/// Packets to pinned cores, without copying their payload.
#[derive(Debug, Parser)]
#[command(name = "pfs", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Say more: -v for steps, -vv for details. RUST_LOG overrides it.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What pfs does.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one, for the life of the process")]
pub(crate) enum Command {
    /// Run real captures through every backend that this host grants, and compare digests.
    Smoke(SmokeArgs),
    /// Receive packets and run programs on their payload.
    Run(Box<RunArgs>),
    /// Watch a run that goes on: rates, rings, drops, cost of ops, latency.
    Top(TopArgs),
    /// Make, check and explain plans.
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Send a capture, a file cut into payloads, or generated frames.
    Tx(TxArgs),
    /// Turn text into token ids: a filter, with as many threads as cores.
    Tokenize(TokenizeArgs),
    /// Turn token ids into the bytes that they stand for.
    Detokenize(DetokenizeArgs),
    /// List, look into, compile, convert and build vocabularies.
    #[command(subcommand)]
    Vocab(VocabCommand),
    /// Serve, ask, import and export a key/value store.
    #[command(subcommand)]
    Kv(Box<KvCommand>),
    /// Make, fill, search and check a collection of vectors.
    #[command(subcommand)]
    Vec(Box<VecCommand>),
    /// Keep, show, search and check syntax trees of source files.
    #[command(subcommand)]
    Cst(Box<CstCommand>),
    /// Make, fill, read and check a blob: the bytes that files are references into.
    #[command(subcommand)]
    Blob(BlobCommand),
    /// Rebuild a file from its program and the blob that it refers to.
    Rebuild(Box<RebuildArgs>),
    /// Plan a file as references into what the other side has.
    PlanFile(Box<PlanFileArgs>),
    /// Send files and folders to a `pfs recv`: only what it lacks.
    Send(SendArgs),
    /// Receive what `pfs send` sends, into a folder.
    Recv(RecvArgs),
    /// Measure pfs beside its peers and the machine's limits, by the program `pfs-bench`.
    #[command(disable_help_flag = true)]
    Bench(BenchArgs),
    /// Check this host: for each lack its cause, its consequence and the command that mends it.
    Doctor(DoctorArgs),
    /// Detach the XDP program that pfs left on an interface.
    Detach(DetachArgs),
    /// Print shell completions.
    Completions {
        /// bash, elvish, fish, powershell or zsh.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, in roff.
    Man,
}

/// Flags of `pfs run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Run this plan instead of one made from flags.
    #[arg(long, value_name = "FILE", conflicts_with = "PlanFlags")]
    pub(crate) plan: Option<PathBuf>,
    /// What to run, where no --plan is given.
    #[command(flatten)]
    pub(crate) flags: Option<PlanFlags>,
    /// Write the effective plan (what was asked, what was granted, what was rewritten) here.
    #[arg(long, value_name = "FILE")]
    pub(crate) plan_out: Option<PathBuf>,
    /// Serve counters at http://ADDR/metrics as Prometheus text, and nothing else.
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics: Option<SocketAddr>,
    /// Serve the web view at http://ADDR/, with /metrics, /live.json, /plan.json and /healthz.
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
    /// What a viewer of --http must know: 16 characters or more, or @FILE that holds them. Needed
    /// where it is not on loopback.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) http_token: Option<String>,
    /// Make no control socket: `pfs top` does not see this run.
    #[arg(long)]
    pub(crate) no_control: bool,
    /// Print the closing report as JSON on standard output; the live line goes away.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print no live line.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// What `pfs plan` does.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one, for the life of the process")]
pub(crate) enum PlanCommand {
    /// Write a plan from flags to standard output, or to --output.
    Make {
        /// What the plan is to say.
        #[command(flatten)]
        flags: Box<PlanFlags>,
        /// Write here instead of to standard output.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Validate a plan and hold it against this host, without receiving anything.
    Check {
        /// The plan.
        plan: PathBuf,
    },
    /// Say in words what a plan does, with the optimizer's rewrites.
    Explain {
        /// The plan.
        plan: PathBuf,
    },
    /// Print the plan's JSON Schema.
    Schema,
}

/// Flags of `pfs detach`.
#[derive(Debug, Args)]
pub(crate) struct DetachArgs {
    /// The interface.
    pub(crate) interface: String,
    /// Detach a program that is not ours too.
    #[arg(long)]
    pub(crate) force: bool,
}
