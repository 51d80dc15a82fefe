//! The mapped stretch that holds a blob: memory, or a file.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate, posix_fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use nix::sys::statfs::{HUGETLBFS_MAGIC, fstatfs};

use super::error::{BlobError, Context};

/// Bytes of a huge page.
const HUGE: u64 = 2 << 20;
/// Bytes of a page.
const PAGE: u64 = 4096;

/// What backs a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Memory in huge pages of the pool.
    HugePages,
    /// Memory that the kernel puts into huge pages where it can.
    Memory,
    /// A file's pages.
    File,
    /// A file in a hugetlbfs: huge pages with a name, gone when the host restarts.
    HugeFile,
}

impl Backing {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HugePages => "memory in 2 MiB pages",
            Self::Memory => "memory in transparent huge pages where the kernel has them",
            Self::File => "file",
            Self::HugeFile => "file in a hugetlbfs",
        }
    }
}

/// Mapped bytes.
#[derive(Debug)]
pub(super) struct Region {
    base: NonNull<u8>,
    mapped: NonZeroUsize,
    writable: bool,
    file: Option<(File, PathBuf)>,
    backing: Backing,
    /// Why huge pages were not had; empty when they were, or were not asked for.
    note: String,
}

// SAFETY: the mapping belongs to this value alone, as a heap allocation would.
unsafe impl Send for Region {}
// SAFETY: through a shared reference bytes are only read.
unsafe impl Sync for Region {}

impl Region {
    /// Memory, all zeros, that goes with the process: from the pool of huge pages if that has
    /// enough, else as the kernel likes.
    pub(super) fn memory(bytes: u64) -> Result<Self, BlobError> {
        match Self::pool(bytes) {
            Ok(region) => Ok(region),
            Err(error) => {
                let none = |source: Errno| BlobError::NoMemory { bytes, source: source.into() };
                let mapped = size(bytes.next_multiple_of(PAGE)).map_err(none)?;
                let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
                // SAFETY: a new mapping at an address of the kernel's choice touches no other.
                let base =
                    unsafe { mmap_anonymous(None, mapped, protection, MapFlags::MAP_PRIVATE) };
                let base = base.map_err(none)?;
                // SAFETY: the range is the mapping; the advice changes no content. It may be
                // refused: then small pages serve.
                let _ = unsafe { madvise(base, mapped.get(), MmapAdvise::MADV_HUGEPAGE) };
                let pages = bytes.div_ceil(HUGE);
                let note = format!(
                    "no 2 MiB pages ({error}); `echo {pages} > /proc/sys/vm/nr_hugepages` before"
                );
                let (writable, file, backing) = (true, None, Backing::Memory);
                Ok(Self { base: base.cast(), mapped, writable, file, backing, note })
            }
        }
    }

    fn pool(bytes: u64) -> Result<Self, Errno> {
        let mapped = size(bytes.next_multiple_of(HUGE))?;
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_HUGETLB | MFdFlags::MFD_HUGE_2MB;
        let fd = memfd_create(c"pfs-blob", flags)?;
        // What the pool cannot give is an error here, not a signal at the first touch.
        let len = i64::try_from(mapped.get()).map_err(|_| Errno::EFBIG)?;
        nix::unistd::ftruncate(&fd, len)?;
        fallocate(&fd, FallocateFlags::empty(), 0, len)?;
        let base = map(&fd, mapped, true)?;
        let (writable, file, backing) = (true, None, Backing::HugePages);
        Ok(Self { base, mapped, writable, file, backing, note: String::new() })
    }

