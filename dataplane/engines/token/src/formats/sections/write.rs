//! Writing a v3 file.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use bytemuck::Pod;

use super::{ALIGN, BYTE_ORDER, Entry, FORMAT, Header, MAGIC, MAX_SECTIONS, VERSION};
use super::{hash_of, tag_bytes};
use crate::formats::FormatError;

/// Collects the sections of a file, then writes it whole.
#[derive(Debug, Default)]
pub struct SectionWriter {
    entries: Vec<Entry>,
    /// All sections, each padded to [`ALIGN`]; offsets in `entries` count from its start.
    body: Vec<u8>,
    /// The first tag that cannot be stored; told by [`SectionWriter::finish`].
    fault: Option<FormatError>,
}

impl SectionWriter {
    /// A file without sections.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a copy of `values` under `tag`: 1 to 8 printable ASCII characters, not used before.
    ///
    /// A tag that breaks this rule is an error of [`SectionWriter::finish`].
    pub fn put<T: Pod>(&mut self, tag: &'static str, values: &[T]) {
        let stored = tag_bytes(tag).filter(|new| self.entries.iter().all(|e| e.tag != *new));
        let Some(stored) = stored else {
            self.fault.get_or_insert_with(|| FormatError::Section {
                tag: tag.to_owned(),
                cause: "the tag is used twice, or not 1 to 8 printable ASCII characters".into(),
            });
            return;
        };
        let bytes = bytemuck::cast_slice::<T, u8>(values);
        self.entries.push(Entry {
            tag: stored,
            offset: self.body.len() as u64,
            bytes: bytes.len() as u64,
            element: size_of::<T>() as u32,
            reserved: 0,
        });
        self.body.extend_from_slice(bytes);
        self.body.resize(self.body.len().next_multiple_of(ALIGN), 0);
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// [`FormatError::Section`] for a tag that [`SectionWriter::put`] could not store.
    pub fn finish(mut self) -> Result<Vec<u8>, FormatError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.entries.len() > MAX_SECTIONS as usize {
            return Err(FormatError::invalid(FORMAT, format!("over {MAX_SECTIONS} sections")));
        }
        let directory = size_of_val(self.entries.as_slice());
        let start = (size_of::<Header>() + directory).next_multiple_of(ALIGN);
        for entry in &mut self.entries {
            entry.offset += start as u64;
        }
        let mut header = Header {
            magic: MAGIC,
            byte_order: BYTE_ORDER,
            version: VERSION,
            file_bytes: (start + self.body.len()) as u64,
            sections: self.entries.len() as u32,
            reserved: 0,
            hash: [0; 32],
        };
        let mut file = Vec::with_capacity(start + self.body.len());
        file.extend_from_slice(bytemuck::bytes_of(&header));
        file.extend_from_slice(bytemuck::cast_slice(&self.entries));
        file.resize(start, 0);
        file.extend_from_slice(&self.body);
        header.hash = hash_of(&file);
        file[..size_of::<Header>()].copy_from_slice(bytemuck::bytes_of(&header));
        Ok(file)
    }

    /// Puts the file in the place of `path`, whole or not at all: written beside it, synced, renamed over it.
    ///
    /// # Errors
    /// As [`SectionWriter::finish`], and [`FormatError::Io`].
    pub fn write_to(self, path: &Path) -> Result<(), FormatError> {
        replace(path, &self.finish()?)
    }
}

/// Puts a file with `content` in the place of `path`, whole or not at all: written beside it, synced,
/// renamed over it. A process that has the old file mapped keeps the old file.
///
/// # Errors
/// [`FormatError::Io`]; `path` is then as it was.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), FormatError> {
    let beside = beside(path);
    let put = || -> Result<(), FormatError> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&beside)
            .map_err(FormatError::io("create", &beside))?;
        file.write_all(content).map_err(FormatError::io("write", &beside))?;
        file.sync_all().map_err(FormatError::io("sync", &beside))?;
        fs::rename(&beside, path).map_err(FormatError::io("rename into", path))
    };
    put().inspect_err(|_| drop(fs::remove_file(&beside)))?;
    // The content is safe; that the name is, too, matters only after a power failure.
    if let Some(Ok(folder)) = path.parent().map(File::open) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// A name in the folder of `path` that no other writer uses: process and a count within it.
fn beside(path: &Path) -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    name.push(format!(".{}.{count}.tmp", std::process::id()));
    path.with_file_name(name)
}
