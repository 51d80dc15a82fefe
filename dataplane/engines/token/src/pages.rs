//! Memory for large tables in huge pages, where the system has some to give.

use std::alloc::Layout;
use std::ptr::NonNull;

/// Bytes of a huge page on the machines that matter; others still work, with small pages.
const HUGE: usize = 2 << 20;

/// What a table's memory lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    /// Huge pages from the pool that the administrator reserved.
    Pool,
    /// Anonymous memory for which transparent huge pages were asked, before it was first touched;
    /// whether the kernel had any is its own affair.
    Transparent,
    /// Small pages: the heap, or a file.
    Small,
}

/// Bytes in pages of their own, written once and then read.
#[derive(Debug)]
pub(crate) struct Pages {
    start: NonNull<u8>,
    layout: Layout,
    granted: Granted,
}

// SAFETY: after `copy_of` the bytes are only read, and freed once by the owner.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    /// A copy of `bytes`; `None` where there are too few for huge pages, or no memory.
    pub(crate) fn copy_of(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HUGE / 2 {
            return None;
        }
        let layout = Layout::from_size_align(bytes.len().next_multiple_of(HUGE), HUGE).ok()?;
        let pages = Self::from_pool(layout).or_else(|| Self::transparent(layout))?;
        let (start, rest) = (pages.start.as_ptr(), layout.size() - bytes.len());
        // SAFETY: `layout` has room for the bytes and the zeros behind them, and nobody else knows
        // of the memory yet.
        unsafe {
            start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            start.add(bytes.len()).write_bytes(0, rest);
        }
        Some(pages)
    }

    /// The first `len` bytes, of those that were copied.
    #[inline]
    pub(crate) fn bytes(&self, len: usize) -> &[u8] {
        assert!(len <= self.layout.size());
        // SAFETY: that many bytes lie in the pages, and `copy_of` has written all of them.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), len) }
    }

    pub(crate) fn granted(&self) -> Granted {
        self.granted
    }

    /// Pages of the pool. A control group's limit shows only when a page is touched, as a signal
    /// that kills; populating them gives an error instead.
    #[cfg(target_os = "linux")]
    fn from_pool(layout: Layout) -> Option<Self> {
        if pool_bytes()? < layout.size() {
            return None;
        }
        // SAFETY: the layout's size is not zero.
        let start = NonNull::new(unsafe { hugepage_rs::alloc(layout) })?;
        let pages = Self { start, layout, granted: Granted::Pool };
        let (at, size) = (start.as_ptr().cast(), layout.size());
        // SAFETY: the range was just mapped, and is this process's alone.
        let populated = unsafe { libc::madvise(at, size, libc::MADV_POPULATE_WRITE) };
        (populated == 0).then_some(pages)
    }

    #[cfg(not(target_os = "linux"))]
    fn from_pool(_: Layout) -> Option<Self> {
        None
    }

    /// Memory at a huge page's border, for which huge pages are asked.
    fn transparent(layout: Layout) -> Option<Self> {
        // SAFETY: the layout's size is not zero.
        let start = NonNull::new(unsafe { std::alloc::alloc(layout) })?;
        #[cfg(target_os = "linux")]
        // SAFETY: the range is this process's; the advice changes no content. It fails where the
        // kernel has no such pages, and then changes nothing.
        unsafe {
            libc::madvise(start.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE);
        }
        Some(Self { start, layout, granted: Granted::Transparent })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the memory came from the same allocator with the same layout, and nobody borrows
        // it any more.
        unsafe {
            match self.granted {
                Granted::Pool => hugepage_rs::dealloc(self.start.as_ptr(), self.layout),
                _ => std::alloc::dealloc(self.start.as_ptr(), self.layout),
            }
        }
    }
}

/// Bytes of free pages in the pool of 2 MiB pages; `None` where that is not the default size, or
/// the system does not say.
#[cfg(target_os = "linux")]
fn pool_bytes() -> Option<usize> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let value = |name: &str| -> Option<usize> {
        let line = info.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    if value("Hugepagesize:")? << 10 != HUGE {
        return None;
    }
    value("HugePages_Free:")?.checked_sub(value("HugePages_Rsvd:")?)?.checked_mul(HUGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_in_pages_is_the_same() {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|n| ((n * 7) >> 3) as u8).collect();
        let pages = Pages::copy_of(&bytes).unwrap();
        assert_eq!(pages.bytes(bytes.len()), bytes);
        assert_eq!(pages.start.as_ptr() as usize % HUGE, 0);
        assert_ne!(pages.granted(), Granted::Small);
        assert!(Pages::copy_of(&bytes[..1000]).is_none());
        assert_eq!(
            pages.bytes(pages.layout.size())[bytes.len()..],
            vec![0; (4 << 20) - bytes.len()]
        );
        let plain = Pages::transparent(Layout::from_size_align(HUGE, HUGE).unwrap()).unwrap();
        assert_eq!(plain.granted(), Granted::Transparent);
    }
}
