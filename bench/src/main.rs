//! The `pfs-bench` command.

use std::process::ExitCode;

use pfs_bench::heap::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    pfs_bench::cli::main()
}
