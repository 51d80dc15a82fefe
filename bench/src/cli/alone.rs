//! `alone`: the process of one group, started by `all`.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::all::alone;

/// Becomes another subcommand, in a session and a scheduling group of its own.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The subcommand and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    arguments: Vec<OsString>,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        super::failed(alone(&self.arguments))
    }
}
