//! Reading a log again.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use super::frame::{self, Frame};
use super::{FILE_HEAD, MAGIC, VERSION, WalError, io_error};

/// What was found when a log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Frames that were given to the caller.
    pub frames: u64,
    /// Bytes of a torn end that were cut off, or left out.
    pub cut: u64,
    /// The last frame's number; 0 when there is none.
    pub last: u64,
    /// The file to go on with, and its bytes.
    pub(super) open: Option<(PathBuf, u64)>,
}

/// The log's files with their first numbers, in order.
pub(super) fn files(folder: &Path) -> Result<Vec<(u64, PathBuf)>, WalError> {
    let listing = io_error("listing", folder);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return Err(listing(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(io_error("listing", folder))?.path();
        if path.extension().is_some_and(|extension| extension == "wal") {
            let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let first = u64::from_str_radix(name, 16).ok().filter(|_| name.len() == 16);
            let why = "its name is no number of a change";
            files.push((first.ok_or(WalError::Foreign { path: path.clone(), why })?, path));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Reads all files, gives `apply` frames from number `from` on, and cuts a torn end off where it is to `mend`.
pub(super) fn recover(
    folder: &Path,
    from: u64,
    mend: bool,
    apply: &mut dyn FnMut(&Frame<'_>),
) -> Result<Recovered, WalError> {
    let files = files(folder)?;
    let mut recovered = Recovered { last: from.saturating_sub(1), ..Recovered::default() };
    let Some(&(first, ref path)) = files.first() else { return Ok(recovered) };
    if first > from.max(1) {
        return Err(WalError::Gap { after: from.saturating_sub(1), path: path.clone() });
    }
    let mut next = first;
    for (at, (first, path)) in files.iter().enumerate() {
        if *first != next {
            return Err(WalError::Gap { after: next - 1, path: path.clone() });
        }
        let bytes = read(path)?;
        check_head(&bytes, *first, path)?;
        let good = frames(&bytes, &mut next, from, &mut recovered.frames, apply);
        let rest = bytes.len() - good;
        let is_last = at + 1 == files.len();
        if rest > 0 && (!is_last || goes_on(&bytes[good..], next)) {
            return Err(WalError::Damaged { path: path.clone(), at: good as u64 });
        }
        drop(bytes);
        if rest > 0 {
            if mend {
                cut(path, good as u64)?;
            }
            recovered.cut = rest as u64;
        }
        if is_last {
            recovered.open = Some((path.clone(), good as u64));
        }
    }
    recovered.last = recovered.last.max(next - 1);
    if recovered.last >= next {
        // All that the log holds is covered: it goes on in a new file, behind the gap.
        recovered.open = None;
    }
    Ok(recovered)
}

/// All that is in a file: read and not mapped, since its writer may add to it or cut its end meanwhile.
fn read(path: &Path) -> Result<Vec<u8>, WalError> {
    std::fs::read(path).map_err(io_error("reading", path))
}

fn check_head(bytes: &[u8], first: u64, path: &Path) -> Result<(), WalError> {
    let foreign = |why| Err(WalError::Foreign { path: path.to_owned(), why });
    let Some(head) = bytes.first_chunk::<FILE_HEAD>() else { return foreign("it is too short") };
    if head[..8] != *MAGIC {
        return foreign("it begins with other bytes");
    }
    if head[8..12] != VERSION.to_le_bytes() {
        return foreign("it has another version");
    }
    if head[16..24] != first.to_le_bytes() {
        return foreign("its name and its head name different changes");
    }
    Ok(())
}

/// Goes through the whole frames, which are numbered from `next` on; returns where they end.
fn frames(
    bytes: &[u8],
    next: &mut u64,
    from: u64,
    given: &mut u64,
    apply: &mut dyn FnMut(&Frame<'_>),
) -> usize {
    let mut at = FILE_HEAD;
    while let Some((frame, len)) = frame::read(&bytes[at..]) {
        if frame.lsn != *next {
            break;
        }
        if frame.lsn >= from {
            apply(&frame);
            *given += 1;
        }
        *next += 1;
        at += len;
    }
    at
}

/// Whether a whole frame follows what is no frame: then it is damage, not a torn end.
fn goes_on(rest: &[u8], next: u64) -> bool {
    (0..rest.len())
        .step_by(8)
        .any(|at| frame::read(&rest[at..]).is_some_and(|(frame, _)| frame.lsn >= next))
}

fn cut(path: &Path, len: u64) -> Result<(), WalError> {
    let file = OpenOptions::new().write(true).open(path).map_err(io_error("opening", path))?;
    file.set_len(len).and_then(|()| file.sync_all()).map_err(io_error("cutting the end of", path))
}
