//! `op`: payload operations against their peers and the memory's own speed.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::op::{self, Settings};
use pfs_dataplane::costs::Costs;
use pfs_dataplane::pcpu::Isa;
use pfs_dataplane::pin::pin;

/// Measures every payload kernel at every instruction-set level, beside its peers, in one run.
/// Every row's answer is checked; a wrong one ends with exit code 1.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only rows whose `group/what` contains this.
    #[arg(long, default_value = "")]
    filter: String,
    /// Only groups whose name begins with this: `l1`, `l2`, `64`, `256`, `1400`, `mixed`, `dram`,
    /// `scattered`.
    #[arg(long, default_value = "")]
    group: String,
    /// Only our kernels of this level.
    #[arg(long, value_parser = level)]
    level: Option<Isa>,
    /// Timed trials per row; the median is reported.
    #[arg(long, default_value_t = 7)]
    trials: usize,
    /// Shortest trial in milliseconds.
    #[arg(long, default_value_t = 20)]
    trial_ms: u64,
    /// Size of the large buffer in MiB.
    #[arg(long, default_value_t = 1024)]
    big_mib: usize,
    /// Spans fetched ahead by our kernels; chosen by span length if not given.
    #[arg(long)]
    prefetch_spans: Option<usize>,
    /// Pin to this core.
    #[arg(long)]
    core: Option<u32>,
    /// Measure no cost classes.
    #[arg(long, conflicts_with = "costs")]
    no_costs: bool,
    /// File that cost classes are kept in, for `pfs plan check` and `pfs run`
    /// [default: $XDG_CACHE_HOME/pfs/costs.json; none with --filter, --group or --level].
    #[arg(long)]
    costs: Option<PathBuf>,
    /// Write the report as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn level(name: &str) -> Result<Isa, String> {
    let levels = Isa::all_available();
    let names = || levels.iter().map(Isa::to_string).collect::<Vec<_>>().join(", ");
    let found = levels.iter().copied().find(|isa| isa.name() == name);
    found.ok_or_else(|| format!("this processor has {}", names()))
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        let args = self;
        if let Some(core) = args.core
            && let Err(error) = pin(core)
        {
            eprintln!("pfs-bench: {error}");
            return ExitCode::from(2);
        }
        let whole = args.filter.is_empty() && args.group.is_empty() && args.level.is_none();
        let default = || if whole && !args.no_costs { Costs::default_path() } else { None };
        let costs = args.costs.or_else(default);
        let settings = Settings {
            costs,
            filter: args.filter,
            group: args.group,
            level: args.level,
            trials: args.trials.max(1),
            trial_ms: args.trial_ms,
            big_bytes: args.big_mib << 20,
            prefetch_spans: args.prefetch_spans,
        };
        match op::run(&settings) {
            Ok(report) => report.finish(args.json.as_deref()),
            Err(error) => super::failed(error),
        }
    }
}
