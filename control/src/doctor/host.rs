//! Kernel, capabilities, cores, clock, tools.

use pfs_dataplane::pcpu::Isa;
use pfs_dataplane::pin;
use pfs_dataplane::privilege::{
    self, CAP_BPF, CAP_IPC_LOCK, CAP_NET_ADMIN, CAP_NET_RAW, CAP_PERFMON, CAP_SYS_ADMIN,
};

use super::{Finding, read};
use crate::plan::features;

/// Capabilities, what each is for, and whether every privileged backend wants it.
const CAPABILITIES: [(u32, &str, &str); 6] = [
    (CAP_NET_RAW, "cap_net_raw", "af_packet and af_xdp cannot open their sockets"),
    (
        CAP_NET_ADMIN,
        "cap_net_admin",
        "af_xdp cannot attach its program; af_packet cannot be promiscuous",
    ),
    (CAP_BPF, "cap_bpf", "af_xdp cannot load its program"),
    (CAP_PERFMON, "cap_perfmon", "the kernel's verifier refuses the program of af_xdp"),
    (CAP_IPC_LOCK, "cap_ipc_lock", "memory cannot be locked beyond RLIMIT_MEMLOCK"),
    (
        CAP_SYS_ADMIN,
        "cap_sys_admin",
        "pfs smoke cannot make a network namespace: its veth legs are left out",
    ),
];

pub(super) fn look() -> Vec<Finding> {
    let mut findings = vec![build(), kernel()];
    findings
        .extend(CAPABILITIES.map(|(cap, name, consequence)| capability(cap, name, consequence)));
    findings.extend([jit(), cores(), clock(), kernels()]);
    findings.extend(["ip", "ethtool"].map(tool));
    findings
}

fn build() -> Finding {
    let built = features();
    let missing: Vec<&str> = [("af-xdp", "af_xdp"), ("dpdk", "dpdk")]
        .into_iter()
        .filter(|(feature, _)| !built.iter().any(|built| built == feature))
        .map(|(_, backend)| backend)
        .collect();
    if missing.is_empty() {
        return Finding::ok("build", "all receivers: af_packet, af_xdp, dpdk, udp, pcap, memory");
    }
    Finding::lack(
        "build",
        "not all optional backends are in it",
        format!("missing: {}", missing.join(", ")),
        "just setup && just build",
    )
}

fn kernel() -> Finding {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut parts = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    match version {
        (0..5, _) | (5, 0..10) => Finding::lack(
            "kernel",
            format!("{release} is older than 5.10"),
            "the XDP program may not load",
            "upgrade the kernel to 5.10 or later",
        ),
        (5, _) | (6, 0..6) => Finding::lack(
            "kernel",
            format!("{release} is older than 6.6"),
            "af_xdp takes no frames larger than its buffers (jumbo frames)",
            "upgrade the kernel to 6.6 or later, or keep the MTU at 3,400 or less",
        ),
        _ => Finding::ok("kernel", release),
    }
}

fn capability(cap: u32, name: &str, consequence: &str) -> Finding {
    if privilege::has(cap) {
        return Finding::ok("capability", name);
    }
    Finding::lack(
        "capability",
        format!("{name} is not held"),
        consequence,
        format!("run as root, or: sudo setcap {name}+ep $(command -v pfs)"),
    )
}

fn jit() -> Finding {
    match read("/proc/sys/net/core/bpf_jit_enable").as_deref() {
        Some("0") => Finding::lack(
            "bpf jit",
            "off",
            "the XDP program is interpreted, several times slower",
            "sysctl -w net.core.bpf_jit_enable=1",
        ),
        Some(_) => Finding::ok("bpf jit", "on"),
        None => Finding::ok("bpf jit", "not told to this namespace"),
    }
}

fn cores() -> Finding {
    let allowed = match pin::allowed_cores() {
        Ok(allowed) => allowed,
        Err(error) => {
            let mend = "look at /proc/self/status, Cpus_allowed_list";
            return Finding::lack("cores", error.to_string(), "threads cannot be pinned", mend);
        }
    };
    let isolated = read("/sys/devices/system/cpu/isolated").unwrap_or_default();
    let list = allowed.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    if allowed.len() < 2 {
        return Finding::lack(
            "cores",
            format!("only core {list} is allowed"),
            "receiver and worker share it: plans need run_to_completion",
            "taskset -c 0-1 pfs ..., or widen the cpuset",
        );
    }
    let isolated = if isolated.is_empty() { "none".to_owned() } else { isolated };
    Finding::ok("cores", format!("{list} allowed; isolated: {isolated}"))
}

fn clock() -> Finding {
    let source = read("/sys/devices/system/clocksource/clocksource0/current_clocksource")
        .unwrap_or_default();
    let flags = read("/proc/cpuinfo").unwrap_or_default();
    if cfg!(target_arch = "x86_64") && !flags.contains("constant_tsc") {
        return Finding::lack(
            "clock",
            "the time-stamp counter's rate is not constant",
            "cycle counts cannot be compared with time",
            "none in software; read rates, not cycles",
        );
    }
    Finding::ok("clock", format!("clocksource {source}, constant tsc"))
}

fn kernels() -> Finding {
    Finding::ok("kernels", format!("{} chosen", Isa::detect().name()))
}

fn tool(name: &str) -> Finding {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    if let Some(folder) = folders.find(|folder| folder.join(name).is_file()) {
        return Finding::ok("tool", folder.join(name).display().to_string());
    }
    let package = if name == "ip" { "iproute2" } else { name };
    Finding::lack(
        "tool",
        format!("{name} is not installed"),
        "pfs smoke cannot make its veth pair as it wants it",
        format!("apt-get install {package}"),
    )
}
