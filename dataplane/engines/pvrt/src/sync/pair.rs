//! New files that are brought over, and which old file each resembles.

use std::collections::HashMap;
use std::ops::Range;

use super::cover::Cover;

/// A new file that the receiver does not have.
#[derive(Debug)]
pub(super) struct Pair {
    /// Its number.
    pub(super) file: usize,
    /// Its bytes.
    pub(super) size: u64,
    /// What the receiver has of it.
    pub(super) cover: Cover,
    /// Addresses of the old file that it resembles; at the sender, of no meaning but for being
    /// there or not.
    pub(super) base: Option<Range<u64>>,
    /// The base as both sides have it, by number at this side.
    pub(super) shared: Option<usize>,
}

/// A part of a new file, of at most [`super::batch::BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    /// Which of the pairs.
    pub(super) pair: usize,
    /// Its first byte.
    pub(super) from: u64,
    /// One past its last.
    pub(super) to: u64,
}

/// For each new path the old file that it most likely comes from, if any: the one of the same
/// path, else the one whose path is the same when digits are left out, else one of the same name.
#[must_use]
pub fn bases<S: AsRef<str>>(new: &[S], old: &[S]) -> Vec<Option<usize>> {
    let plain = |path: &str| path.replace(|c: char| c.is_ascii_digit(), "");
    let name = |path: &str| plain(path.rsplit('/').next().unwrap_or(path));
    let mut paths = HashMap::new();
    let mut plains = HashMap::new();
    let mut names = HashMap::new();
    for (n, path) in old.iter().enumerate() {
        let path = path.as_ref();
        paths.insert(path, n);
        plains.entry(plain(path)).or_insert_with(Vec::new).push(n);
        names.entry(name(path)).or_insert_with(Vec::new).push(n);
    }
    // Of several, the one that shares the longest begin.
    let best = |among: Option<&Vec<usize>>, path: &str| {
        let shared = |n: &usize| {
            let other = old[*n].as_ref();
            path.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count()
        };
        // Many files of one name, such as mod.rs, say nothing.
        among.filter(|all| all.len() <= 64)?.iter().copied().max_by_key(shared)
    };
    let pick = |path: &str| {
        let same = paths.get(path).copied();
        same.or_else(|| best(plains.get(&plain(path)), path))
            .or_else(|| best(names.get(&name(path)), path))
    };
    new.iter().map(|path| pick(path.as_ref())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_what_they_come_from() {
        let old = ["lib/6.1.0-55/a.ko", "lib/6.1.0-55/b.ko", "src/x.rs", "doc/NEWS"];
        let new = ["lib/6.1.0-56/b.ko", "src/x.rs", "doc/html/NEWS", "other"];
        assert_eq!(bases(&new, &old), [Some(1), Some(2), Some(3), None]);
        assert_eq!(bases::<&str>(&[], &[]), []);
    }
}
