//! `pfs detach`: takes an XDP program off an interface, after saying whose it is.

use crate::cli::DetachArgs;
use crate::failure::Failure;

/// Detaches our program from the interface; another's only with `--force`.
///
/// # Errors
/// When the interface is missing, the program is another's, or the kernel refuses.
pub(crate) fn detach(args: &DetachArgs) -> Result<(), Failure> {
    match pfs_ebpf::detach(&args.interface, args.force).map_err(Failure::failed)? {
        None => println!("{}: no XDP program is attached", args.interface),
        Some(program) => println!("{}: detached {program}", args.interface),
    }
    Ok(())
}
