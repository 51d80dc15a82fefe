//! The machine: what it is, which core a thread is on, and the processor time that it used.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::time::TimeValLike;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
pub use pfs_dataplane::pcpu::cycles;
use pfs_dataplane::pin;
use serde::{Deserialize, Serialize};

/// Where and when figures were taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Day, in UTC.
    pub date: String,
    /// Processor's name.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Whether a hypervisor is below.
    pub virtual_machine: bool,
    /// Kernel release, without what its builder added.
    pub kernel: String,
    /// Commit of the source, with `+` when it was changed since.
    pub commit: String,
    /// Runnable tasks over the last minute when the group began.
    pub load: String,
}

impl Environment {
    /// Reads it; what cannot be read is empty.
    #[must_use]
    pub fn read() -> Self {
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = processor.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map_or("", |(_, value)| value.trim()).to_owned()
        };
        let changed = !said("git", &["status", "--porcelain"]).is_empty();
        Self {
            date: said("date", &["-u", "+%Y-%m-%d"]),
            processor: field("model name"),
            cores: pin::allowed_cores().map_or(1, |cores| cores.len()),
            virtual_machine: field("flags").split(' ').any(|flag| flag == "hypervisor"),
            kernel: said("uname", &["-r"]).split('-').next().unwrap_or_default().to_owned(),
            commit: said("git", &["rev-parse", "--short", "HEAD"]) + if changed { "+" } else { "" },
            load: fs::read_to_string("/proc/loadavg")
                .unwrap_or_default()
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned(),
        }
    }
}

/// First line that a command prints; empty when it fails.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

/// Nanoseconds that process `pid` has run, its ended threads among them; `None` when it is gone.
///
/// The kernel's clock of the process, which counts what the scheduler gave it; time in interrupts
/// is another's only where the kernel accounts for them.
#[must_use]
pub fn cpu_ns(pid: u32) -> Option<u64> {
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
    let time = clock_gettime(clock).ok()?;
    u64::try_from(time.num_nanoseconds()).ok()
}

/// Lets the calling thread, and what it starts, run on `cores` alone, by the kernel's ids.
///
/// # Errors
/// When there is no such core, or it is not this process's to use.
pub fn run_on(cores: &[u32]) -> Result<(), String> {
    let mut set = CpuSet::new();
    let added = cores.iter().try_for_each(|&core| set.set(core as usize));
    added
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
        .map_err(|error| format!("moving to cores {cores:?}: {error}; see `taskset -cp $$`"))
}

/// The two cores that groups run on: the receiver's, and the sender's or worker's; the same one
/// twice where there is only one. Those that the process had when this was first called.
#[must_use]
pub fn two_cores() -> [u32; 2] {
    static CORES: OnceLock<[u32; 2]> = OnceLock::new();
    *CORES.get_or_init(|| match pin::allowed_cores().unwrap_or_default().as_slice() {
        [] => [0, 0],
        [only] => [*only, *only],
        [first, second, ..] => [*first, *second],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_grows_with_work() {
        let me = std::process::id();
        let before = cpu_ns(me).expect("own process");
        let mut sum = 0u64;
        for n in 0..20_000_000u64 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(n));
        }
        let after = cpu_ns(me).expect("own process");
        assert!(after > before, "{before} {after} {sum}");
        assert_eq!(cpu_ns(u32::MAX), None);
    }

    #[test]
    fn the_environment_names_kernel_and_cores() {
        let environment = Environment::read();
        assert!(environment.cores > 0);
        assert!(!environment.kernel.is_empty());
    }
}
