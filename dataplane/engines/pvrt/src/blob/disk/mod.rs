//! A blob's folder.
//!
//! | file | what |
//! |---|---|
//! | `header` | what the blob is; written last, so that a folder without it holds none |
//! | `data` | its bytes, unless the header names another file for them |
//! | `journal` | which chunks and objects there are |
//! | `lock` | locked by the process that writes |
//! | `readers` | locked, shared, by processes that read |

pub(super) mod frame;
pub(super) mod header;
pub(super) mod journal;
pub(super) mod record;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::error::{BlobError, Context};

const NAMES: [&str; 7] =
    ["header", "header.tmp", "data", "journal", "journal.tmp", "lock", "readers"];

pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    // The algorithm's values have 32 bits.
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// Takes numbers and bytes from the front of a record.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// As many bytes as the two before them say.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        let (text, rest) = self.0.split_at_checked(usize::from(len))?;
        self.0 = rest;
        Some(text)
    }
}

/// Who uses the folder, and how.
#[derive(Debug)]
pub(super) enum Access {
    /// The one that writes.
    Write(#[expect(dead_code, reason = "held, not read")] Flock<File>),
    /// One of those that read.
    Read(#[expect(dead_code, reason = "held, not read")] Flock<File>),
}

fn open_lock(folder: &Path, name: &str) -> Result<(File, PathBuf), BlobError> {
    let path = folder.join(name);
    let options =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    Ok((options.doing("opening", &path)?, path))
}

impl Access {
    /// Takes the folder for writing.
    pub(super) fn write(folder: &Path) -> Result<Self, BlobError> {
        let (file, path) = open_lock(folder, "lock")?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                file.set_len(0).doing("writing", &path)?;
                file.write_all(format!("{}\n", std::process::id()).as_bytes())
                    .doing("writing", &path)?;
                Ok(Self::Write(file))
            }
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut text = String::new();
                let read = file.read_to_string(&mut text);
                let pid = read.ok().and_then(|_| text.trim().parse().ok()).unwrap_or(0);
                Err(BlobError::Locked { path: folder.into(), pid })
            }
            Err((_, error)) => Err(error).doing("locking", &path),
        }
    }

    /// Takes the folder for reading: until this goes, no space is given back.
    pub(super) fn read(folder: &Path) -> Result<Self, BlobError> {
        // Who may not write the folder finds the file that its writer made.
        let path = folder.join("readers");
        let file = File::open(&path).doing("opening", &path)?;
        // Held exclusively only while space is given back, which ends soon.
        match Flock::lock(file, FlockArg::LockShared) {
            Ok(file) => Ok(Self::Read(file)),
            Err((_, error)) => Err(error).doing("locking", &path),
        }
    }
}

/// Makes sure that nobody reads as long as what is returned lives.
pub(super) fn no_readers(folder: &Path) -> Result<Flock<File>, BlobError> {
    let (file, path) = open_lock(folder, "readers")?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(file) => Ok(file),
        Err((_, Errno::EWOULDBLOCK)) => Err(BlobError::Readers(folder.into())),
        Err((_, error)) => Err(error).doing("locking", &path),
    }
}

/// Makes the folder for a new blob: nothing but what an unfinished one left may lie there.
pub(super) fn prepare(folder: &Path) -> Result<Access, BlobError> {
    std::fs::create_dir_all(folder).doing("making", folder)?;
    for entry in std::fs::read_dir(folder).doing("reading", folder)? {
        let entry = entry.doing("reading", folder)?;
        if !NAMES.iter().any(|name| entry.file_name() == *name) {
            return Err(BlobError::Foreign(entry.path()));
        }
    }
    let access = Access::write(folder)?;
    if folder.join("header").exists() {
        return Err(BlobError::Exists(folder.into()));
    }
    open_lock(folder, "readers")?;
    Ok(access)
}

/// Leaves nothing of a blob that could not be made; the folder only if it was there before.
pub(super) fn remove(folder: &Path, data: &Path, fresh: bool) {
    // What is not there need not go, and nobody can be told of more.
    let _ = std::fs::remove_file(data);
    for name in NAMES {
        let _ = std::fs::remove_file(folder.join(name));
    }
    if fresh {
        let _ = std::fs::remove_dir(folder);
    }
}

/// Makes what was created, renamed or removed in `folder` durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), BlobError> {
    File::open(folder).and_then(|file| file.sync_all()).doing("syncing", folder)
}

/// Writes a file of the folder so that it has all of `bytes` or is as before, whenever power fails.
pub(super) fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> Result<File, BlobError> {
    let (path, tmp) = (folder.join(name), folder.join(format!("{name}.tmp")));
    let made = File::options().read(true).write(true).create(true).truncate(true).open(&tmp);
    let mut file = made.doing("creating", &tmp)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let renamed = written.and_then(|()| std::fs::rename(&tmp, &path));
    if renamed.is_err() {
        // It is ours, and of no use; the first error is the one to tell.
        let _ = std::fs::remove_file(&tmp);
    }
    renamed.doing("writing", &path)?;
    sync_folder(folder)?;
    Ok(file)
}
