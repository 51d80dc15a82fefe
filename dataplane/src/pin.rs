//! Pinning: a thread on the core that the plan names, and on no other.

use std::io;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// A thread that cannot be pinned as asked.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The core does not exist or is offline.
    #[error("core {core} does not exist: this host has cores {online} online")]
    NoSuchCore {
        /// The kernel's id of the core, as asked.
        core: u32,
        /// Online cores, as the kernel lists them.
        online: String,
    },
    /// The core exists, but this process may not run on it.
    #[error(
        "core {core} is outside this process's cpuset ({allowed}); choose one of these, or start pfs with `taskset -c {core}` or in a cpuset that holds it"
    )]
    NotAllowed {
        /// The kernel's id of the core.
        core: u32,
        /// Cores that the process may use.
        allowed: String,
    },
    /// The kernel took the mask but the thread is elsewhere.
    #[error("the thread was pinned to core {core} but its mask reads {got}")]
    Elsewhere {
        /// The core asked for.
        core: u32,
        /// The mask read back.
        got: String,
    },
    /// The affinity mask could not be read.
    #[error("reading the affinity mask: {0}")]
    Read(#[from] io::Error),
}

/// Cores that this process may run on, by the kernel's ids, ascending.
///
/// Taken from the main thread's mask, not the caller's, which may be pinned already.
///
/// # Errors
/// [`PinError::Read`] when the kernel refuses to tell.
pub fn allowed_cores() -> Result<Vec<u32>, PinError> {
    mask_of(Pid::this())
}

fn mask_of(thread: Pid) -> Result<Vec<u32>, PinError> {
    let set = sched_getaffinity(thread).map_err(io::Error::from)?;
    Ok((0..CpuSet::count())
        .filter(|&core| set.is_set(core).unwrap_or(false))
        .map(|c| c as u32)
        .collect())
}

/// Checks that `core` can be pinned to, without pinning.
///
/// # Errors
/// [`PinError::NoSuchCore`] or [`PinError::NotAllowed`].
pub fn check(core: u32) -> Result<(), PinError> {
    let allowed = allowed_cores()?;
    if allowed.contains(&core) {
        return Ok(());
    }
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online")?.trim().to_owned();
    if in_list(&online, core) {
        Err(PinError::NotAllowed { core, allowed: list(&allowed) })
    } else {
        Err(PinError::NoSuchCore { core, online })
    }
}

/// Pins the calling thread to `core` (the kernel's id) and verifies it.
///
/// # Errors
/// As [`check`], and [`PinError::Elsewhere`] when the mask read back is not `core` alone.
pub fn pin(core: u32) -> Result<(), PinError> {
    check(core)?;
    core_affinity::set_for_current(core_affinity::CoreId { id: core as usize });
    let got = mask_of(nix::unistd::gettid())?;
    if got == [core] { Ok(()) } else { Err(PinError::Elsewhere { core, got: list(&got) }) }
}

/// Whether the kernel's list (`0-3,8`) holds `core`.
fn in_list(list: &str, core: u32) -> bool {
    list.split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        matches!((first.parse::<u32>(), last.parse::<u32>()), (Ok(a), Ok(b)) if (a..=b).contains(&core))
    })
}

fn list(cores: &[u32]) -> String {
    cores.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_is_on_its_core() {
        let core = *allowed_cores().unwrap().last().unwrap();
        let there = std::thread::spawn(move || {
            pin(core).unwrap();
            mask_of(nix::unistd::gettid()).unwrap()
        });
        assert_eq!(there.join().unwrap(), [core]);
    }

    #[test]
    fn a_core_that_does_not_exist_is_named() {
        let error = check(1020).unwrap_err();
        assert!(matches!(error, PinError::NoSuchCore { core: 1020, .. }), "{error}");
    }

    #[test]
    fn kernel_lists() {
        assert!(in_list("0-3,8", 2) && in_list("0-3,8", 8) && in_list("0", 0));
        assert!(!in_list("0-3,8", 5) && !in_list("", 0));
    }
}
