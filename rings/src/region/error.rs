//! Why a region could not be had, and the command that mends it.

use std::io;
use std::path::PathBuf;

use super::PageSize;

/// A region that cannot be made or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegionError {
    /// A system call failed.
    #[error("{doing}: {source}{}", remedy(.fix))]
    Os {
        /// What was being done, with its object.
        doing: String,
        /// The kernel's answer.
        source: io::Error,
        /// What mends it, as a command; may be empty.
        fix: String,
    },
    /// The hugetlb pool has too few free pages.
    #[error(
        "allocating {need} pages of {pages}: the pool has {free} free; \
         `echo {} > /sys/kernel/mm/hugepages/hugepages-{}kB/nr_hugepages`{}",
        .total + .need.saturating_sub(*.free),
        .pages.bytes() >> 10,
        same_as(*.pages, .total + .need.saturating_sub(*.free))
    )]
    PoolShort {
        /// Size of the pool's pages.
        pages: PageSize,
        /// Pages that the region needs.
        need: u64,
        /// Pages free when it was tried.
        free: u64,
        /// Pages in the pool, free or not.
        total: u64,
    },
    /// The kernel gave no huge page for a transparent one.
    #[error(
        "collapsing the region to transparent huge pages: the kernel gave none; \
         `echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled`, \
         and `echo 1 > /proc/sys/vm/compact_memory` where memory is fragmented"
    )]
    NoThp,
    /// A region of no byte, or of more than the address space holds.
    #[error("making a region of {0} bytes: the size must be between 1 byte and 2^46 bytes")]
    BadSize(u64),
    /// The asked NUMA node does not exist.
    #[error("binding to NUMA node {node}: the host has nodes {online}; see `numactl -H`")]
    NoSuchNode {
        /// The node asked for.
        node: u32,
        /// The nodes that are online, as the kernel lists them.
        online: String,
    },
    /// The file's directory is no hugetlbfs mount.
    #[error(
        "making {path}: {} is no hugetlbfs of 2 MiB or 1 GiB pages; \
         `mount -t hugetlbfs -o pagesize=2M none {}`",
        parent(.path), parent(.path)
    )]
    NotHugetlbfs {
        /// The file asked for.
        path: PathBuf,
    },
    /// The mount's pages are not the ones asked for.
    #[error(
        "making {path}: the mount has pages of {found}, which the wish for pages rules out; \
         choose another mount or page size"
    )]
    WrongMount {
        /// The file asked for.
        path: PathBuf,
        /// Pages of the mount.
        found: PageSize,
    },
    /// The name does not mark the file as one of ours.
    #[error(
        "making {path}: a region's file name must end in `.pfs`, so that a stale one may be removed"
    )]
    BadName {
        /// The file asked for.
        path: PathBuf,
    },
    /// A live process holds the file.
    #[error("making {path}: a live process holds it; `fuser -v {path}` names it", path = .path.display())]
    InUse {
        /// The file asked for.
        path: PathBuf,
    },
    /// The file could be cut short by another process while it is mapped.
    #[error(
        "opening a region: the file is no hugetlbfs file and lacks the seals `shrink` and `grow`, \
         so that its owner could cut it short; pass the descriptor of a region that pfs made"
    )]
    Unsealed,
}

impl RegionError {
    pub(super) fn os(doing: impl Into<String>, source: impl Into<io::Error>, fix: &str) -> Self {
        Self::Os { doing: doing.into(), source: source.into(), fix: fix.to_owned() }
    }
}

fn remedy(fix: &str) -> String {
    if fix.is_empty() { String::new() } else { format!("; {fix}") }
}

fn parent(path: &std::path::Path) -> String {
    path.parent().unwrap_or(path).display().to_string()
}

/// The pool of the default size has a shorter name that most manuals use.
fn same_as(pages: PageSize, total: u64) -> String {
    match pages {
        PageSize::Huge2M => format!(" (or `echo {total} > /proc/sys/vm/nr_hugepages`)"),
        _ => String::new(),
    }
}
