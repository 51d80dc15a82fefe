//! Huge pages, locked memory, and what dead processes left behind.

use pfs_rings::{PageSize, PageWish, Region, RegionRequest};

use super::{Finding, read};

pub(super) fn look() -> Vec<Finding> {
    let mut findings = vec![hugepages(2048, "2 MiB"), thp(), memlock(), udp_buffer()];
    findings.extend(cgroup());
    findings
}

fn hugepages(kib: u64, name: &str) -> Finding {
    let folder = format!("/sys/kernel/mm/hugepages/hugepages-{kib}kB");
    let number = |file: &str| -> u64 {
        read(&format!("{folder}/{file}")).and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    let (total, free) = (number("nr_hugepages"), number("free_hugepages"));
    let reserved = number("resv_hugepages");
    let usable = free.saturating_sub(reserved);
    let subject = format!("huge pages of {name}");
    if usable > 0 {
        return Finding::ok(subject, format!("{usable} of {total} free"));
    }
    let cause = if total == 0 { "none set up".to_owned() } else { format!("all {total} in use") };
    Finding::lack(
        subject,
        cause,
        "rings and frames take transparent huge pages or 4 KiB pages: more TLB misses",
        format!("echo {} > {folder}/nr_hugepages", total + 256),
    )
}

/// Asked of the kernel itself, by taking a small region: its settings alone do not tell.
fn thp() -> Finding {
    let subject = "transparent huge pages for regions";
    let request = RegionRequest::new(4 << 20).with_pages(PageWish::Exact(PageSize::Thp));
    match Region::create(&request) {
        Ok(_) => Finding::ok(subject, "granted"),
        Err(error) => Finding::lack(
            subject,
            error.to_string(),
            "without reserved huge pages, regions are of 4 KiB pages: more TLB misses",
            "echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled",
        ),
    }
}

fn memlock() -> Finding {
    let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_MEMLOCK);
    let soft = limit.map_or(0, |(soft, _)| soft);
    let exempt = pfs_dataplane::privilege::has(pfs_dataplane::privilege::CAP_IPC_LOCK);
    if soft >= 64 << 20 || exempt {
        let why = if exempt { " (cap_ipc_lock: no limit)" } else { "" };
        return Finding::ok("locked memory", format!("{} KiB{why}", soft / 1024));
    }
    Finding::lack(
        "locked memory",
        format!("RLIMIT_MEMLOCK is {} KiB", soft / 1024),
        "rings larger than that are not locked, and may be paged out",
        "ulimit -l unlimited (as root), or LimitMEMLOCK=infinity in the unit",
    )
}

fn udp_buffer() -> Finding {
    let max: u64 =
        read("/proc/sys/net/core/rmem_max").and_then(|text| text.parse().ok()).unwrap_or(0);
    if max >= 4 << 20 {
        return Finding::ok("udp receive buffer", format!("up to {max} B"));
    }
    Finding::lack(
        "udp receive buffer",
        format!("net.core.rmem_max is {max} B"),
        "without cap_net_admin the udp backend loses bursts beyond that",
        "sysctl -w net.core.rmem_max=16777216",
    )
}

/// The cgroup's own limit on huge pages: with it reached, a mapping succeeds and its first
/// touch would be fatal, which is why regions are allocated before they are touched.
fn cgroup() -> Option<Finding> {
    let own = read("/proc/self/cgroup")?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned();
    let file = format!("/sys/fs/cgroup{path}/hugetlb.2MB.max");
    let max = read(&file)?;
    if max == "max" {
        return Some(Finding::ok("cgroup limit on huge pages", "none"));
    }
    Some(Finding::lack(
        "cgroup limit on huge pages",
        format!("{max} B"),
        "regions beyond that fall back to smaller pages",
        format!("echo max > {file}"),
    ))
}
