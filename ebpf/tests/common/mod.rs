//! What the tests share: a network namespace of their own, links in it, frames.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod foreign;
pub(crate) mod frames;
pub(crate) mod xsk;

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};

/// Moves the calling thread into a network namespace that goes with it, `lo` up. False, with the
/// reason printed, where the host does not allow it.
pub(crate) fn own_netns() -> bool {
    if let Err(e) = unshare(CloneFlags::CLONE_NEWNET) {
        println!("skipped: no network namespace of its own: {e}");
        return false;
    }
    ip("link set dev lo up")
}

/// Runs `ip` with `args` in the thread's namespace. False, with the reason printed, where the
/// program or the kind of link is missing; any other failure is the test's own fault.
pub(crate) fn ip(args: &str) -> bool {
    let out = match Command::new("ip").args(args.split_whitespace()).output() {
        Ok(out) => out,
        Err(e) => {
            println!("skipped: ip {args}: {e}");
            return false;
        }
    };
    let why = String::from_utf8_lossy(&out.stderr);
    let lacking = why.contains("not supported") || why.contains("Unknown device type");
    assert!(out.status.success() || lacking, "ip {args}: {why}");
    if lacking {
        println!("skipped: ip {args}: {}", why.trim());
    }
    out.status.success()
}

/// A namespace with a veth pair `a`–`b` in it, both up, with `queues` queues each, quiet.
pub(crate) fn veth(queues: u32) -> bool {
    own_netns()
        && ip(&format!(
            "link add name a numrxqueues {queues} numtxqueues {queues} type veth \
             peer name b numrxqueues {queues} numtxqueues {queues}"
        ))
        && ["a", "b"].iter().all(|link| {
            ip(&format!("link set dev {link} addrgenmode none"))
                && ip(&format!("link set dev {link} up"))
        })
}

/// Waits until `done` holds; panics when it does not within ten seconds.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited ten seconds for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The thread's index of interface `name`.
pub(crate) fn ifindex(name: &str) -> i32 {
    i32::try_from(nix::net::if_::if_nametoindex(name).unwrap()).unwrap()
}

/// Puts `frame` on the wire of interface `name`, `count` times.
pub(crate) fn send(name: &str, frame: &[u8], count: usize) {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    use std::os::fd::AsRawFd;

    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None).unwrap();
    // SAFETY: an all-zero address is a valid one; the fields that count are set below.
    let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    to.sll_family = libc::AF_PACKET as u16;
    to.sll_ifindex = ifindex(name);
    for _ in 0..count {
        // SAFETY: both pointers are to live values of the lengths given.
        let sent = unsafe {
            libc::sendto(
                socket.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const to).cast(),
                size_of_val(&to) as u32,
            )
        };
        assert_eq!(sent, frame.len() as isize, "{}", std::io::Error::last_os_error());
    }
}

/// Whether this process may not load programs.
pub(crate) fn unprivileged() -> bool {
    !nix::unistd::geteuid().is_root()
}

/// The running kernel's release: major, minor.
pub(crate) fn kernel() -> (u32, u32) {
    let release = nix::sys::utsname::uname().unwrap().release().to_string_lossy().into_owned();
    let mut parts = release.split('.').map(|p| p.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Whether a program may fail to load here: no privilege, or a kernel without multi-buffer XDP.
pub(crate) fn excused(variant: pfs_ebpf::Variant) -> bool {
    unprivileged() || variant == pfs_ebpf::Variant::Frags && kernel() < (5, 18)
}