    /// Makes a file of at least `bytes` bytes, all zeros and all allocated.
    pub(super) fn create(path: &Path, bytes: u64) -> Result<Self, BlobError> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path);
        let file = file.doing("creating", path)?;
        let made = Self::allocated(file, path, bytes);
        if made.is_err() {
            // It is ours, and of no use; the first error is the one to tell.
            let _ = std::fs::remove_file(path);
        }
        made
    }

    fn allocated(file: File, path: &Path, bytes: u64) -> Result<Self, BlobError> {
        let (backing, page) = kind(&file).doing("looking at", path)?;
        let full = |source: io::Error| BlobError::NoSpace { path: path.into(), bytes, source };
        let len =
            i64::try_from(bytes.next_multiple_of(page)).map_err(|_| full(Errno::EFBIG.into()))?;
        file.set_len(len.cast_unsigned()).map_err(full)?;
        posix_fallocate(&file, 0, len).map_err(|error| full(error.into()))?;
        Self::of_file(file, path, len.cast_unsigned(), true, backing)
    }

    /// Maps a file whole.
    pub(super) fn open(path: &Path, writable: bool) -> Result<Self, BlobError> {
        let file = File::options().read(true).write(writable).open(path).doing("opening", path)?;
        let len = file.metadata().doing("looking at", path)?.len();
        let (backing, _) = kind(&file).doing("looking at", path)?;
        Self::of_file(file, path, len, writable, backing)
    }

    fn of_file(
        file: File,
        path: &Path,
        len: u64,
        writable: bool,
        backing: Backing,
    ) -> Result<Self, BlobError> {
        let mapped = size(len).doing("mapping", path)?;
        let base = map(&file, mapped, writable).doing("mapping", path)?;
        let file = Some((file, path.to_owned()));
        Ok(Self { base, mapped, writable, file, backing, note: String::new() })
    }

    /// All bytes.
    ///
    /// Of a file, bytes that no chunk has may change while another process writes the blob; what
    /// chunks have does not, as that process gives no space back while this one reads.
    pub(super) const fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has these bytes, readable, as long as `self`; this process changes
        // them through `&mut self` only, another one as said above.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.mapped.get()) }
    }

    /// All bytes, to write; `None` when it was opened for reading.
    pub(super) const fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        if !self.writable {
            return None;
        }
        // SAFETY: the mapping has these bytes, writable, as long as `self`, which is borrowed
        // exclusively; another process that has it reads only.
        Some(unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), self.mapped.get()) })
    }

    /// What was written is there after a loss of power.
    pub(super) fn sync(&self) -> Result<(), BlobError> {
        match &self.file {
            // Nothing of a hugetlbfs outlives the host's memory.
            Some((file, path)) if self.backing == Backing::File => {
                file.sync_data().doing("syncing", path)
            }
            _ => Ok(()),
        }
    }

    pub(super) const fn backing(&self) -> Backing {
        self.backing
    }

    pub(super) fn note(&self) -> &str {
        &self.note
    }

    /// The file's path; that of memory is empty.
    pub(super) fn path(&self) -> &Path {
        self.file.as_ref().map_or(Path::new(""), |(_, path)| path)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own and ends with it.
        let unmapped = unsafe { munmap(self.base.cast(), self.mapped.get()) };
        debug_assert!(unmapped.is_ok());
    }
}

fn size(bytes: u64) -> Result<NonZeroUsize, Errno> {
    usize::try_from(bytes).ok().and_then(NonZeroUsize::new).ok_or(Errno::EINVAL)
}

fn map(file: impl AsFd, len: NonZeroUsize, writable: bool) -> Result<NonNull<u8>, Errno> {
    let read = ProtFlags::PROT_READ;
    let protection = if writable { read | ProtFlags::PROT_WRITE } else { read };
    // SAFETY: a new mapping at an address of the kernel's choice touches no other.
    let base = unsafe { mmap(None, len, protection, MapFlags::MAP_SHARED, file, 0)? };
    Ok(base.cast())
}

/// What a file's pages are, and their size.
fn kind(file: &File) -> Result<(Backing, u64), Errno> {
    let system = fstatfs(file)?;
    Ok(if system.filesystem_type() == HUGETLBFS_MAGIC {
        (Backing::HugeFile, u64::try_from(system.block_size()).unwrap_or(HUGE))
    } else {
        (Backing::File, PAGE)
    })
}
