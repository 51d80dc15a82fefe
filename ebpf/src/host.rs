//! What this host and process allow: capabilities, locked memory, release.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Capabilities that loading and attaching need, by number (`linux/capability.h`). CAP_PERFMON:
/// the verifier lets no other process do arithmetic on packet pointers.
const NEEDED: [(u32, &str); 3] = [(12, "CAP_NET_ADMIN"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];
/// Stands in for each of them.
const CAP_SYS_ADMIN: u32 = 21;

/// The running kernel's release, as `uname -r` prints it.
pub(crate) fn release() -> String {
    nix::sys::utsname::uname()
        .map_or_else(|_| "unknown".to_owned(), |u| u.release().to_string_lossy().into_owned())
}

/// Release as major and minor; 0.0 when it cannot be read.
pub(crate) fn version() -> (u32, u32) {
    let release = release();
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|p| p.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Which capabilities this thread lacks, with commas between; `None` when it has all.
pub(crate) fn missing() -> Option<String> {
    let held = effective();
    let has = |cap: u32| held >> cap & 1 != 0;
    let lacks = |&&(cap, _): &&(u32, &str)| !has(cap) && !has(CAP_SYS_ADMIN);
    let names: Vec<&str> = NEEDED.iter().filter(lacks).map(|&(_, name)| name).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// What to say where the kernel answers EPERM.
pub(crate) fn capability_advice() -> String {
    match missing() {
        Some(names) => format!(
            "missing {names}; run as root, or: setcap {}+ep \"$(command -v pfs)\"",
            names.to_lowercase().replace(", ", ",")
        ),
        None => "no needed capability is missing in this user namespace, so a container, \
                 lockdown or seccomp forbids bpf; run outside it"
            .to_owned(),
    }
}

/// The effective set of this thread as a bit mask; 0 when it cannot be read.
fn effective() -> u64 {
    std::fs::read_to_string("/proc/thread-self/status")
        .ok()
        .and_then(|text| {
            let line = text.lines().find_map(|l| l.strip_prefix("CapEff:"))?;
            u64::from_str_radix(line.trim(), 16).ok()
        })
        .unwrap_or(0)
}

/// Lifts the limit on locked memory, which kernels before 5.11 hold maps and programs against.
/// A refusal is not fatal: where it matters, creating a map fails and says so.
pub(crate) fn lift_memlock() {
    if version() >= (5, 11) {
        return;
    }
    let Ok((_, hard)) = getrlimit(Resource::RLIMIT_MEMLOCK) else { return };
    let unlimited = libc::RLIM_INFINITY;
    if setrlimit(Resource::RLIMIT_MEMLOCK, unlimited, unlimited).is_err() {
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, hard, hard);
        tracing::debug!(hard, "RLIMIT_MEMLOCK stays at its hard limit");
    }
}
