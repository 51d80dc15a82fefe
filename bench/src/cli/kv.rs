//! `kv`: the key/value engine against its peers.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::kv::{self, Settings};

/// Measures the key/value engine beside hashbrown, BTreeMap, blart, LMDB and fjall, each in a
/// process of its own, in turns. Every answer is checked; a wrong one ends with exit code 1.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Keys.
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
    /// Runs of each engine; medians are reported.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The peers' program.
    #[arg(long, default_value_os_t = kv::default_peers())]
    peers: PathBuf,
    /// Folder for the files of durable engines, on the disk to be measured.
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// Only engines whose name contains this.
    #[arg(long, default_value = "")]
    filter: String,
    /// Write the report as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Measure one engine in this process: its name, keys, folder.
    #[arg(long, num_args = 3, hide = true)]
    child: Option<Vec<String>>,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        let args = self;
        if let Some([engine, keys, folder]) = args.child.as_deref() {
            let keys = keys.parse().unwrap_or(args.keys);
            return match kv::child(engine, keys, folder.as_ref()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("{error}");
                    ExitCode::FAILURE
                }
            };
        }
        let settings = Settings {
            keys: args.keys,
            rounds: args.rounds.max(1),
            peers: args.peers,
            folder: args.folder,
            filter: args.filter,
        };
        kv::run(&settings).finish(args.json.as_deref())
    }
}
