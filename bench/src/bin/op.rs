//! `op`: payload operations against their peers and the memory's own speed.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use pfs_bench::op::{self, Settings};
use pfs_dataplane::pcpu::Isa;

/// Measures every payload kernel at every instruction-set level, beside its peers, in one run.
/// Every row's answer is checked; a wrong one ends with exit code 1.
#[derive(Parser)]
#[command(name = "op")]
struct Args {
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
    core: Option<usize>,
    /// Write the rows as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn level(name: &str) -> Result<Isa, String> {
    let levels = Isa::all_available();
    let names = || levels.iter().map(Isa::to_string).collect::<Vec<_>>().join(", ");
    let found = levels.iter().copied().find(|isa| isa.name() == name);
    found.ok_or_else(|| format!("this processor has {}", names()))
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(id) = args.core
        && !core_affinity::set_for_current(core_affinity::CoreId { id })
    {
        eprintln!("pinning to core {id}: refused; choose one of `taskset -cp $$`");
        return ExitCode::from(2);
    }
    let report = op::run(&Settings {
        filter: args.filter,
        group: args.group,
        level: args.level,
        trials: args.trials.max(1),
        trial_ms: args.trial_ms,
        big_bytes: args.big_mib << 20,
        prefetch_spans: args.prefetch_spans,
    });
    if let Some(path) = args.json {
        let text = serde_json::to_string_pretty(&report).unwrap_or_default();
        if let Err(error) = std::fs::write(&path, text) {
            eprintln!("writing {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    if report.rows.iter().all(|row| row.ok) {
        ExitCode::SUCCESS
    } else {
        eprintln!("a row gave a wrong answer");
        ExitCode::FAILURE
    }
}
