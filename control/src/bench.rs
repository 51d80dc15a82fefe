//! `pfs bench`: becomes `pfs-bench`, a program of its own, so that what benchmarks compare with is
//! no part of `pfs`.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::failure::Failure;

const PROGRAM: &str = "pfs-bench";

/// Flags of `pfs bench`: all belong to `pfs-bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to measure, and how: see `pfs bench --help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    arguments: Vec<OsString>,
}

/// Becomes `pfs-bench`, found beside this program, else on `PATH`.
///
/// # Errors
/// When it is at neither place, or cannot be started.
pub(crate) fn bench(args: &BenchArgs) -> Result<(), Failure> {
    let beside = env::current_exe().ok().map(|me| me.with_file_name(PROGRAM));
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates = beside.into_iter().chain(env::split_paths(&path).map(|dir| dir.join(PROGRAM)));
    let Some(program) = first_file(candidates) else {
        return Err(Failure::failed(format!(
            "{PROGRAM} is neither beside pfs nor on PATH: build it with `just build`, or `cargo build --release -p {PROGRAM}`"
        )));
    };
    let error = Command::new(&program).args(&args.arguments).exec();
    Err(Failure::failed(format!("starting {}: {error}", program.display())))
}

fn first_file(mut candidates: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    candidates.find(|path: &PathBuf| Path::is_file(path))
}
