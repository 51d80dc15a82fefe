//! Sinks that cannot be opened or written.

use std::io;
use std::path::Path;

use thiserror::Error;

/// Why ids cannot be kept.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdSinkError {
    /// A system call failed.
    #[error("{doing}: {source}{}{fix}", if .fix.is_empty() { "" } else { "; " })]
    Io {
        /// What was being done, and to what.
        doing: String,
        /// The kernel's answer.
        source: io::Error,
        /// The command that mends it; empty where none is known.
        fix: String,
    },
    /// The sink cannot be as asked.
    #[error("{what}; {fix}")]
    Unsupported {
        /// What was asked.
        what: String,
        /// What to ask instead.
        fix: String,
    },
    /// Memory for a ring cannot be had.
    #[error("making an id ring: {0}")]
    Region(#[from] pfs_rings::RegionError),
    /// A ring cannot be made.
    #[error("making an id ring: {0}")]
    Ring(#[from] pfs_rings::spsc::RingError),
    /// Arrow's writer refused.
    #[error("writing Arrow IPC: {0}")]
    Arrow(String),
}

impl IdSinkError {
    /// A failure of `doing` something to `path`, with what mends it where that is known.
    #[must_use]
    pub fn io(doing: &str, path: &Path, source: io::Error) -> Self {
        let folder = path.parent().filter(|path| !path.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).display();
        let fix = match source.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => format!("make room: df -h {folder}"),
            Some(libc::ENOENT) => format!("mkdir -p {folder}"),
            _ => String::new(),
        };
        Self::Io { doing: format!("{doing} {}", path.display()), source, fix }
    }

    /// Whether nobody reads any more.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}
