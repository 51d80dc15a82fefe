//! The bytes of a vocabulary file: mapped where that is safe, else copied into private memory.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use memmap2::{Advice, Mmap, MmapMut};

use super::FORMAT;
use crate::formats::FormatError;

/// Where the bytes of a v3 file stay while it is used.
///
/// A mapped file costs no copy and is shared by all processes that use it. But whoever can write to
/// it can change cells after they were checked, or shorten it, and then the next access kills the
/// process (SIGBUS). So only files of this user or root that nobody else may write are mapped by
/// default. This crate's own writer never changes a file in place; it renames a new one over it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Residence {
    /// Mapped when the file belongs to this user or to root and neither group nor others may write
    /// it; else private.
    #[default]
    Auto,
    /// Mapped. The caller sees to it that nobody writes to the file while it is used.
    Mapped,
    /// Copied into private memory, in huge pages where the system grants them.
    Private,
}

/// Longest v3 file that is opened: far above the largest vocabulary.
pub(crate) const MAX_FILE: u64 = 1 << 32;

/// The content of the file at `path`, at a page-aligned address.
pub(super) fn open(path: &Path, residence: Residence) -> Result<Arc<Mmap>, FormatError> {
    let mut file = File::open(path).map_err(FormatError::io("open", path))?;
    let meta = file.metadata().map_err(FormatError::io("stat", path))?;
    if !meta.is_file() {
        let source = std::io::Error::other("not a regular file");
        return Err(FormatError::Io { doing: "map", path: path.to_owned(), source });
    }
    if meta.len() > MAX_FILE {
        let (what, found) = ("the file's length in bytes", meta.len());
        return Err(FormatError::TooLarge { format: FORMAT, what, found, limit: MAX_FILE });
    }
    // SAFETY: geteuid has no preconditions and cannot fail.
    let user = unsafe { libc::geteuid() };
    let ours = [0, user].contains(&meta.uid()) && meta.mode() & 0o022 == 0;
    match residence {
        Residence::Mapped => map(&file, path),
        Residence::Auto if ours => map(&file, path),
        Residence::Auto | Residence::Private => {
            let mut bytes = Vec::with_capacity(meta.len() as usize);
            // A file that grows meanwhile is cut at the length it had; its own length check tells.
            (&mut file)
                .take(meta.len())
                .read_to_end(&mut bytes)
                .map_err(FormatError::io("read", path))?;
            private(&bytes).map_err(FormatError::io("hold", path))
        }
    }
}

fn map(file: &File, path: &Path) -> Result<Arc<Mmap>, FormatError> {
    // SAFETY: the mapping is read-only, and the file does not change under it: by `Residence::Auto`
    // only this user or root could write to it, and this crate's writer replaces files by rename;
    // by `Residence::Mapped` the caller vouches for it.
    let map = unsafe { Mmap::map(file) }.map_err(FormatError::io("map", path))?;
    // Advice that a file system does not take changes nothing but speed.
    let _ = map.advise(Advice::WillNeed);
    #[cfg(target_os = "linux")]
    let _ = map.advise(Advice::HugePage);
    Ok(Arc::new(map))
}

/// A page-aligned private copy, in huge pages where granted.
pub(super) fn private(bytes: &[u8]) -> std::io::Result<Arc<Mmap>> {
    let mut map = MmapMut::map_anon(bytes.len().max(1))?;
    #[cfg(target_os = "linux")]
    let _ = map.advise(Advice::HugePage);
    map[..bytes.len()].copy_from_slice(bytes);
    Ok(Arc::new(map.make_read_only()?))
}
