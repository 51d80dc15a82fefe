//! Regions: mapped memory that payload and rings live in.
//!
//! What was asked and what the host granted are both kept, in [`RegionGranted`]. Space is
//! allocated with `fallocate` before anybody touches it: a short hugepage pool is an error, or a
//! step down the ladder of page sizes, and never a `SIGBUS` at the first packet.
//!
//! A region is a memfd, sealed against shrinking and growing, of which nothing is left after a
//! `kill -9`; or, when another program must attach by name, a file in a hugetlbfs. Other
//! processes attach with [`Region::open_fd`] or [`Region::open_path`].

mod error;
mod named;
mod pages;
mod sys;

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use error::RegionError;
use named::NamedFile;
pub use pages::{BadPageWish, PageSize, PageWish};
use sys::Mapping;

use crate::RegionView;

/// Most bytes of one region: half of what x86-64 gives a process.
const MAX_BYTES: u64 = 1 << 46;

/// What is asked of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionRequest {
    /// Bytes wanted, at least 1; rounded up to whole pages.
    pub bytes: u64,
    /// Which pages are wished for.
    #[serde(default)]
    pub pages: PageWish,
    /// A file `*.pfs` in a hugetlbfs, for programs that attach by name; absent: a memfd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hugetlbfs: Option<PathBuf>,
    /// NUMA node that the pages shall come from; absent: the kernel's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numa_node: Option<u32>,
    /// Whether to keep the pages in memory (`mlock`). Hugetlb pages always are.
    #[serde(default)]
    pub lock: bool,
}

impl RegionRequest {
    /// `bytes` of the largest pages to be had, in a memfd, on any node, not locked.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self { bytes, pages: PageWish::Auto, hugetlbfs: None, numa_node: None, lock: false }
    }

    /// The same with another wish for pages.
    #[must_use]
    pub const fn with_pages(mut self, pages: PageWish) -> Self {
        self.pages = pages;
        self
    }
}

/// What the host gave, beside what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionGranted {
    /// The request; absent when the region was made by another process and opened here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<RegionRequest>,
    /// The pages that back it.
    pub pages: PageSize,
    /// Bytes mapped; a multiple of the page size.
    pub bytes: u64,
    /// NUMA node that it is bound to, or the only one there is; absent: not bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
    /// Whether its pages stay in memory.
    pub locked: bool,
    /// Why something asked for was not given, with the command that mends it; empty when all was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A mapped region of this process. Views keep the mapping alive after it is dropped.
#[derive(Debug)]
pub struct Region {
    mapping: Arc<Mapping>,
    backing: Backing,
    granted: RegionGranted,
}

#[derive(Debug)]
enum Backing {
    Fd(OwnedFd),
    Named(NamedFile),
}

impl Backing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Fd(fd) => fd.as_fd(),
            Self::Named(named) => named.file().as_fd(),
        }
    }
}

impl Region {
    /// Makes a region: allocated, mapped and prefaulted, all bytes zero.
    ///
    /// Goes down the ladder of page sizes as far as `req.pages` allows; each refusal is noted in
    /// [`Self::granted`]. A named file has its mount's page size and no ladder.
    ///
    /// # Errors
    /// The last step's refusal, when every step was refused; else as [`RegionError`] lists.
    pub fn create(req: &RegionRequest) -> Result<Self, RegionError> {
        if req.bytes == 0 || req.bytes > MAX_BYTES {
            return Err(RegionError::BadSize(req.bytes));
        }
        if let Some(path) = &req.hugetlbfs {
            return Self::create_named(req, path);
        }
        let mut notes = Vec::new();
        let mut steps = req.pages.steps(req.bytes).peekable();
        while let Some(pages) = steps.next() {
            let made = memfd(pages).and_then(|fd| Self::fill(req, pages, Backing::Fd(fd)));
            match made {
                Ok(mut region) => {
                    notes.append(&mut region.granted.notes);
                    region.granted.notes = notes;
                    region.seal()?;
                    return Ok(region);
                }
                Err(err @ RegionError::NoSuchNode { .. }) => return Err(err),
                Err(err) if steps.peek().is_none() => return Err(err),
                Err(err) => notes.push(format!("no {pages} pages: {err}")),
            }
        }
        unreachable!("a wish has at least one step, and the last one returns")
    }

