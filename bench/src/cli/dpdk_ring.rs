//! `dpdk-ring`: what bench/dpdk/run.py measures of pfs over a ring between two cores.

use std::process::ExitCode;
use std::time::Duration;

use crate::dpdk_ring::run;

/// Sends frames of 64 bytes from one core of pfs to another through DPDK's net_ring; prints packets
/// and seconds.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How long to send.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Arguments for EAL.
    #[arg(long, allow_hyphen_values = true)]
    eal: Option<String>,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        match run(Duration::from_secs_f64(self.seconds.clamp(0.01, 3600.0)), self.eal) {
            Ok(crossed) => {
                println!("{} packets in {:.3} s", crossed.packets, crossed.seconds);
                ExitCode::SUCCESS
            }
            Err(error) => super::failed(error),
        }
    }
}
