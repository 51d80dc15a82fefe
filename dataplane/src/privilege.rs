//! Giving privilege up: data threads keep none after start-up.

use std::io;

/// `struct __user_cap_header_struct` and two `__user_cap_data_struct`s of capget(2), version 3.
#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const VERSION_3: u32 = 0x2008_0522;

/// Capabilities by number, as capabilities(7) lists those that this program has use for.
pub const CAP_NET_ADMIN: u32 = 12;
/// Raw and packet sockets.
pub const CAP_NET_RAW: u32 = 13;
/// Locking memory beyond `RLIMIT_MEMLOCK`.
pub const CAP_IPC_LOCK: u32 = 14;
/// Namespaces and much else.
pub const CAP_SYS_ADMIN: u32 = 21;
/// Performance counters, and some BPF helpers.
pub const CAP_PERFMON: u32 = 38;
/// Loading BPF programs and making maps.
pub const CAP_BPF: u32 = 39;

/// Drops every capability of the calling thread and forbids gaining any by exec.
///
/// # Errors
/// The kernel's answer; dropping needs no privilege, so this fails only under a sandbox.
pub fn drop_all() -> io::Result<()> {
    // SAFETY: PR_SET_NO_NEW_PRIVS takes no pointer.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let header = CapHeader { version: VERSION_3, pid: 0 };
    let none = [CapData::default(); 2];
    // SAFETY: version 3 reads one header and two data structs, which is what both point to.
    match unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether the calling thread has `capability` (a `CAP_*` number) in its effective set.
#[must_use]
pub fn has(capability: u32) -> bool {
    let header = CapHeader { version: VERSION_3, pid: 0 };
    let mut data = [CapData::default(); 2];
    // SAFETY: version 3 reads one header and writes two data structs, which is what both point to.
    let rc = unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) };
    let word = data.get(capability as usize / 32).map_or(0, |data| data.effective);
    rc == 0 && word >> (capability % 32) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_no_capability() {
        let kept = std::thread::spawn(|| {
            drop_all().unwrap();
            (0..64).filter(|&cap| has(cap)).count()
        });
        assert_eq!(kept.join().unwrap(), 0);
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let effective = status.lines().find_map(|l| l.strip_prefix("CapEff:")).unwrap();
        let mask = u64::from_str_radix(effective.trim(), 16).unwrap();
        for cap in 0..64 {
            assert_eq!(has(cap), mask >> cap & 1 == 1, "capability {cap}");
        }
    }
}