    fn create_named(req: &RegionRequest, path: &Path) -> Result<Self, RegionError> {
        let owned = || path.to_owned();
        let found =
            named::mount_pages(path).ok_or_else(|| RegionError::NotHugetlbfs { path: owned() })?;
        if !req.pages.admits(found) {
            return Err(RegionError::WrongMount { path: owned(), found });
        }
        Self::fill(req, found, Backing::Named(NamedFile::create(path)?))
    }

    /// Sizes, maps, binds, allocates and prefaults an empty file.
    fn fill(req: &RegionRequest, pages: PageSize, backing: Backing) -> Result<Self, RegionError> {
        let bytes = req.bytes.next_multiple_of(pages.bytes());
        let doing = |what: &str| format!("{what} {bytes} bytes of {pages} pages");
        nix::unistd::ftruncate(backing.as_fd(), bytes.cast_signed())
            .map_err(|err| RegionError::os(doing("sizing a file to"), err, ""))?;
        let mapping = map(backing.as_fd(), bytes, pages.is_hugetlb())?;
        let mut notes = Vec::new();
        let node = bind(&mapping, req.numa_node)?;
        fallocate(backing.as_fd(), FallocateFlags::empty(), 0, bytes.cast_signed())
            .map_err(|err| short(pages, bytes, err))?;
        mapping.prefault().map_err(|err| RegionError::os(doing("prefaulting"), err, ""))?;
        if pages == PageSize::Thp {
            notes.extend(collapse(&mapping)?);
        }
        let locked = pages.is_hugetlb() || (req.lock && lock(&mapping, &mut notes));
        let granted = RegionGranted { asked: Some(req.clone()), pages, bytes, node, locked, notes };
        Ok(Self { mapping: Arc::new(mapping), backing, granted })
    }

    /// No process may change the size any more, so that no mapping can lose its pages.
    fn seal(&self) -> Result<(), RegionError> {
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(self.backing.as_fd(), FcntlArg::F_ADD_SEALS(seals))
            .map_err(|err| RegionError::os("sealing a region's memfd", err, ""))?;
        Ok(())
    }

    /// Maps a region that another process made and passed as a descriptor.
    ///
    /// # Errors
    /// [`RegionError::Unsealed`] when its owner could cut it short; [`RegionError::BadSize`] when
    /// it is empty; [`RegionError::Os`] when it cannot be mapped.
    pub fn open_fd(fd: OwnedFd) -> Result<Self, RegionError> {
        let file = File::from(fd);
        let bytes =
            file.metadata().map_err(|e| RegionError::os("reading a region's size", e, ""))?.len();
        if bytes == 0 || bytes > MAX_BYTES {
            return Err(RegionError::BadSize(bytes));
        }
        let huge = named::file_pages(&file);
        let needed = (SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW).bits();
        let sealed =
            fcntl(&file, FcntlArg::F_GET_SEALS).is_ok_and(|seals| seals & needed == needed);
        let mut notes = Vec::new();
        match (sealed, huge) {
            (true, _) => {}
            // A named file cannot be sealed; its mode 0600 lets in only its owner's processes.
            (false, Some(_)) => {
                notes.push("a named file cannot be sealed against shrinking".into());
            }
            (false, None) => return Err(RegionError::Unsealed),
        }
        let mapping = map(file.as_fd(), bytes, huge.is_some())?;
        mapping
            .prefault()
            .map_err(|err| RegionError::os("prefaulting an opened region", err, ""))?;
        let pages = match huge {
            Some(pages) => pages,
            None if mapping.thp_bytes().is_ok_and(|thp| thp > 0) => PageSize::Thp,
            None => PageSize::Base4K,
        };
        let locked = pages.is_hugetlb();
        let granted = RegionGranted { asked: None, pages, bytes, node: None, locked, notes };
        Ok(Self { mapping: Arc::new(mapping), backing: Backing::Fd(file.into()), granted })
    }

    /// Maps a region that another process made under a name in a hugetlbfs.
    ///
    /// # Errors
    /// As [`Self::open_fd`], and [`RegionError::Os`] when the file cannot be opened.
    pub fn open_path(path: &Path) -> Result<Self, RegionError> {
        let file = File::options().read(true).write(true).open(path).map_err(|err| {
            let doing = format!("opening region {}", path.display());
            RegionError::os(doing, err, "start the program that makes it, or correct the path")
        })?;
        Self::open_fd(file.into())
    }

