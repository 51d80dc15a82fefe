//! `pfs detach`: takes an XDP program off an interface, after saying whose it is.

use crate::cli::DetachArgs;
use crate::failure::Failure;
use crate::out;

/// Detaches our program from the interface; another's only with `--force`.
///
/// # Errors
/// When the interface is missing, the program is another's, or the kernel refuses.
pub(crate) fn detach(args: &DetachArgs) -> Result<(), Failure> {
    match pfs_ebpf::detach(&args.interface, args.force).map_err(Failure::failed)? {
        None => out::print(&format!("{}: no XDP program is attached\n", args.interface)),
        Some(program) => out::print(&format!("{}: detached {program}\n", args.interface)),
    }
}
