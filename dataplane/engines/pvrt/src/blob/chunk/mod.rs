//! Content-defined chunks: where bytes are cut depends on the bytes alone, so that what is moved
//! within a file, or inserted before it, is cut as before.
//!
//! # Where cuts are
//!
//! A hash rolls over the bytes: `h = (h + byte) * 0x5ADA_7F3A mod 2^32`. The factor is even, so
//! that a byte is gone after 32 steps, and its upper bits hang on 31 bytes or fewer. A cut may be
//! behind each byte where `h`, as a signed number, exceeds `2^31 - 1 - limit`. Two limits make
//! lengths even, as FastCDC does (Xia et al., "The Design of Fast Content-Defined Chunking for Data
//! Deduplication Based Storage Systems", 2020, normalization level 2): up to the average length only
//! `2^32 / (4 × average)` counts, from there on `2^32 / (average / 4)`. No chunk is shorter than the
//! least length but the last, and none longer than the greatest.
//!
//! Against FastCDC's own hash: it needs no table, so that 16 places of a file are hashed at once in
//! vector registers; and a run of one byte is never cut, whatever the byte is.
//!
//! Both ends must cut alike to find the same chunks: this is part of the format.

mod lanes;
mod scan;

use std::io::{self, Read};
use std::ops::Range;

use thiserror::Error;

/// Lengths of chunks, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSizes {
    min: usize,
    average: usize,
    max: usize,
}

/// Lengths that no chunking can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "chunks of {min} to {max} bytes, {average} on average: 64 <= least <= average <= greatest <= \
     16 MiB must hold, with an average of 256 or more"
)]
pub struct BadSizes {
    min: usize,
    average: usize,
    max: usize,
}

impl Default for ChunkSizes {
    /// 4 KiB, 16 KiB and 64 KiB: as many blocks of BLAKE3 in a chunk as fill a vector.
    fn default() -> Self {
        Self { min: 4 << 10, average: 16 << 10, max: 64 << 10 }
    }
}

impl ChunkSizes {
    /// Lengths of chunks.
    ///
    /// # Errors
    /// When they are out of order or out of range.
    pub const fn new(min: usize, average: usize, max: usize) -> Result<Self, BadSizes> {
        let ordered = min <= average && average <= max;
        if min < 64 || average < 256 || max > 16 << 20 || !ordered {
            return Err(BadSizes { min, average, max });
        }
        Ok(Self { min, average, max })
    }

    /// Least bytes of a chunk but the last.
    #[must_use]
    pub const fn min(&self) -> usize {
        self.min
    }

    /// Bytes of a chunk on average, roughly.
    #[must_use]
    pub const fn average(&self) -> usize {
        self.average
    }

    /// Most bytes of a chunk.
    #[must_use]
    pub const fn max(&self) -> usize {
        self.max
    }

    /// Above which a hash allows a cut, before and behind the average length.
    const fn thresholds(&self) -> (i32, i32) {
        let strict = (1_u64 << 30) / self.average as u64;
        let loose = (1_u64 << 34) / self.average as u64;
        (i32::MAX - strict as i32, i32::MAX - loose as i32)
    }
}

/// Finds the cuts of bytes that come piece by piece.
#[derive(Debug)]
struct Cutter {
    sizes: ChunkSizes,
    /// Places where a cut may be, in order, each with its hash; before `next` they are done with.
    found: Vec<(usize, i32)>,
    next: usize,
    /// How far places were looked for.
    scanned: usize,
}

impl Cutter {
    const fn new(sizes: ChunkSizes) -> Self {
        Self { sizes, found: Vec::new(), next: 0, scanned: 0 }
    }

    /// Where the chunk ends that begins at `start`; `None` when more bytes must be known. Starts
    /// never go back. `last`: nothing follows `bytes`.
    fn cut(&mut self, bytes: &[u8], start: usize, last: bool) -> Option<usize> {
        loop {
            if let Some(cut) = self.among_found(start) {
                return Some(cut);
            }
            if self.scanned >= start + self.sizes.max {
                return Some(start + self.sizes.max);
            }
            if self.scanned >= bytes.len() {
                return (last && start < bytes.len()).then_some(bytes.len());
            }
            self.found.clear();
            self.next = 0;
            let to = bytes.len().min(self.scanned + scan::BLOCK);
            scan::scan(bytes, self.scanned..to, self.sizes.thresholds().1, &mut self.found);
            self.scanned = to;
        }
    }

    fn among_found(&mut self, start: usize) -> Option<usize> {
        let (strict, _) = self.sizes.thresholds();
        while let Some(&(at, hash)) = self.found.get(self.next) {
            let len = at.saturating_sub(start);
            if len > self.sizes.max {
                return Some(start + self.sizes.max);
            }
            self.next += 1;
            if len >= self.sizes.min && (len >= self.sizes.average || hash > strict) {
                return Some(at);
            }
        }
        None
    }

    /// Says that the first `gone` bytes are dropped.
    fn shift(&mut self, gone: usize) {
        self.scanned -= gone;
        for (at, _) in &mut self.found[self.next..] {
            *at -= gone;
        }
    }
}

/// The chunks of some bytes, in order, without gaps.
#[derive(Debug)]
pub struct Chunks<'a> {
    bytes: &'a [u8],
    cutter: Cutter,
    start: usize,
}

impl<'a> Chunks<'a> {
    /// Those of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8], sizes: ChunkSizes) -> Self {
        Self { bytes, cutter: Cutter::new(sizes), start: 0 }
    }
}

impl Iterator for Chunks<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let cut = self.cutter.cut(self.bytes, self.start, true)?;
        let start = std::mem::replace(&mut self.start, cut);
        Some(start..cut)
    }
}

/// Reads `reader` to its end and gives each chunk to `each`. Takes memory for 1 MiB, or four
/// chunks of the greatest length if that is more.
///
/// # Errors
/// What reading or `each` failed with.
pub fn stream<E: From<io::Error>>(
    reader: &mut dyn Read,
    sizes: ChunkSizes,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut buffer = vec![0; (4 * sizes.max).max(1 << 20)];
    let mut cutter = Cutter::new(sizes);
    let (mut start, mut len) = (0, 0);
    loop {
        let read = fill(reader, &mut buffer[len..])?;
        len += read;
        let last = len < buffer.len();
        while let Some(cut) = cutter.cut(&buffer[..len], start, last) {
            each(&buffer[start..cut])?;
            start = cut;
        }
        if last {
            return Ok(());
        }
        // The hash goes on from what is before.
        let gone = start.saturating_sub(scan::HISTORY);
        buffer.copy_within(gone..len, 0);
        cutter.shift(gone);
        (start, len) = (start - gone, len - gone);
    }
}

/// Reads until `into` is full or nothing is left; how many bytes.
fn fill(reader: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < into.len() {
        match reader.read(&mut into[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests;