    /// A handle to the bytes, for whoever owns descriptors into them.
    #[must_use]
    pub fn view(&self) -> RegionView {
        let owner = Arc::clone(&self.mapping);
        // SAFETY: the mapping spans these bytes, readable and writable, until `owner` drops it.
        unsafe { RegionView::new(self.mapping.base(), self.mapping.len(), owner) }
    }

    /// What was asked and what was given.
    #[must_use]
    pub const fn granted(&self) -> &RegionGranted {
        &self.granted
    }

    /// The name that other programs attach by; `None` for a memfd and in a process that opened it.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.backing {
            Backing::Named(named) => Some(named.path()),
            Backing::Fd(_) => None,
        }
    }
}

impl AsFd for Region {
    /// The file to pass to other processes.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.backing.as_fd()
    }
}

fn memfd(pages: PageSize) -> Result<OwnedFd, RegionError> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let flags = flags
        | match pages {
            PageSize::Huge1G => MFdFlags::MFD_HUGETLB | MFdFlags::MFD_HUGE_1GB,
            PageSize::Huge2M => MFdFlags::MFD_HUGETLB | MFdFlags::MFD_HUGE_2MB,
            PageSize::Thp | PageSize::Base4K => MFdFlags::empty(),
        };
    memfd_create(c"pfs-region", flags)
        .map_err(|err| RegionError::os(format!("making a memfd of {pages} pages"), err, ""))
}

fn map(fd: BorrowedFd<'_>, bytes: u64, hugetlb: bool) -> Result<Mapping, RegionError> {
    let len = usize::try_from(bytes).ok().and_then(NonZeroUsize::new);
    Mapping::new(fd, len.ok_or(RegionError::BadSize(bytes))?, hugetlb).map_err(|err| {
        let fix = "`ulimit -v unlimited` where the address space is limited";
        RegionError::os(format!("mapping {bytes} bytes"), err, fix)
    })
}

/// Binds to `node` where there is a choice; tells the node that the pages come from.
fn bind(mapping: &Mapping, node: Option<u32>) -> Result<Option<u32>, RegionError> {
    let (nodes, online) = sys::numa_nodes();
    match node {
        Some(node) if !nodes.contains(&node) => Err(RegionError::NoSuchNode { node, online }),
        Some(node) if nodes.len() > 1 => mapping
            .bind(node)
            .map(|()| Some(node))
            .map_err(|err| RegionError::os(format!("binding to NUMA node {node}"), err, "")),
        _ => Ok(nodes.first().copied().filter(|_| nodes.len() == 1)),
    }
}

/// `fallocate`'s refusal: for the hugetlb pool, with its figures.
fn short(pages: PageSize, bytes: u64, err: nix::Error) -> RegionError {
    let pool_is_short = matches!(err, nix::Error::ENOSPC | nix::Error::ENOMEM);
    if pages.is_hugetlb() && pool_is_short {
        let (free, total) = sys::pool(pages);
        return RegionError::PoolShort { pages, need: bytes / pages.bytes(), free, total };
    }
    let fix = "`free -h` shows what is left; a container's limit is in memory.max of its cgroup";
    RegionError::os(format!("allocating {bytes} bytes of {pages} pages"), err, fix)
}

/// Turns prefaulted base pages into huge ones at once, not when khugepaged comes by.
fn collapse(mapping: &Mapping) -> Result<Option<String>, RegionError> {
    let _ = mapping.advise(libc::MADV_HUGEPAGE);
    let _ = mapping.advise(libc::MADV_COLLAPSE);
    let thp =
        mapping.thp_bytes().map_err(|e| RegionError::os("reading /proc/self/smaps", e, ""))?;
    let all = mapping.len() as u64;
    match thp {
        0 => Err(RegionError::NoThp),
        _ if thp < all => Ok(Some(format!("{thp} of {all} bytes are in huge pages"))),
        _ => Ok(None),
    }
}

fn lock(mapping: &Mapping, notes: &mut Vec<String>) -> bool {
    let Err(err) = mapping.lock() else { return true };
    notes.push(format!(
        "not locked: mlock of {} bytes: {err}; `ulimit -l {}`, or `setcap cap_ipc_lock+ep` on the binary",
        mapping.len(),
        mapping.len() >> 10,
    ));
    false
}

#[cfg(all(test, not(loom)))]
mod tests;
