//! `rx`: receivers behind one sender, ours and others'.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use pfs_dataplane::transmitters::frames::FrameSize;

use crate::interrupt;
use crate::rx::{Plan, Settings, receive, run};

/// Measures receivers behind one sender: MRR, NDR and PDR, latency, loss by cause, processor time.
///
/// MRR is the rate delivered at the sender's top speed; NDR and PDR the highest rates without loss
/// and with 0.5 %, by search. Over a veth pair between two namespaces of its own, which needs root,
/// or between two interfaces that are there. Peers that are not installed are left out.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Durations: short (under three minutes), standard (half an hour), csit (hours).
    #[arg(long, value_name = "NAME", default_value = "standard")]
    preset: Plan,
    /// Frame sizes in bytes with check sequence, or imix; the preset's if absent.
    #[arg(long, value_name = "SIZES", value_delimiter = ',')]
    sizes: Vec<FrameSize>,
    /// Trials of each row at top speed; the preset's if absent.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    trials: Option<u16>,
    /// Sending time of such a trial in milliseconds; the preset's if absent.
    #[arg(long, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    trial_ms: Option<u64>,
    /// Only receivers whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Leave the programs of others out.
    #[arg(long)]
    no_peers: bool,
    /// Receive on this interface instead of a veth pair's end.
    #[arg(long, value_name = "NAME", requires = "peer_iface")]
    iface: Option<String>,
    /// Send on this interface, which must be wired to the other.
    #[arg(long, value_name = "NAME", requires = "iface")]
    peer_iface: Option<String>,
    /// Write the report as JSON to this file, and as a page beside it.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
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

impl Args {
    pub(super) fn run(self) -> ExitCode {
        if let Some(Command::Receive { what, core }) = self.command {
            return receive(&what, core);
        }
        let mut plan = self.preset;
        if !self.sizes.is_empty() {
            plan.sizes = self.sizes;
        }
        plan.trials = self.trials.map_or(plan.trials, usize::from);
        plan.trial = self.trial_ms.map_or(plan.trial, Duration::from_millis);
        interrupt::watch();
        let interfaces = self.iface.zip(self.peer_iface);
        let settings = Settings { plan, only: self.only, peers: !self.no_peers, interfaces };
        run(&settings).map_or_else(super::failed, |report| report.finish(self.json.as_deref()))
    }
}
