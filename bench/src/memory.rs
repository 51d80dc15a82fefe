//! Memory whose content can be told from the position: written before it is read, and checked after.

use std::ops::Range;

use pfs_rings::{PageWish, Region, RegionError, RegionGranted, RegionRequest, RegionView};

/// A region of our own, all written.
#[derive(Debug)]
pub struct Buffer {
    region: Region,
    view: RegionView,
}

impl Buffer {
    /// At least `len` bytes on pages as wished, on NUMA node `node` where one is named, filled.
    ///
    /// # Errors
    /// As [`Region::create`].
    pub fn new(len: u64, pages: PageWish, node: Option<u32>) -> Result<Self, RegionError> {
        let request = RegionRequest { numa_node: node, ..RegionRequest::new(len) };
        let region = Region::create(&request.with_pages(pages))?;
        let mut buffer = Self { view: region.view(), region };
        buffer.fill(0..buffer.view.len());
        Ok(buffer)
    }

    /// Puts the words of `range`, whose ends are multiples of 8, back to what they were at first.
    ///
    /// # Panics
    /// When `range` is not inside.
    pub fn fill(&mut self, range: Range<usize>) {
        let first = range.start / 8;
        for (i, word) in (first..).zip(self.bytes_mut()[range].as_chunks_mut::<8>().0) {
            *word = word_at(i);
        }
    }

    /// A handle for workers, who own the spans that descriptors name.
    #[must_use]
    pub fn view(&self) -> RegionView {
        self.view.clone()
    }

    /// What the host gave.
    #[must_use]
    pub const fn granted(&self) -> &RegionGranted {
        self.region.granted()
    }

    /// All bytes. Nobody may hold a span of it now.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the region is mapped for as long as `self` and passed to nobody; writers go
        // through `&mut` or `ptr`.
        unsafe { std::slice::from_raw_parts(self.view.base().as_ptr(), self.view.len()) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, exclusive by `&mut`.
        unsafe { std::slice::from_raw_parts_mut(self.view.base().as_ptr(), self.view.len()) }
    }

    /// The first byte.
    pub fn ptr(&mut self) -> *mut u8 {
        self.view.base().as_ptr()
    }

    /// Whether every byte of the span is `map` of what it was filled with.
    #[must_use]
    pub fn is_mapped(&self, from: u64, len: u32, map: impl Fn(u8) -> u8) -> bool {
        let from = from as usize;
        let now = &self.bytes()[from..][..len as usize];
        (from..).zip(now).all(|(at, &byte)| byte == map(word_at(at / 8)[at % 8]))
    }
}

/// The eight bytes that a buffer is filled with at word `i`: the finalizer of SplitMix64.
#[must_use]
pub fn word_at(i: usize) -> [u8; 8] {
    let mut z = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)).to_le_bytes()
}
