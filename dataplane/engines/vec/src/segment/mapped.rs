//! A segment's bytes, mapped, each block checked when it is first read.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytemuck::Pod;
use memmap2::Mmap;

use super::format::{BLOCK_BYTES, FOOTER, Footer, NAMES, REGIONS, Region, crc32c};
use crate::collection::error::{Damage, IoContext, StoreError};

/// A mapped segment file.
///
/// At opening only footer and table of checksums are read. A block is checked before anything of it
/// is first given out: later reads ask one bit. So a query pays for the blocks that it is the first
/// to read, and what lies on a failing disk is found when it matters; [`Self::verify`] reads all.
#[derive(Debug)]
pub(crate) struct Mapped {
    map: Mmap,
    pub(crate) footer: Footer,
    /// A bit for each block that was checked and is whole.
    whole: Box<[AtomicU64]>,
    /// A bit for each region of which all blocks and all entries were checked.
    regions: AtomicU64,
}

impl Mapped {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// [`StoreError::Broken`] when footer or table are not those of a segment.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).doing("opening", path)?;
        // SAFETY: segments are never changed once they have their names: whoever writes the collection
        // makes new files and unlinks old ones, which leaves what is mapped as it is.
        let map = unsafe { Mmap::map(&file) }.doing("mapping", path)?;
        let broken = |why| StoreError::Broken { path: path.to_owned(), why };
        let Some(at) = map.len().checked_sub(FOOTER) else {
            return Err(broken("it is shorter than a footer"));
        };
        let footer: Footer = bytemuck::pod_read_unaligned(&map[at..]);
        footer.check(map.len() as u64).map_err(broken)?;
        if crc32c(&map[footer.data as usize..at]) != footer.table {
            return Err(broken("its table of checksums is damaged"));
        }
        let words = footer.blocks().div_ceil(64);
        let whole = (0..words).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { map, footer, whole, regions: AtomicU64::new(0) })
    }

    /// Bytes of the file.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// A damaged place in a region, at `byte` of the file.
    pub(crate) fn damage(&self, region: Region, byte: u64) -> Damage {
        let block = byte / BLOCK_BYTES as u64;
        let (segment, region) = (self.footer.id, NAMES[region as usize]);
        Damage { segment, region, block, at: block * BLOCK_BYTES as u64 }
    }

    fn checksum(&self, block: usize) -> u32 {
        let at = self.footer.data as usize + 4 * block;
        u32::from_le_bytes([self.map[at], self.map[at + 1], self.map[at + 2], self.map[at + 3]])
    }

    fn is_whole(&self, block: usize) -> bool {
        let (word, bit) = (&self.whole[block / 64], 1 << (block % 64));
        if word.load(Ordering::Relaxed) & bit != 0 {
            return true;
        }
        let from = block * BLOCK_BYTES;
        let to = (from + BLOCK_BYTES).min(self.footer.data as usize);
        let whole = crc32c(&self.map[from..to]) == self.checksum(block);
        if whole {
            // Nothing else is published by it: the bytes do not change.
            word.fetch_or(bit, Ordering::Relaxed);
        }
        whole
    }

    /// Bytes `range` of a region, whose blocks are checked.
    pub(crate) fn bytes(
        &self,
        region: Region,
        range: std::ops::Range<u64>,
    ) -> Result<&[u8], Damage> {
        let extent = self.footer.extents[region as usize];
        if range.start > range.end || range.end > extent.bytes {
            // What says where to read lies: the entry is wrong though its block is whole.
            return Err(self.damage(region, extent.at));
        }
        let (from, to) = (extent.at + range.start, extent.at + range.end);
        if from < to {
            let blocks = from as usize / BLOCK_BYTES..=(to as usize - 1) / BLOCK_BYTES;
            for block in blocks {
                if !self.is_whole(block) {
                    let byte = (block * BLOCK_BYTES) as u64;
                    return Err(self.damage(region, byte));
                }
            }
        }
        Ok(&self.map[from as usize..to as usize])
    }

    /// Entry `at` of a region.
    pub(crate) fn entry<T: Pod>(&self, region: Region, at: u32) -> Result<T, Damage> {
        let (size, at) = (size_of::<T>() as u64, u64::from(at));
        Ok(bytemuck::pod_read_unaligned(self.bytes(region, at * size..(at + 1) * size)?))
    }

    /// All entries of a region. Of those that name rows each is below its bound, and keys ascend:
    /// searches rely on it, and checksums say only that nothing has changed.
    pub(crate) fn all<T: Pod>(&self, region: Region) -> Result<&[T], Damage> {
        let extent = self.footer.extents[region as usize];
        if self.regions.load(Ordering::Relaxed) >> region as usize & 1 == 0 {
            let bytes = self.bytes(region, 0..extent.bytes)?;
            if let Some(bound) = self.bound(region) {
                let rows: &[u32] = self.cast(region, bytes)?;
                if rows.iter().any(|row| *row >= bound) {
                    return Err(self.damage(region, extent.at));
                }
            }
            if is_sorted(region) && !self.cast::<u64>(region, bytes)?.is_sorted() {
                return Err(self.damage(region, extent.at));
            }
            self.regions.fetch_or(1 << region as usize, Ordering::Relaxed);
        }
        self.cast(region, &self.map[extent.at as usize..(extent.at + extent.bytes) as usize])
    }

    /// Bytes as entries.
    pub(crate) fn cast<'a, T: Pod>(
        &self,
        region: Region,
        bytes: &'a [u8],
    ) -> Result<&'a [T], Damage> {
        let at = self.footer.extents[region as usize].at;
        bytemuck::try_cast_slice(bytes).map_err(|_| self.damage(region, at))
    }

    /// What entries of a region that name rows are below.
    const fn bound(&self, region: Region) -> Option<u32> {
        match region {
            Region::IdRows | Region::TimeRows | Region::Postings => Some(self.footer.rows),
            Region::OutRows | Region::InRows => Some(self.footer.edges),
            _ => None,
        }
    }

    /// String `at` of those whose ends lie in `ends`.
    pub(crate) fn string(&self, ends: Region, strings: Region, at: u32) -> Result<&[u8], Damage> {
        let from = if at == 0 { 0 } else { self.entry(ends, at - 1)? };
        self.bytes(strings, from..self.entry(ends, at)?)
    }

    /// All damaged blocks, each with the region that it begins in.
    pub(crate) fn verify(&self) -> Vec<Damage> {
        let damaged = |block: &usize| {
            let from = block * BLOCK_BYTES;
            let to = (from + BLOCK_BYTES).min(self.footer.data as usize);
            crc32c(&self.map[from..to]) != self.checksum(*block)
        };
        let region = |block: usize| {
            let (from, to) = ((block * BLOCK_BYTES) as u64, ((block + 1) * BLOCK_BYTES) as u64);
            let meets = |at: &usize| {
                let extent = self.footer.extents[*at];
                extent.bytes > 0 && extent.at < to && extent.at + extent.bytes > from
            };
            (0..REGIONS).find(meets).map_or("head", |at| NAMES[at])
        };
        let blocks = (0..self.footer.blocks()).filter(damaged);
        blocks
            .map(|block| Damage {
                segment: self.footer.id,
                region: region(block),
                block: block as u64,
                at: (block * BLOCK_BYTES) as u64,
            })
            .collect()
    }
}

/// Whether a region's entries ascend.
const fn is_sorted(region: Region) -> bool {
    matches!(region, Region::IdKeys | Region::TimeKeys | Region::OutKeys | Region::InKeys)
}
