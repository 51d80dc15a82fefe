//! Reading a v3 file.

use std::path::Path;
use std::sync::Arc;

use bytemuck::Pod;
use memmap2::Mmap;

use super::image::{self, Residence};
use super::{ALIGN, BYTE_ORDER, Entry, FORMAT, Header, MAGIC, MAX_SECTIONS, VERSION};
use super::{hash_of, tag_bytes};
use crate::Table;
use crate::formats::FormatError;

/// The sections of a v3 file whose header, directory and hash have been checked.
#[derive(Debug)]
pub struct SectionReader {
    file: Arc<Mmap>,
    entries: Vec<Entry>,
}

impl SectionReader {
    /// Opens the file at `path` and checks header, directory and hash.
    ///
    /// # Errors
    /// [`FormatError::Io`], or what is wrong with the file.
    pub fn open(path: &Path, residence: Residence) -> Result<Self, FormatError> {
        let file = image::open(path, residence)?;
        let len = file.len();
        Self::new(file, len)
    }

    /// As [`SectionReader::open`] over a private copy of `bytes`.
    ///
    /// # Errors
    /// What is wrong with the content; [`FormatError::Io`] when there is no memory for the copy.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let file =
            image::private(bytes).map_err(FormatError::io("hold", Path::new("a v3 file")))?;
        Self::new(file, bytes.len())
    }

    /// `len`: bytes of the file, which an image of an empty one exceeds.
    fn new(file: Arc<Mmap>, len: usize) -> Result<Self, FormatError> {
        let bytes = &file[..len];
        let header = header(bytes)?;
        let entries = directory(bytes, header.sections)?;
        if hash_of(bytes) != header.hash {
            return Err(FormatError::Hash);
        }
        Ok(Self { file, entries })
    }

    /// Whether the file has a section of this name.
    #[must_use]
    pub fn has(&self, tag: &str) -> bool {
        self.entry(tag).is_some()
    }

    /// The array under `tag`, which keeps the file mapped; no copy is made.
    ///
    /// # Errors
    /// [`FormatError::NoSection`]; [`FormatError::Section`] when its elements are not of `T`'s size.
    pub fn get<T: Pod>(&mut self, tag: &'static str) -> Result<Table<T>, FormatError> {
        let entry =
            self.entry(tag).ok_or_else(|| FormatError::NoSection { tag: tag.to_owned() })?;
        let wrong = |cause: String| FormatError::Section { tag: tag.to_owned(), cause };
        let (bytes, size) = (entry.bytes as usize, size_of::<T>());
        if entry.element as usize != size || size == 0 || !bytes.is_multiple_of(size) {
            let have = entry.element;
            return Err(wrong(format!("{bytes} bytes in elements of {have}, {size} expected")));
        }
        Table::mapped(Arc::clone(&self.file), entry.offset as usize, bytes / size)
            .ok_or_else(|| wrong(format!("not aligned to {} bytes", align_of::<T>())))
    }

    /// The single element under `tag`.
    ///
    /// # Errors
    /// As [`SectionReader::get`], and [`FormatError::Section`] when there are none or several.
    pub fn get_one<T: Pod>(&mut self, tag: &'static str) -> Result<T, FormatError> {
        let table = self.get::<T>(tag)?;
        let [one] = &*table else {
            let cause = format!("{} elements, 1 expected", table.len());
            return Err(FormatError::Section { tag: tag.to_owned(), cause });
        };
        Ok(*one)
    }

    fn entry(&self, tag: &str) -> Option<&Entry> {
        let stored = tag_bytes(tag)?;
        self.entries.iter().find(|e| e.tag == stored)
    }
}

/// The checked header.
fn header(bytes: &[u8]) -> Result<Header, FormatError> {
    let have = bytes.len() as u64;
    let truncated = |need| FormatError::Truncated { format: FORMAT, need, have };
    let head = bytes.get(..size_of::<Header>()).ok_or_else(|| truncated(64))?;
    let header: Header = bytemuck::pod_read_unaligned(head);
    if header.magic != MAGIC {
        return Err(FormatError::Unrecognized { start: header.magic.to_vec() });
    }
    if header.byte_order == BYTE_ORDER.swap_bytes() {
        return Err(FormatError::ByteOrder);
    }
    if header.version != VERSION {
        let (found, known) = (header.version, VERSION);
        return Err(FormatError::Version { format: FORMAT, found, known });
    }
    if header.file_bytes > have {
        return Err(truncated(header.file_bytes));
    }
    if header.byte_order != BYTE_ORDER || header.file_bytes < have || header.reserved != 0 {
        return Err(FormatError::invalid(FORMAT, "the header is damaged; copy the file again"));
    }
    if header.sections > MAX_SECTIONS {
        let (what, found) = ("the number of sections", u64::from(header.sections));
        let limit = u64::from(MAX_SECTIONS);
        return Err(FormatError::TooLarge { format: FORMAT, what, found, limit });
    }
    Ok(header)
}

/// The directory, every section of it inside the file, aligned, after the one before.
fn directory(bytes: &[u8], sections: u32) -> Result<Vec<Entry>, FormatError> {
    let end = size_of::<Header>() + sections as usize * size_of::<Entry>();
    let list = bytes.get(size_of::<Header>()..end).ok_or(FormatError::Truncated {
        format: FORMAT,
        need: end as u64,
        have: bytes.len() as u64,
    })?;
    let each = list.chunks_exact(size_of::<Entry>());
    let entries: Vec<Entry> = each.map(bytemuck::pod_read_unaligned).collect();
    let mut free = (end as u64).next_multiple_of(ALIGN as u64);
    for (at, entry) in entries.iter().enumerate() {
        let wrong = |cause: &str| FormatError::Section {
            tag: String::from_utf8_lossy(&entry.tag).trim_end_matches('\0').to_owned(),
            cause: cause.to_owned(),
        };
        if entries[..at].iter().any(|e| e.tag == entry.tag) {
            return Err(wrong("named twice in the directory"));
        }
        let end = entry.offset.checked_add(entry.bytes).filter(|&end| end <= bytes.len() as u64);
        let Some(end) = end.filter(|_| entry.offset == free && entry.reserved == 0) else {
            return Err(wrong("does not lie where the section before it ends"));
        };
        free = end.next_multiple_of(ALIGN as u64);
    }
    if free != bytes.len() as u64 {
        return Err(FormatError::invalid(FORMAT, "bytes after the last section"));
    }
    Ok(entries)
}
