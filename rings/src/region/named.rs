//! Named hugetlbfs files: for programs that attach by path.
//!
//! Unlike a memfd a named file outlives a `kill -9`. Its creator therefore holds an exclusive
//! `flock` for as long as it lives; the kernel lets go of the lock when the last holder dies, so
//! a `.pfs` file that can be locked is stale, whatever process id its creator had.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::statfs::{HUGETLBFS_MAGIC, fstatfs, statfs};

use super::{PageSize, RegionError};

/// A file of ours in a hugetlbfs; its name is removed when the creator drops this.
#[derive(Debug)]
pub(super) struct NamedFile {
    file: Flock<File>,
    path: PathBuf,
    creator: u32,
}

impl NamedFile {
    /// Makes `path`, in place of a stale file of that name, and locks it.
    pub(super) fn create(path: &Path) -> Result<Self, RegionError> {
        if path.extension().is_none_or(|ext| ext != "pfs") {
            return Err(RegionError::BadName { path: path.to_owned() });
        }
        // Each turn either wins or has removed a stale file; a loser to another creator in all
        // of them faces a live one.
        for _ in 0..8 {
            let file = match open(path, true) {
                Ok(file) => file,
                Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => {
                    remove_stale(path)?;
                    continue;
                }
                Err(err) => {
                    return Err(RegionError::os(format!("making {}", path.display()), err, ""));
                }
            };
            let Ok(file) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { continue };
            if is_at(&file, path) {
                return Ok(Self { file, path: path.to_owned(), creator: std::process::id() });
            }
        }
        Err(RegionError::InUse { path: path.to_owned() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for NamedFile {
    fn drop(&mut self) {
        // A forked worker drops its copy too; the name is its parent's.
        if self.creator == std::process::id() && is_at(&self.file, &self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Pages of the hugetlbfs that `path`'s directory lies in; `None` for another file system.
pub(super) fn mount_pages(path: &Path) -> Option<PageSize> {
    let stat = statfs(path.parent()?).ok()?;
    if stat.filesystem_type() != HUGETLBFS_MAGIC {
        return None;
    }
    PageSize::hugetlb(u64::try_from(stat.block_size()).ok()?)
}

/// Pages of the hugetlbfs that `file` lies in; `None` for another file system.
pub(super) fn file_pages(file: &File) -> Option<PageSize> {
    let stat = fstatfs(file).ok()?;
    if stat.filesystem_type() != HUGETLBFS_MAGIC {
        return None;
    }
    PageSize::hugetlb(u64::try_from(stat.block_size()).ok()?)
}

fn open(path: &Path, create: bool) -> std::io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    if create { options.create_new(true) } else { &mut options }.open(path)
}

/// Removes `path` if no live process holds it.
fn remove_stale(path: &Path) -> Result<(), RegionError> {
    let stale = match open(path, false) {
        Ok(file) => file,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(err) => return Err(RegionError::os(format!("opening {}", path.display()), err, "")),
    };
    let lock = Flock::lock(stale, FlockArg::LockExclusiveNonblock)
        .map_err(|_| RegionError::InUse { path: path.to_owned() })?;
    // Under its lock: another creator may have put its own file here since the open.
    if is_at(&lock, path) {
        std::fs::remove_file(path).map_err(|err| {
            RegionError::os(format!("removing stale {}", path.display()), err, "")
        })?;
    }
    Ok(())
}

/// Whether `path` still names `file`.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(held), Ok(there)) => held.dev() == there.dev() && held.ino() == there.ino(),
        _ => false,
    }
}
