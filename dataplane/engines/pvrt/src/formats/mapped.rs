//! Files as slices.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// A file, mapped.
///
/// Who cuts the file short while it is mapped ends this process with SIGBUS, as with any mapping.
#[derive(Debug)]
pub struct Mapped {
    map: Mmap,
}

impl Mapped {
    /// Maps the file at `path`, of whatever format.
    ///
    /// # Errors
    /// When it cannot be opened or mapped.
    pub fn map(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: bytes of a mapped file are plain numbers, and parsers copy what they check
        // before they use it; a writer at the same time makes wrong bytes, which check sums find.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self { map })
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }
}
