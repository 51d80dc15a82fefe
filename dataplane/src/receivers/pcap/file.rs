//! A capture file in memory.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Arc;

use memmap2::{Advice, MmapOptions};
use pfs_rings::{PageWish, RegionRequest, RegionView};

use super::bytes::Bytes;
use super::reader::CaptureError;
use crate::receivers::{ReceiveError, errors};

/// Files up to this many bytes are copied into a region, larger ones are mapped.
///
/// A copy has no page faults while packets flow and does not care what becomes of the file. A
/// mapping costs no memory of its own, but a file that is cut short while mapped kills its reader
/// with `SIGBUS`: its length is looked at every 4 MiB, which makes that an error unless the cut
/// comes after the last look.
pub const COPY_LIMIT: u64 = 64 << 20;

/// A capture file whose bytes can be read, and written without the file's seeing it.
#[derive(Debug)]
pub(crate) struct CaptureFile {
    path: PathBuf,
    file: File,
    len: u64,
    view: RegionView,
    mapped: bool,
    notes: Vec<String>,
}

impl CaptureFile {
    /// Opens `path`; copies it when it has at most `copy_limit` bytes, else maps it.
    pub(crate) fn open(
        path: &Path,
        pages: PageWish,
        copy_limit: u64,
    ) -> Result<Self, ReceiveError> {
        let failed = |source| errors::io(format!("opening {}", path.display()), source, "");
        let file = File::open(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() {
            let what = format!("{} is not a regular file", path.display());
            return Err(errors::unsupported(what, "save the capture to a file first"));
        }
        let len = meta.len();
        if len == 0 {
            let what = format!("{}: the file is empty", path.display());
            return Err(ReceiveError::Malformed { what, at: 0 });
        }
        let mut notes = Vec::new();
        let mapped = len > copy_limit;
        let view = if mapped {
            map(&file).map_err(|source| {
                errors::io(format!("mapping {}", path.display()), source, "check `ulimit -v`")
            })?
        } else {
            errors::region(
                &RegionRequest::new(len).with_pages(pages),
                &path.display().to_string(),
                &mut notes,
            )?
        };
        let mut capture = Self { path: path.to_owned(), file, len, view, mapped, notes };
        if !mapped {
            // SAFETY: nobody else has the region yet.
            unsafe { capture.restore() }?;
        }
        Ok(capture)
    }

    pub(crate) const fn path(&self) -> &PathBuf {
        &self.path
    }

    pub(crate) const fn view(&self) -> &RegionView {
        &self.view
    }

    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// `mapped` or `copied`, for the report.
    pub(crate) const fn mode(&self) -> &'static str {
        if self.mapped { "mapped" } else { "copied" }
    }

    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The file's bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> Bytes<'_> {
        // SAFETY: what is lent of this region are the packets that a reader found, and it reads
        // headers, which lie between packets.
        unsafe { Bytes::of_region(&self.view, self.len) }
    }

    /// Brings back the file's own bytes where packets were written to.
    ///
    /// # Safety
    /// No packet of the region is lent.
    pub(crate) unsafe fn restore(&mut self) -> Result<(), ReceiveError> {
        let doing = || format!("reading {}", self.path.display());
        let base = self.view.base().as_ptr();
        if self.mapped {
            // SAFETY: the whole private mapping and nothing else; its written pages are dropped,
            // the next access reads the file again.
            let rc = unsafe { libc::madvise(base.cast(), self.view.len(), libc::MADV_DONTNEED) };
            return match rc {
                0 => Ok(()),
                _ => Err(errors::io(doing(), std::io::Error::last_os_error(), "")),
            };
        }
        // SAFETY: the region has at least `len` bytes, and none of them is lent.
        let all = unsafe { std::slice::from_raw_parts_mut(base, self.len as usize) };
        self.file.read_exact_at(all, 0).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => self.shrank(),
            _ => errors::io(doing(), source, ""),
        })
    }

    /// Whether the mapped file still has all its bytes.
    pub(crate) fn check(&self) -> Result<(), ReceiveError> {
        if !self.mapped {
            return Ok(());
        }
        let now = self.file.metadata().map_or(0, |meta| meta.len());
        if now < self.len { Err(self.shrank()) } else { Ok(()) }
    }

    fn shrank(&self) -> ReceiveError {
        let at = self.file.metadata().map_or(0, |meta| meta.len());
        let what = format!("{}: the file was cut short while it was read", self.path.display());
        ReceiveError::Malformed { what, at }
    }

    /// A reader's error with the file's name.
    pub(crate) fn error(&self, error: CaptureError) -> ReceiveError {
        let what = format!("{}: {}", self.path.display(), error.fault);
        if error.fault.is_unsupported() {
            errors::unsupported(format!("{what} at byte {}", error.at), error.fault.fix())
        } else {
            ReceiveError::Malformed { what, at: error.at }
        }
    }
}

fn map(file: &File) -> std::io::Result<RegionView> {
    // SAFETY: a private mapping; that the file may change under it can alter packets, as on a
    // wire, and is of no consequence to the reader, which checks all that it reads. Cutting the
    // file short is `CaptureFile::check`'s subject.
    let mut mapping = unsafe { MmapOptions::new().map_copy(file) }?;
    // Advice is best effort.
    let _ = mapping.advise(Advice::Sequential);
    let (base, len) = (mapping.as_mut_ptr(), mapping.len());
    let base = NonNull::new(base).ok_or(std::io::ErrorKind::OutOfMemory)?;
    // SAFETY: mapped readable and writable until the owner is dropped.
    Ok(unsafe { RegionView::new(base, len, Arc::new(mapping)) })
}
