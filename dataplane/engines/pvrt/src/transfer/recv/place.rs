//! What is whole goes to where it belongs: mode and time, on disk, then its name.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use super::shelf::{self, Shelf};
use super::sync::{Outcome, Outcomes, staged};
use crate::transfer::error::TransferError;
use crate::transfer::tree::{Entry, Part, Staging, Target, as_path, dress};
use crate::wire::Transfer;

/// All bytes of an object that is kept in memory.
pub(super) fn bytes(transfer: &Transfer) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(transfer.spec().size as usize);
    (0..transfer.windows())
        .filter_map(|window| transfer.window(window))
        .for_each(|part| bytes.extend_from_slice(part));
    bytes
}

fn failed(what: &str, entry: &Entry) -> impl Fn(io::Error) -> TransferError {
    let doing = format!("{what} {}", as_path(&entry.path).display());
    move |error| TransferError::io(doing.clone(), error)
}

/// Puts a large file in place; where only parts of it came, the rest of it are holes.
pub(super) fn file(
    target: &mut Target,
    staging: &Staging,
    entry: &Entry,
    part: &Part,
    extents: Option<&[(u64, u64)]>,
    fsync: bool,
) -> Result<(), TransferError> {
    const SPARSE: &str = "sparse";
    let failed = failed("writing", entry);
    let (file, name) = match extents {
        None => (part.data().try_clone().map_err(&failed)?, part.staged()),
        Some(extents) => {
            let file = staging.create(SPARSE)?;
            spread(part.data(), &file, extents, entry.size()).map_err(&failed)?;
            (file, SPARSE.to_owned())
        }
    };
    dress(file.as_fd(), entry.mode, entry.mtime).map_err(|error| failed(error.into()))?;
    if fsync {
        file.sync_all().map_err(&failed)?;
    }
    target.place(staging.folder(), &name, &entry.path)?;
    staging.remove(&part.journal())?;
    if extents.is_some() { staging.remove(&part.staged()) } else { Ok(()) }
}

/// Copies the parts of a file to where they belong in it.
fn spread(from: &File, to: &File, extents: &[(u64, u64)], size: u64) -> io::Result<()> {
    to.set_len(size)?;
    let (mut buffer, mut at) = (vec![0; 1 << 20], 0);
    for (begin, length) in extents {
        let mut done = 0;
        while done < *length {
            let part = (length - done).min(buffer.len() as u64) as usize;
            from.read_exact_at(&mut buffer[..part], at)?;
            to.write_all_at(&buffer[..part], begin + done)?;
            (done, at) = (done + part as u64, at + part as u64);
        }
    }
    Ok(())
}

/// Puts small files in place.
pub(super) fn bundle(
    target: &mut Target,
    staging: &Staging,
    entries: &[&Entry],
    mut bytes: &[u8],
    fsync: bool,
) -> Result<(), TransferError> {
    let name = |number: usize| format!("small-{number}");
    for (number, entry) in entries.iter().enumerate() {
        let (own, rest) = bytes.split_at(entry.size() as usize);
        staging.write(&name(number), own, entry.mode, entry.mtime)?;
        bytes = rest;
    }
    if fsync {
        sync_all(staging.folder())?;
    }
    for (number, entry) in entries.iter().enumerate() {
        target.place(staging.folder(), &name(number), &entry.path)?;
    }
    Ok(())
}

/// Puts the files of a sync in place.
pub(super) fn synced(
    target: &mut Target,
    staging: &Staging,
    entries: &[&Entry],
    (olds, shelf): (&[(Vec<u8>, u64)], Option<&Shelf>),
    outcomes: &Outcomes,
    fsync: bool,
) -> Result<(), TransferError> {
    let mut made = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        let outcome =
            outcomes.get(&number).ok_or(TransferError::Protocol("its sync leaves a file out"))?;
        let file = match outcome {
            Outcome::Made => staging.reopen(&staged(number))?,
            Outcome::Same(old) if *old >= olds.len() => {
                let mut to = staging.create(&staged(number))?;
                shelf::copy(shelf, old - olds.len(), &mut to).map_err(failed("copying", entry))?;
                to
            }
            Outcome::Same(old) => {
                let (path, _) = &olds[*old];
                if *path == entry.path {
                    target.dress(path, entry.mode, entry.mtime)?;
                    continue;
                }
                let (mut from, mut to) = (target.read(path)?, staging.create(&staged(number))?);
                io::copy(&mut from, &mut to).map_err(failed("copying", entry))?;
                to
            }
        };
        let failed = failed("writing", entry);
        let size = file.metadata().map_err(&failed)?.len();
        if size != entry.size() {
            return Err(TransferError::Changing(as_path(&entry.path).to_owned()));
        }
        dress(file.as_fd(), entry.mode, entry.mtime).map_err(|error| failed(error.into()))?;
        made.push((number, entry));
    }
    if fsync && !made.is_empty() {
        sync_all(staging.folder())?;
    }
    for (number, entry) in made {
        target.place(staging.folder(), &staged(number), &entry.path)?;
    }
    Ok(())
}

/// Writes all of a folder's filesystem to disk.
pub(super) fn sync_all(folder: BorrowedFd<'_>) -> Result<(), TransferError> {
    // SAFETY: syncfs takes a descriptor, which is open, and touches no memory.
    match unsafe { libc::syncfs(folder.as_raw_fd()) } {
        0 => Ok(()),
        _ => Err(TransferError::io("writing to disk", io::Error::last_os_error())),
    }
}
