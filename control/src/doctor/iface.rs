//! One interface: state, driver, queues, offloads, and whose XDP program it has.

use std::process::Command;

use pfs_dataplane::link::{Link, LinkError};
use pfs_ebpf::attached_program;

use super::Finding;

/// Drivers whose native XDP is known to work.
const NATIVE: [&str; 16] = [
    "atlantic",
    "bnxt_en",
    "dpaa2-eth",
    "ena",
    "gve",
    "i40e",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "mlx4_en",
    "mlx5_core",
    "tun",
    "veth",
    "virtio_net",
    "vmxnet3",
];
/// Offloads that AF_XDP does not get along with, and why.
const OFFLOADS: [(&str, &str); 4] = [
    ("large-receive-offload", "merged frames are larger than a buffer"),
    ("rx-gro-hw", "merged frames are larger than a buffer"),
    ("rx-udp-gro-forwarding", "datagrams of one flow arrive merged"),
    ("rx-vlan-offload", "VLAN tags are stripped before the XDP program sees them"),
];

pub(super) fn look(name: &str) -> Result<Vec<Finding>, LinkError> {
    let link = Link::find(name)?;
    let mut findings = vec![state(&link), driver(&link), queues(&link), program(name)];
    findings.extend(offloads(name));
    Ok(findings)
}

fn state(link: &Link) -> Finding {
    let subject = format!("{}: state", link.name);
    if link.up && link.running {
        return Finding::ok(subject, format!("up, MTU {}", link.mtu));
    }
    let cause = if link.up { "up without carrier" } else { "down" };
    let command = format!("ip link set dev {} up", link.name);
    Finding::lack(subject, cause, "nothing can be received", command)
}

fn driver(link: &Link) -> Finding {
    let subject = format!("{}: driver", link.name);
    if NATIVE.contains(&link.driver.as_str()) {
        return Finding::ok(subject, format!("{}, native XDP", link.driver));
    }
    let driver = if link.driver.is_empty() { "none" } else { &link.driver };
    Finding::lack(
        subject,
        format!("{driver} is not known for native XDP"),
        "af_xdp runs in generic mode, after the kernel has made a socket buffer of each frame",
        "use a NIC whose driver has native XDP, or the backend af_packet",
    )
}

fn queues(link: &Link) -> Finding {
    Finding::ok(
        format!("{}: queues", link.name),
        format!("{} receive, {} transmit", link.rx_queues, link.tx_queues),
    )
}

fn program(name: &str) -> Finding {
    let subject = format!("{name}: XDP program");
    match attached_program(name) {
        Ok(None) => Finding::ok(subject, "none attached"),
        Ok(Some(program)) => Finding::lack(
            subject,
            program.to_string(),
            "another program is never replaced: af_xdp is refused here while it is attached",
            program.detach_command(),
        ),
        Err(error) => {
            Finding::lack(subject, error.to_string(), "its owner is unknown", "run as root")
        }
    }
}

/// Offloads that are on and should not be. Without ethtool nothing is known of them.
fn offloads(name: &str) -> Vec<Finding> {
    let Ok(output) = Command::new("ethtool").args(["-k", name]).output() else {
        return Vec::new();
    };
    let features = String::from_utf8_lossy(&output.stdout).into_owned();
    let on = |offload: &str| {
        features.lines().any(|line| {
            line.trim().strip_prefix(offload).is_some_and(|rest| rest.starts_with(": on"))
        })
    };
    OFFLOADS
        .iter()
        .filter(|(offload, _)| on(offload))
        .map(|(offload, why)| {
            let short = if *offload == "rx-vlan-offload" { "rxvlan" } else { offload };
            Finding::lack(
                format!("{name}: offload"),
                format!("{offload} is on"),
                format!("with af_xdp {why}"),
                format!("ethtool -K {name} {short} off"),
            )
        })
        .collect()
}
