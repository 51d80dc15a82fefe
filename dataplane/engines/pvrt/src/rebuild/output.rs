//! A file that appears under its name whole, or not at all.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, FallocateFlags, fallocate};
use nix::unistd::linkat;

/// A file without its name yet. Dropped, it is gone; where the file system lets files exist
/// without a name, a killed process leaves nothing behind either.
#[derive(Debug)]
pub(super) struct Output {
    file: File,
    /// Where it is to appear.
    path: PathBuf,
    /// Where it lies until then, if it has to lie somewhere.
    beside: Option<PathBuf>,
}

impl Output {
    /// A file for `path`, with room for `size` bytes.
    ///
    /// # Errors
    /// When its folder cannot be written to, there is no room, or at `path` is something else than
    /// a file.
    pub(super) fn create(path: &Path, size: u64) -> io::Result<Self> {
        if let Ok(there) = std::fs::metadata(path)
            && !there.is_file()
        {
            let kind = io::ErrorKind::AlreadyExists;
            return Err(io::Error::new(kind, "something else than a file has this name"));
        }
        let path = path.to_owned();
        let unnamed = OpenOptions::new()
            .read(true)
            .write(true)
            .mode(0o666)
            .custom_flags(libc::O_TMPFILE)
            .open(folder(&path));
        let output = match unnamed {
            Ok(file) => Self { file, path, beside: None },
            Err(_) => {
                let name = beside(&path)?;
                let mut options = OpenOptions::new();
                let file = options.read(true).write(true).create_new(true).open(&name)?;
                Self { file, path, beside: Some(name) }
            }
        };
        output.reserve(size)?;
        Ok(output)
    }

    /// Takes the room before any work is done, so that a full disk is met now.
    fn reserve(&self, size: u64) -> io::Result<()> {
        let len = i64::try_from(size).map_err(|_| io::Error::from(Errno::EFBIG))?;
        if len == 0 {
            return Ok(());
        }
        match fallocate(&self.file, FallocateFlags::empty(), 0, len) {
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => self.file.set_len(size),
            other => other.map_err(io::Error::from),
        }
    }

    /// Writes all of `bytes` at `offset`.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// Makes it durable and gives it its name, in place of what had it.
    pub(super) fn publish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        let name = match &self.beside {
            Some(name) => name.clone(),
            None => {
                let name = beside(&self.path)?;
                let link = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                linkat(AT_FDCWD, link.as_str(), AT_FDCWD, &name, AtFlags::AT_SYMLINK_FOLLOW)?;
                self.beside = Some(name.clone());
                name
            }
        };
        std::fs::rename(&name, &self.path)?;
        self.beside = None;
        File::open(folder(&self.path))?.sync_all()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(name) = self.beside.take() {
            let _ = std::fs::remove_file(name);
        }
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A name in the same folder that nothing has.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path ends in no file name"));
    };
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    // Names are limited to 255 bytes: a long one would leave no room for what is added.
    let name: String = name.to_string_lossy().chars().take(40).collect();
    Ok(folder(path).join(format!(".{name}.{:016x}.part", u64::from_le_bytes(random))))
}
