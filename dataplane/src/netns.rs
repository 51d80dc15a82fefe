//! A network namespace and a veth pair of one's own, for smoke runs, benchmarks and tests.
//!
//! The namespace has no name: it goes with its last thread and socket, so that nothing has to be
//! cleaned up and `kill -9` leaves nothing behind.

use std::fs::{self, File};
use std::marker::PhantomData;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};

use crate::link::Link;

/// How long a new interface may take until it is running.
const PATIENCE: Duration = Duration::from_secs(5);

/// A namespace or an interface in it that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {why}; needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN) and iproute2")]
pub struct NetNsError {
    doing: String,
    why: String,
}

fn failed(doing: impl Into<String>, why: impl ToString) -> NetNsError {
    NetNsError { doing: doing.into(), why: why.to_string() }
}

/// The calling thread's own network namespace, with `lo` up and IPv6 off (so that no router
/// solicitation or duplicate-address probe disturbs a count). Threads spawned meanwhile live in
/// it too. Dropped, the thread is back where it came from.
#[derive(Debug)]
pub struct NetNs {
    home: File,
    // The namespace belongs to the thread that entered it.
    _not_send: PhantomData<*const ()>,
}

impl NetNs {
    /// Moves the calling thread into a fresh namespace.
    ///
    /// # Errors
    /// When the host does not allow it, or `ip` is missing.
    pub fn enter() -> Result<Self, NetNsError> {
        run("ip", &["-V"])?;
        let home =
            File::open("/proc/thread-self/ns/net").map_err(|e| failed("opening /proc", e))?;
        unshare(CloneFlags::CLONE_NEWNET).map_err(|e| failed("unshare(CLONE_NEWNET)", e))?;
        let namespace = Self { home, _not_send: PhantomData };
        for scope in ["all", "default"] {
            let knob = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
            if Path::new(&knob).exists() {
                fs::write(&knob, "1").map_err(|e| failed(format!("writing {knob}"), e))?;
            }
        }
        ip("link set dev lo up")?;
        Ok(namespace)
    }

    /// Makes the veth pair `a` and `b` in this namespace, both up and running.
    ///
    /// # Errors
    /// When a command fails or the pair does not come up.
    #[allow(clippy::unused_self, reason = "a pair is made in the namespace that was entered")]
    pub fn veth_pair(&self, a: &str, b: &str, options: VethOptions) -> Result<(), NetNsError> {
        let VethOptions { queues, mtu } = options;
        let side = format!("mtu {mtu} numrxqueues {queues} numtxqueues {queues}");
        ip(&format!("link add name {a} {side} type veth peer name {b} {side}"))?;
        for name in [a, b] {
            // Offloads would leave checksums open and merge frames; what is sent is to arrive.
            // Without ethtool only traffic of the kernel's own sockets would be changed by them.
            for offload in ["tx", "gso", "tso", "gro"] {
                let _ = run("ethtool", &["-K", name, offload, "off"]);
            }
            ip(&format!("link set dev {name} up"))?;
        }
        // The queueing discipline is attached by the kernel's link watch, some time after "up".
        for name in [a, b] {
            let deadline = Instant::now() + PATIENCE;
            while !Link::find(name).map_err(|e| failed("looking at the pair", e))?.running {
                if Instant::now() >= deadline {
                    return Err(failed("waiting for the pair", format!("{name} stays down")));
                }
                thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }
}

impl Drop for NetNs {
    fn drop(&mut self) {
        // The thread was there before, so the kernel has no reason to refuse; if it does, the
        // thread stays in a namespace that is still its own.
        if let Err(error) = setns(&self.home, CloneFlags::CLONE_NEWNET) {
            tracing::warn!("leaving a network namespace: {error}");
        }
    }
}

/// How [`NetNs::veth_pair`] makes both ends.
#[derive(Clone, Copy, Debug)]
pub struct VethOptions {
    /// Receive and transmit queues of each end.
    pub queues: u32,
    /// Largest payload of a frame in bytes, Ethernet header not counted.
    pub mtu: u32,
}

impl Default for VethOptions {
    fn default() -> Self {
        Self { queues: 1, mtu: 1500 }
    }
}

/// Runs `ip` with `arguments` (split at blanks) in the calling thread's namespace.
///
/// # Errors
/// When it fails, with what it printed.
pub fn ip(arguments: &str) -> Result<(), NetNsError> {
    let words: Vec<_> = arguments.split_whitespace().collect();
    run("ip", &words).map(drop)
}

/// Runs a command in the calling thread's namespace and gives its standard output.
///
/// # Errors
/// When it cannot be started or fails, with what it printed.
pub fn run(program: &str, arguments: &[&str]) -> Result<String, NetNsError> {
    let doing = || format!("{program} {}", arguments.join(" "));
    let output = Command::new(program).args(arguments).output().map_err(|e| failed(doing(), e))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(doing(), String::from_utf8_lossy(&output.stderr).trim()))
}
