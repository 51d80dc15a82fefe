//! Namespaces and veth pairs for tests that need a real interface.
//!
//! Each test thread gets an unnamed network namespace of its own: nothing to clean up, nothing
//! left behind by a crash, and tests may all call their interfaces `a` and `b`.

use std::fs::{self, File};
use std::marker::PhantomData;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};

use pfs_rings::Desc;

use crate::link::Link;
use crate::receivers::Receive;

/// The calling thread's own network namespace, with `lo` up and IPv6 off (so that no router
/// solicitation or duplicate-address probe disturbs a count). Dropped, the thread is back
/// where it came from; the namespace goes with its last socket.
#[derive(Debug)]
pub(crate) struct NetNs {
    home: File,
    // The namespace belongs to the thread that entered it.
    _not_send: PhantomData<*const ()>,
}

impl NetNs {
    /// Enters a fresh namespace, or prints `skipped: <reason>` and gives `None` where the host
    /// does not allow it. `let Some(_ns) = NetNs::enter() else { return };`
    pub(crate) fn enter() -> Option<Self> {
        Self::try_enter().map_err(|reason| println!("skipped: {reason}")).ok()
    }

    fn try_enter() -> Result<Self, String> {
        run("ip", &["-V"])?;
        let home = File::open("/proc/thread-self/ns/net").map_err(|e| format!("/proc: {e}"))?;
        unshare(CloneFlags::CLONE_NEWNET).map_err(|e| format!("unshare(CLONE_NEWNET): {e}"))?;
        let namespace = Self { home, _not_send: PhantomData };
        for scope in ["all", "default"] {
            let knob = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
            if Path::new(&knob).exists() {
                fs::write(&knob, "1").map_err(|e| format!("{knob}: {e}"))?;
            }
        }
        ip("link set dev lo up");
        Ok(namespace)
    }

    /// Makes the veth pair `a` and `b` in this namespace, both up and running.
    ///
    /// # Panics
    /// When a command fails: in a namespace of our own that is a defect, not a lack of rights.
    #[allow(clippy::unused_self, reason = "a pair is made in the namespace that was entered")]
    pub(crate) fn veth_pair(&self, a: &str, b: &str, options: VethOptions) {
        let VethOptions { queues, mtu } = options;
        let side = format!("mtu {mtu} numrxqueues {queues} numtxqueues {queues}");
        ip(&format!("link add name {a} {side} type veth peer name {b} {side}"));
        for name in [a, b] {
            // Offloads would leave checksums open and merge frames; a test wants bytes as sent.
            // Where ethtool is missing the tests still hold: they compute their own checksums.
            for offload in ["tx", "gso", "tso", "gro"] {
                let _ = run("ethtool", &["-K", name, offload, "off"]);
            }
            ip(&format!("link set dev {name} up"));
        }
        // The queueing discipline is attached by the kernel's link watch, some time after "up".
        for name in [a, b] {
            let deadline = Instant::now() + Duration::from_secs(5);
            while !Link::find(name).expect("just made").running {
                assert!(Instant::now() < deadline, "{name} does not come up");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

impl Drop for NetNs {
    fn drop(&mut self) {
        setns(&self.home, CloneFlags::CLONE_NEWNET).expect("the thread's own earlier namespace");
    }
}

/// How [`NetNs::veth_pair`] makes both ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VethOptions {
    /// Receive and transmit queues of each end.
    pub(crate) queues: u32,
    /// Largest payload of a frame in bytes, Ethernet header not counted.
    pub(crate) mtu: u32,
}

impl Default for VethOptions {
    fn default() -> Self {
        Self { queues: 1, mtu: 1500 }
    }
}

/// Runs `ip` with `arguments` (split at blanks) in the calling thread's namespace.
///
/// # Panics
/// When it fails, with what it printed.
pub(crate) fn ip(arguments: &str) {
    let words: Vec<_> = arguments.split_whitespace().collect();
    if let Err(reason) = run("ip", &words) {
        panic!("{reason}");
    }
}

/// Runs a command and gives its standard output, or what went wrong.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {}: {}", arguments.join(" "), said.trim()))
}

/// A frame of `len` bytes (14 or more) of the experimental EtherType 0x88B5, which no stack
/// answers to; `tag` makes its content its own.
pub(crate) fn frame(len: usize, tag: u32) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];
    frame.extend(tag.to_be_bytes());
    frame.extend((frame.len()..len.max(frame.len())).map(|at| (at as u32 ^ tag) as u8));
    frame.truncate(len);
    frame
}

/// A copy of the span that `desc`, which is on loan to the caller, names.
pub(crate) fn bytes_of(receiver: &impl Receive, desc: &Desc) -> Vec<u8> {
    let region = receiver.region();
    // SAFETY: on loan to the caller, who has no slice of it: the tests use this function alone.
    unsafe { region.bytes_mut(desc) }.expect("inside the region").to_vec()
}
