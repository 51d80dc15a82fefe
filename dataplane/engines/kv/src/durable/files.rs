//! A shard's directory: what may lie in it, and who may use it.
//!
//! `lock` (the process that has it), `epoch` (how often it was opened), `00000000000000000001.log`
//! (a segment; the number is its first frame's), `00000000000000000042.snap` (everything up to that
//! frame), `*.tmp` (unfinished, removed when found).

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::{DurableError, IoContext};

/// A directory that no other process has; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: Flock<File>,
}

impl Lock {
    /// Takes `folder`, which is made if it is not there.
    pub(crate) fn take(folder: &Path) -> Result<Self, DurableError> {
        std::fs::create_dir_all(folder).doing("making", folder)?;
        let path = folder.join("lock");
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.doing("opening", &path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                let pid = format!("{}\n", std::process::id());
                // In place: on a full disk a block that was given back may be another's at once.
                file.write_all(pid.as_bytes()).doing("writing", &path)?;
                file.set_len(pid.len() as u64).doing("writing", &path)?;
                Ok(Self { _file: file })
            }
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut text = String::new();
                let read = file.read_to_string(&mut text);
                let pid = read.ok().and_then(|_| text.trim().parse().ok()).unwrap_or(0);
                Err(DurableError::Locked { path: folder.into(), pid })
            }
            Err((_, error)) => Err(error).doing("locking", &path),
        }
    }
}

/// Makes what was created, renamed or removed in `folder` durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), DurableError> {
    File::open(folder).and_then(|file| file.sync_all()).doing("syncing", folder)
}

/// Writes `bytes` to `path` so that it has either all of them or none, whenever power fails.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), DurableError> {
    let tmp = path.with_extension("tmp");
    let mut file = File::create(&tmp).doing("creating", &tmp)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).doing("writing", &tmp)?;
    publish(&tmp, path)
}

/// Renames a file that is synced, and makes that durable.
pub(super) fn publish(tmp: &Path, path: &Path) -> Result<(), DurableError> {
    std::fs::rename(tmp, path).doing("renaming", tmp)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// What lies in a directory, by number.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) segments: Vec<(u64, PathBuf)>,
    pub(super) snapshots: Vec<(u64, PathBuf)>,
}

/// Lists `folder`, removes what was left unfinished, and refuses what is not ours.
pub(super) fn list(folder: &Path) -> Result<Listing, DurableError> {
    let mut listing = Listing::default();
    for entry in std::fs::read_dir(folder).doing("reading", folder)? {
        let path = entry.doing("reading", folder)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let number = if stem.len() == 20 { stem.parse::<u64>().ok() } else { None };
        match (extension, number) {
            (Some("log"), Some(number)) => listing.segments.push((number, path)),
            (Some("snap"), Some(number)) => listing.snapshots.push((number, path)),
            (Some("tmp"), _) => std::fs::remove_file(&path).doing("removing", &path)?,
            (None, _) if stem == "lock" || stem == "epoch" => {}
            _ => return Err(DurableError::Foreign { path }),
        }
    }
    listing.segments.sort();
    listing.snapshots.sort();
    Ok(listing)
}

/// How often `folder` was opened to write before.
pub(super) fn last_epoch(folder: &Path) -> Result<u32, DurableError> {
    let path = folder.join("epoch");
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "0".to_owned(),
        read => read.doing("reading", &path)?,
    };
    let what = "it is no number";
    text.trim().parse().map_err(|_| DurableError::Damaged { path, at: 0, what })
}

/// Notes, durably, that `folder` is opened to write for the `epoch`-th time.
pub(super) fn write_epoch(folder: &Path, epoch: u32) -> Result<(), DurableError> {
    write_whole(&folder.join("epoch"), epoch.to_string().as_bytes())
}

/// Where the segment lies whose first frame has `number`.
pub(super) fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.log"))
}

/// Where the snapshot of everything up to frame `number` lies.
pub(super) fn snapshot_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.snap"))
}

/// Syncs the data of `file`, and its size if that changed.
pub(super) fn sync_data(file: impl AsFd) -> Result<(), Errno> {
    nix::unistd::fdatasync(file)
}
