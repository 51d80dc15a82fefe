//! The `pfs` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    pfs_control::main()
}
