//! The receiver's old files, one after the other in one space of addresses.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::ops::Range;

use super::Tree;
use crate::blob::{ChunkSizes, Chunks};

/// Lengths of the chunks that files without base are compared by.
const SIZES: ChunkSizes = match ChunkSizes::new(1 << 10, 1 << 12, 1 << 14) {
    Ok(sizes) => sizes,
    Err(_) => panic!("these lengths are in order"),
};

/// Cuts content-defined chunks of about 4 KiB: ranges of `bytes`, without gaps.
pub(super) fn chunks(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    Chunks::new(bytes, SIZES)
}

/// Bytes of a chunk's digest.
pub(super) const CHUNK: usize = 5;

/// The session's digest of a chunk.
pub(super) fn chunk(key: &[u8; 32], bytes: &[u8]) -> [u8; CHUNK] {
    let digest = super::hash::extent(key, bytes);
    std::array::from_fn(|n| digest[n])
}

/// Old files by address.
pub(super) struct Old<'a> {
    files: &'a dyn Tree,
    /// Where each begins, and where the last ends.
    begins: Vec<u64>,
}

impl std::fmt::Debug for Old<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Old").field("begins", &self.begins).finish_non_exhaustive()
    }
}

impl<'a> Old<'a> {
    /// Files of these sizes.
    pub(super) fn new(files: &'a dyn Tree, sizes: &[u64]) -> Self {
        let mut begins = vec![0];
        begins.extend(sizes.iter().scan(0_u64, |end, size| {
            // One address between two files belongs to neither, so no span lies in both.
            *end += size + 1;
            Some(*end)
        }));
        Self { files, begins }
    }

    /// The addresses of file `file`.
    pub(super) fn range(&self, file: usize) -> Range<u64> {
        self.begins[file]..self.begins[file + 1] - 1
    }

    /// The file at `address`.
    pub(super) fn file_at(&self, address: u64) -> Option<usize> {
        let file = self.begins.partition_point(|begin| *begin <= address).checked_sub(1)?;
        (file + 1 < self.begins.len()).then_some(file)
    }

    /// Bytes of one file.
    pub(super) fn read(&self, file: usize) -> io::Result<Cow<'a, [u8]>> {
        self.files.read(file)
    }

    /// Where each chunk of any file is. Reads all of them.
    pub(super) fn chunk_index(
        &self,
        key: &[u8; 32],
    ) -> io::Result<HashMap<[u8; CHUNK], (u64, u64)>> {
        let mut index = HashMap::new();
        for file in 0..self.begins.len() - 1 {
            let bytes = self.read(file)?;
            for range in chunks(&bytes) {
                let place = (self.begins[file] + range.start as u64, range.len() as u64);
                index.entry(chunk(key, &bytes[range])).or_insert(place);
            }
        }
        Ok(index)
    }
}

/// The file that was read last, kept for the next look.
#[derive(Debug)]
pub(super) struct Reader<'o, 'a> {
    old: &'o Old<'a>,
    held: Option<(Range<u64>, Cow<'a, [u8]>)>,
}

impl<'o, 'a> Reader<'o, 'a> {
    /// None read yet.
    pub(super) const fn new(old: &'o Old<'a>) -> Self {
        Self { old, held: None }
    }

    /// The whole file around `address`, with its addresses; nothing when there is none or when
    /// it is no longer as long as it was.
    pub(super) fn around(&mut self, address: u64) -> io::Result<Option<(Range<u64>, &[u8])>> {
        let holds = |held: &(Range<u64>, _)| held.0.contains(&address);
        if !self.held.as_ref().is_some_and(holds) {
            let Some(file) = self.old.file_at(address) else { return Ok(None) };
            self.held = Some((self.old.range(file), self.old.read(file)?));
        }
        let held = self
            .held
            .as_ref()
            .filter(|(range, bytes)| range.end - range.start == bytes.len() as u64);
        Ok(held.map(|(range, bytes)| (range.clone(), &**bytes)))
    }

    /// The bytes at `from..to`, if one file has them all.
    pub(super) fn get(&mut self, from: u64, to: u64) -> io::Result<Option<&[u8]>> {
        let around = self.around(from)?;
        Ok(around.and_then(|(range, bytes)| {
            bytes.get((from - range.start) as usize..(to.checked_sub(range.start)?) as usize)
        }))
    }
}
