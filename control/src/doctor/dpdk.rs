//! DPDK: its release and drivers, and what its devices on the PCI bus need.

use std::fs;
use std::path::{Path, PathBuf};

use pfs_dataplane::dpdk::versions;

use super::{Finding, read};

/// Class of network controllers in `/sys/bus/pci/devices/*/class`.
const NETWORK: &str = "0x02";
/// Kernel drivers that give a device to user space.
const USER: [&str; 3] = ["vfio-pci", "uio_pci_generic", "igb_uio"];

pub(super) fn look() -> Vec<Finding> {
    let mut findings = vec![release(), drivers(), vfio()];
    findings.extend(devices());
    findings
}

fn release() -> Finding {
    let versions = versions();
    let found = format!("{} loaded, built with {}", versions.loaded, versions.compiled);
    Finding::ok("dpdk: release", found)
}

/// Poll-mode drivers are shared objects that EAL loads from one folder.
fn drivers() -> Finding {
    let folders = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/local/lib64",
        "/usr/local/lib",
    ];
    let plugins =
        folders.iter().flat_map(|lib| fs::read_dir(format!("{lib}/dpdk")).into_iter().flatten());
    let names = plugins.flatten().flat_map(|pmds| fs::read_dir(pmds.path()).into_iter().flatten());
    let mut found: Vec<String> = names
        .flatten()
        .filter_map(|file| {
            let name = file.file_name().to_string_lossy().into_owned();
            let name = name.strip_prefix("librte_net_")?.strip_suffix(".so")?.to_owned();
            Some(name)
        })
        .collect();
    found.sort();
    found.dedup();
    if found.is_empty() {
        return Finding::lack(
            "dpdk: drivers",
            "none found beside the library",
            "no device of DPDK can be opened",
            "apt-get install librte-net-af-packet23, or the package dpdk for all",
        );
    }
    Finding::ok("dpdk: drivers", format!("{} net drivers: {}", found.len(), found.join(" ")))
}

fn vfio() -> Finding {
    let groups = fs::read_dir("/sys/kernel/iommu_groups").into_iter().flatten().count();
    let loaded = Path::new("/sys/module/vfio_pci").exists();
    let subject = "dpdk: iommu and vfio";
    match (groups, loaded) {
        (0, _) => Finding::lack(
            subject,
            "no IOMMU group",
            "PCI devices can be had through uio_pci_generic only, which lets them reach all memory",
            "boot with intel_iommu=on or amd_iommu=on, and set the IOMMU on in the firmware",
        ),
        (groups, false) => Finding::lack(
            subject,
            format!("{groups} IOMMU groups, vfio-pci not loaded"),
            "PCI devices cannot be given to user space safely",
            "modprobe vfio-pci",
        ),
        (groups, true) => Finding::ok(subject, format!("{groups} IOMMU groups, vfio-pci loaded")),
    }
}

/// Network controllers: which driver has each, and how DPDK would get it.
fn devices() -> Vec<Finding> {
    let all = fs::read_dir("/sys/bus/pci/devices").into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = all
        .map(|device| device.path())
        .filter(|path| {
            let class = read(&path.join("class").to_string_lossy()).unwrap_or_default();
            class.starts_with(NETWORK)
        })
        .collect();
    paths.sort();
    paths.iter().map(|path| device(path)).collect()
}

fn device(path: &Path) -> Finding {
    let address = path.file_name().unwrap_or_default().to_string_lossy();
    let subject = format!("dpdk: {address}");
    let driver = fs::read_link(path.join("driver")).ok();
    let driver = driver.as_deref().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    if USER.contains(&driver.as_ref()) {
        return Finding::ok(subject, format!("bound to {driver}: --dev {address}"));
    }
    let interface = fs::read_dir(path.join("net")).into_iter().flatten().flatten().next();
    let interface =
        interface.map_or_else(String::new, |name| format!(" ({})", name.file_name().display()));
    let cause = if driver.is_empty() {
        "no driver".to_owned()
    } else {
        format!("the kernel's {driver}{interface}")
    };
    Finding::lack(
        subject,
        cause,
        "DPDK cannot have it while the kernel does",
        format!("dpdk-devbind.py -b vfio-pci {address} (it takes the interface away)"),
    )
}
