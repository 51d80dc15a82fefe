//! Source files to measure on, and others to train on.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Which half of a corpus: what is trained on is never measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// To learn symbols and dictionaries from.
    Train,
    /// To measure.
    Measure,
}

/// The half that all files of a package fall into, by a hash of its folder's name up to its version.
fn half(package: &OsStr) -> Half {
    let name = package.to_string_lossy();
    let name = name.rsplit_once('-').map_or(&*name, |(name, _)| name);
    if blake3::hash(name.as_bytes()).as_bytes()[0] & 1 == 0 { Half::Train } else { Half::Measure }
}

/// The sources below `folder` with one of `extensions`, of one half, by path; of each package, which
/// is a folder directly below, all or none. At most `most`, spread evenly over what there is.
#[must_use]
pub fn sources(folder: &Path, extensions: &[&str], wanted: Half, most: usize) -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    for package in entries(folder) {
        if package.file_name().is_some_and(|name| half(name) == wanted) {
            collect(&package, extensions, &mut paths);
        }
    }
    paths.sort();
    let step = (paths.len() as f64 / most as f64).max(1.0);
    let chosen = (0..paths.len().min(most)).map(|at| &paths[(at as f64 * step) as usize]);
    chosen.filter_map(|path| std::fs::read(path).ok()).filter(|it| !it.is_empty()).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).collect()
}

fn collect(path: &Path, extensions: &[&str], paths: &mut Vec<PathBuf>) {
    let mut left = vec![path.to_path_buf()];
    while let Some(path) = left.pop() {
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            left.extend(entries(&path));
        } else if path.extension().is_some_and(|it| extensions.iter().any(|known| it == *known)) {
            paths.push(path);
        }
    }
}
