//! Writing a segment file, and the index of words in it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytemuck::{Pod, Zeroable};

use super::format::{
    BLOCK_BYTES, FOOTER, Footer, HEAD, MAGIC, Region, STEPS, Step, VERSION, crc32c,
};
use super::mapped::Mapped;
use crate::collection::error::{Damage, IoContext, StoreError};

/// A segment file that is being written, region after region.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    file: File,
    /// The block that is being filled.
    block: Vec<u8>,
    /// Bytes before that block.
    written: u64,
    table: Vec<u32>,
    footer: Footer,
    open: Option<Region>,
}

impl Writer {
    /// Begins a file at `path`, in place of whatever is there.
    pub(super) fn create(path: &Path, footer: Footer) -> Result<Self, StoreError> {
        let options =
            OpenOptions::new().create(true).write(true).truncate(true).mode(0o640).open(path);
        let file = options.doing("making", path)?;
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&MAGIC);
        head[8..12].copy_from_slice(&VERSION.to_le_bytes());
        head[16..24].copy_from_slice(&footer.id.to_le_bytes());
        let footer = Footer { magic: MAGIC, version: VERSION, ..footer };
        let mut writer = Self {
            path: path.to_owned(),
            file,
            block: Vec::with_capacity(BLOCK_BYTES),
            written: 0,
            table: Vec::new(),
            footer,
            open: None,
        };
        writer.put(&head)?;
        Ok(writer)
    }

    /// Begins a region, and ends the one before.
    pub(super) fn begin(&mut self, region: Region) -> Result<(), StoreError> {
        self.pad()?;
        self.footer.extents[region as usize].at = self.at();
        self.open = Some(region);
        Ok(())
    }

    /// Says how many words there are.
    pub(super) const fn set_words(&mut self, words: u32) {
        self.footer.words = words;
    }

    /// Where the next byte goes.
    fn at(&self) -> u64 {
        self.written + self.block.len() as u64
    }

    /// Adds zeros up to a multiple of 64; they count to no region.
    fn pad(&mut self) -> Result<(), StoreError> {
        self.open = None;
        let at = self.at() as usize;
        self.put(&[0; 64][..at.next_multiple_of(64) - at])
    }

    /// Adds bytes to the region.
    pub(super) fn put(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        if let Some(region) = self.open {
            self.footer.extents[region as usize].bytes += bytes.len() as u64;
        }
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = rest;
            if self.block.len() == BLOCK_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes a whole region.
    pub(super) fn region<T: Pod>(&mut self, region: Region, all: &[T]) -> Result<(), StoreError> {
        self.begin(region)?;
        self.put(bytemuck::cast_slice(all))
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.file.write_all(&self.block).doing("writing", &self.path)?;
        self.table.push(crc32c(&self.block));
        self.written += self.block.len() as u64;
        self.block.clear();
        Ok(())
    }

    /// Writes the table of checksums and the footer.
    pub(super) fn finish(mut self) -> Result<Unmeasured, StoreError> {
        self.pad()?;
        if !self.block.is_empty() {
            self.flush()?;
        }
        self.footer.data = self.written;
        let table: Vec<u8> = self.table.iter().flat_map(|crc| crc.to_le_bytes()).collect();
        self.footer.table = crc32c(&table);
        self.footer.crc = self.footer.checksum();
        let end = [&table, bytemuck::bytes_of(&self.footer)].concat();
        self.file.write_all(&end).doing("writing", &self.path)?;
        Ok(Unmeasured { path: self.path, file: self.file, footer: self.footer })
    }
}

/// A whole file, of which nothing was measured yet.
#[derive(Debug)]
pub(super) struct Unmeasured {
    path: PathBuf,
    file: File,
    footer: Footer,
}

impl Unmeasured {
    /// Writes what was measured into the footer, and makes the file outlast a loss of power.
    pub(super) fn finish(mut self, steps: [Step; STEPS]) -> Result<(), StoreError> {
        self.footer.steps = steps;
        self.footer.crc = self.footer.checksum();
        let len = self.file.metadata().doing("measuring", &self.path)?.len();
        let bytes = bytemuck::bytes_of(&self.footer);
        self.file.write_all_at(bytes, len - FOOTER as u64).doing("writing", &self.path)?;
        self.file.sync_all().doing("syncing", &self.path)
    }
}

/// A footer in which nothing is said yet.
pub(super) fn blank() -> Footer {
    Footer::zeroed()
}

/// Rows with a word, or with one that begins so; ascending.
pub(super) fn of_word(mapped: &Mapped, word: &[u8], prefix: bool) -> Result<Vec<u32>, Damage> {
    let held = |at| mapped.string(Region::WordEnds, Region::Words, at);
    let (mut from, mut to) = (0, mapped.footer.words);
    while from < to {
        let middle = from + (to - from) / 2;
        if held(middle)? < word {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    let mut rows = Vec::new();
    for at in from..mapped.footer.words {
        let held = held(at)?;
        if held != word && !(prefix && held.starts_with(word)) {
            break;
        }
        rows.extend_from_slice(postings(mapped, at)?);
    }
    if prefix {
        rows.sort_unstable();
        rows.dedup();
    }
    Ok(rows)
}

/// Rows of the word at a place.
fn postings(mapped: &Mapped, at: u32) -> Result<&[u32], Damage> {
    let from: u64 = if at == 0 { 0 } else { mapped.entry(Region::PostingEnds, at - 1)? };
    let to: u64 = mapped.entry(Region::PostingEnds, at)?;
    let range = from.saturating_mul(4)..to.saturating_mul(4);
    let rows: &[u32] = mapped.cast(Region::Postings, mapped.bytes(Region::Postings, range)?)?;
    if rows.iter().any(|row| *row >= mapped.footer.rows) {
        let extent = mapped.footer.extents[Region::Postings as usize];
        return Err(mapped.damage(Region::Postings, extent.at + 4 * from));
    }
    Ok(rows)
}
