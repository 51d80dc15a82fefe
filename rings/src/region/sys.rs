//! The system calls under a region that `nix` does not wrap, and what `/sys` and `/proc` tell.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mlock, mmap, mmap_anonymous, munmap};

use super::PageSize;

/// Bytes and alignment of a transparent huge page.
const THP: usize = 2 << 20;

/// One shared mapping of a file, read and write; unmapped when dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    base: NonNull<libc::c_void>,
    len: usize,
}

// SAFETY: the mapping is an address range of the process; nothing in it belongs to a thread.
unsafe impl Send for Mapping {}
// SAFETY: `&Mapping` gives an address and a length, and system calls that are thread-safe.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of `fd`, without reserving: the caller allocates.
    ///
    /// A hugetlb file is aligned by the kernel. Any other of 2 MiB or more is aligned here, or no
    /// transparent huge page could map it.
    pub(super) fn new(fd: impl AsFd, len: NonZeroUsize, hugetlb: bool) -> io::Result<Self> {
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_NORESERVE;
        if hugetlb || len.get() < THP {
            // SAFETY: a new mapping at an address of the kernel's choice touches no existing one.
            let base = unsafe { mmap(None, len, prot, flags, fd, 0) }?;
            return Ok(Self { base, len: len.get() });
        }
        let room = Reserved::new(len.get().next_multiple_of(4096) + THP)?;
        let start = room.base.addr().get().next_multiple_of(THP);
        // SAFETY: `MAP_FIXED` replaces only addresses of `room`, reserved just now for this:
        // `start` is less than THP above its base, and its length is THP more than `len`.
        let base = unsafe {
            mmap(NonZeroUsize::new(start), len, prot, flags | MapFlags::MAP_FIXED, fd, 0)
        }?;
        room.give_up_all_but(start, len.get().next_multiple_of(4096));
        Ok(Self { base, len: len.get() })
    }

    pub(super) const fn base(&self) -> NonNull<u8> {
        self.base.cast()
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Fills the page tables for writing. Content stays as it is.
    pub(super) fn prefault(&self) -> io::Result<()> {
        match self.advise(libc::MADV_POPULATE_WRITE) {
            Err(err) if err.raw_os_error() == Some(libc::EINVAL) => {
                self.touch();
                Ok(())
            }
            done => done,
        }
    }

    /// What kernels before 5.14 need: an atomic no-op on each page, which changes no byte even
    /// when another process writes there at the same time.
    fn touch(&self) {
        for offset in (0..self.len).step_by(4096) {
            // SAFETY: inside the mapping; 4096-aligned, so aligned for the atomic; memory that
            // another process may write at any time is touched by atomics only.
            let word = unsafe {
                self.base.byte_add(offset).cast::<std::sync::atomic::AtomicU8>().as_ref()
            };
            word.fetch_or(0, std::sync::atomic::Ordering::Relaxed);
        }
    }

    pub(super) fn advise(&self, advice: libc::c_int) -> io::Result<()> {
        // SAFETY: the range is this mapping's own, and no advice used here drops its content.
        let rc = unsafe { libc::madvise(self.base.as_ptr(), self.len, advice) };
        if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Keeps the pages in memory.
    pub(super) fn lock(&self) -> io::Result<()> {
        // SAFETY: the range is this mapping's own.
        Ok(unsafe { mlock(self.base, self.len) }?)
    }

    /// Makes pages of this range come from `node` only. Call before they are allocated.
    pub(super) fn bind(&self, node: u32) -> io::Result<()> {
        const MPOL_BIND: libc::c_int = 2;
        let mut mask = [0u64; 16];
        let word = mask.get_mut(node as usize / 64).ok_or(io::ErrorKind::InvalidInput)?;
        *word = 1 << (node % 64);
        // SAFETY: the range is this mapping's own; the mask is read only and as long as said.
        let rc = unsafe {
            libc::syscall(
                libc::SYS_mbind,
                self.base.as_ptr(),
                self.len,
                MPOL_BIND,
                mask.as_ptr(),
                size_of_val(&mask) * 8,
                0,
            )
        };
        if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Bytes of the range that huge pages of shared memory map, as `/proc/self/smaps` counts.
    pub(super) fn thp_bytes(&self) -> io::Result<u64> {
        let start = self.base.as_ptr() as usize;
        let end = start + self.len;
        let mut inside = false;
        let mut bytes = 0;
        for line in fs::read_to_string("/proc/self/smaps")?.lines() {
            if let Some((from, to)) = range(line) {
                inside = from >= start && to <= end;
            } else if let Some(rest) = line.strip_prefix("ShmemPmdMapped:").filter(|_| inside) {
                let kib = rest.trim().trim_end_matches(" kB").parse().unwrap_or(0u64);
                bytes += kib << 10;
            }
        }
        Ok(bytes)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new` and every view holds this object alive.
        let _ = unsafe { munmap(self.base, self.len) };
    }
}

/// Addresses set aside, without memory.
struct Reserved {
    base: NonNull<libc::c_void>,
    len: usize,
}

impl Reserved {
    fn new(len: usize) -> io::Result<Self> {
        let len = NonZeroUsize::new(len).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: as for any new mapping at an address of the kernel's choice.
        let base =
            unsafe { mmap_anonymous(None, len, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE) }?;
        Ok(Self { base, len: len.get() })
    }

    /// Frees what lies before `start` and after `start + len`.
    fn give_up_all_but(self, start: usize, len: usize) {
        let head = start - self.base.addr().get();
        let tail = self.len - head - len;
        // SAFETY: both ranges are inside the reservation and outside the mapping made in it.
        unsafe {
            let _ = head > 0 && munmap(self.base, head).is_ok();
            let _ = tail > 0 && munmap(self.base.byte_add(head + len), tail).is_ok();
        }
        std::mem::forget(self);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // SAFETY: reached only while nothing was mapped inside: `give_up_all_but` forgets it.
        let _ = unsafe { munmap(self.base, self.len) };
    }
}

/// The address range at the head of a `smaps` entry; `None` for its other lines.
fn range(line: &str) -> Option<(usize, usize)> {
    let (from, to) = line.split_once(' ')?.0.split_once('-')?;
    Some((usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?))
}

/// NUMA nodes that are online, with the kernel's own text: `0-1`, `0,2`.
pub(super) fn numa_nodes() -> (Vec<u32>, String) {
    let text = fs::read_to_string("/sys/devices/system/node/online").unwrap_or_default();
    let text = if text.trim().is_empty() { "0".to_owned() } else { text.trim().to_owned() };
    (parse_list(&text), text)
}

fn parse_list(text: &str) -> Vec<u32> {
    text.split(',')
        .filter_map(|part| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            Some(from.trim().parse::<u32>().ok()?..=to.trim().parse::<u32>().ok()?)
        })
        .flatten()
        .collect()
}

/// `(free, total)` pages in the pool of this size; zeros where there is no such pool.
pub(super) fn pool(pages: PageSize) -> (u64, u64) {
    let read = |name: &str| {
        let kib = pages.bytes() >> 10;
        let path = format!("/sys/kernel/mm/hugepages/hugepages-{kib}kB/{name}");
        fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    };
    (read("free_hugepages"), read("nr_hugepages"))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::parse_list;

    #[test]
    fn node_lists_parse() {
        assert_eq!(parse_list("0"), [0]);
        assert_eq!(parse_list("0-1,4"), [0, 1, 4]);
        assert_eq!(parse_list("x"), [] as [u32; 0]);
    }
}
