//! Walks what is to be sent.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::manifest::{Entry, FILE_MAX, Kind, MODE_MASK};
use crate::transfer::error::TransferError;

/// Something that was found, and where.
#[derive(Clone, Debug)]
pub struct Found {
    /// As the manifest says it.
    pub entry: Entry,
    /// Where it is read from.
    pub source: PathBuf,
}

/// What a walk came to.
#[derive(Debug, Default)]
pub struct Scanned {
    /// Sockets, pipes and devices, which are not sent.
    pub skipped: Vec<PathBuf>,
}

/// Walks `sources` in a manifest's order and gives each file, folder and link to `each`. A source
/// is sent under its last name; a folder written with a slash at its end (or as `.`) is not: what
/// it holds is. A source that is a link is followed, links below are sent as such.
///
/// # Errors
/// When something cannot be read or is too large, two sources have the same name, or `each` fails.
/// What goes away during the walk is left out.
pub fn scan(
    sources: &[PathBuf],
    each: &mut dyn FnMut(Found) -> Result<(), TransferError>,
) -> Result<Scanned, TransferError> {
    let mut named = Vec::new();
    for source in sources {
        named.push((name(source, sources.len() == 1)?, source));
    }
    named.sort();
    if let Some(pair) = named.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let doing = format!("sending both {} and {}", pair[0].1.display(), pair[1].1.display());
        return Err(TransferError::io(
            doing,
            io::Error::other("they would have the same name; send one after the other"),
        ));
    }
    let mut scanned = Scanned::default();
    for (prefix, source) in named {
        walk(&prefix, source, &mut scanned, each)?;
    }
    Ok(scanned)
}

/// What a source is sent as; empty for what a folder holds.
fn name(source: &Path, alone: bool) -> Result<Vec<u8>, TransferError> {
    let bytes = source.as_os_str().as_bytes();
    let inside = bytes.ends_with(b"/") || bytes.ends_with(b"/.") || bytes == b".";
    match source.file_name() {
        Some(name) if !inside => Ok(name.as_bytes().to_vec()),
        _ if alone => Ok(Vec::new()),
        _ => {
            let why = io::Error::other(
                "what a folder holds is sent alone; name the folder without slash or dot at its end",
            );
            Err(TransferError::io(format!("sending {}", source.display()), why))
        }
    }
}

fn walk(
    prefix: &[u8],
    source: &Path,
    scanned: &mut Scanned,
    each: &mut dyn FnMut(Found) -> Result<(), TransferError>,
) -> Result<(), TransferError> {
    let doing = |path: &Path| format!("reading {}", path.display());
    let top = fs::metadata(source).map_err(|error| TransferError::io(doing(source), error))?;
    if prefix.is_empty() && !top.is_dir() {
        return Err(TransferError::io(doing(source), io::ErrorKind::NotADirectory.into()));
    }
    for item in WalkDir::new(source).sort_by_file_name() {
        let item = match item {
            Ok(item) => item,
            Err(error) => {
                let path = error.path().unwrap_or(source).to_owned();
                let error = error.into_io_error().unwrap_or_else(|| io::Error::other("a loop"));
                if error.kind() == io::ErrorKind::NotFound && path != source {
                    continue;
                }
                return Err(TransferError::io(doing(&path), error));
            }
        };
        let path = join(prefix, source, &item);
        if path.is_empty() {
            continue;
        }
        match entry(path, &item, (item.depth() == 0).then_some(&top)) {
            Ok(Some(entry)) => each(Found { entry, source: item.into_path() })?,
            Ok(None) => scanned.skipped.push(item.into_path()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(TransferError::io(doing(item.path()), error)),
        }
    }
    Ok(())
}

fn join(prefix: &[u8], source: &Path, item: &DirEntry) -> Vec<u8> {
    let below = item.path().strip_prefix(source).unwrap_or(Path::new(""));
    let below = if item.depth() == 0 { Path::new("") } else { below };
    let mut path = prefix.to_vec();
    if !path.is_empty() && !below.as_os_str().is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(below.as_os_str().as_bytes());
    path
}

/// None for what is not sent.
fn entry(path: Vec<u8>, item: &DirEntry, top: Option<&Metadata>) -> io::Result<Option<Entry>> {
    let about = match top {
        Some(top) => top.clone(),
        None => fs::symlink_metadata(item.path())?,
    };
    let kind = if about.is_dir() {
        Kind::Folder
    } else if about.is_file() {
        if about.len() > FILE_MAX {
            return Err(io::Error::other(
                "it is larger than 1 TiB, the most that is sent as one file",
            ));
        }
        Kind::File { size: about.len() }
    } else if about.is_symlink() {
        Kind::Link { target: fs::read_link(item.path())?.into_os_string().as_bytes().to_vec() }
    } else {
        return Ok(None);
    };
    Ok(Some(Entry { path, mode: about.mode() & MODE_MASK, mtime: mtime(&about), kind }))
}

/// Nanoseconds since 1970, as far as they fit.
fn mtime(about: &Metadata) -> i64 {
    about.mtime().saturating_mul(1_000_000_000).saturating_add(about.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::tree::Order;
    use std::ffi::OsStr;
    use std::os::unix::fs::symlink;

    fn paths(sources: &[PathBuf]) -> Result<Vec<String>, TransferError> {
        let (mut paths, mut order, mut out) = (Vec::new(), Order::default(), Vec::new());
        scan(sources, &mut |found| {
            order.write(&found.entry, &mut out)?;
            paths.push(found.entry.path.escape_ascii().to_string());
            Ok(())
        })?;
        Ok(paths)
    }

    #[test]
    fn a_walk_is_a_manifest() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("tree");
        fs::create_dir_all(root.join("a/deep")).expect("makes");
        for name in ["a/deep/x", "a.b", "a-b", "z"] {
            fs::write(root.join(name), name).expect("writes");
        }
        fs::write(root.join(OsStr::from_bytes(b"\xff\n")), "").expect("writes");
        symlink("../nowhere", root.join("l")).expect("links");
        let below = ["a", "a/deep", "a/deep/x", "a-b", "a.b", "l", "z", "\\xff\\n"];
        assert_eq!(paths(&[root.join("")]).expect("walks"), below);
        assert_eq!(paths(&[root.join(".")]).expect("walks"), below);
        let mut whole: Vec<String> = below.iter().map(|path| format!("tree/{path}")).collect();
        whole.insert(0, "tree".into());
        assert_eq!(paths(std::slice::from_ref(&root)).expect("walks"), whole);
        let two = [root.join("z"), root.join("a.b")];
        assert_eq!(paths(&two).expect("walks"), ["a.b", "z"]);
        assert!(paths(&[root.join("z"), root.join("z")]).is_err());
        assert!(paths(&[root.join(""), root.join("z")]).is_err());
        assert!(paths(&[root.join("nothing")]).is_err());
    }
}
