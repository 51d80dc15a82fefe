//! Paths as a manifest names them: relative, below the target, without a way out.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use thiserror::Error;

/// Where the receiver keeps what is not whole yet; no manifest may name it.
pub const STAGING: &str = ".pfs-recv";
/// Longest path in bytes, as the kernel's.
pub const PATH_MAX: usize = 4095;
/// Longest part of a path in bytes, as the kernel's.
pub const NAME_MAX: usize = 255;

/// A path that must not be written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("refused the path {:?} of the sender: {why}", .path.escape_ascii().to_string())]
pub struct PathError {
    /// The path.
    pub path: Vec<u8>,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Why `path` may not be in a manifest.
pub(super) fn check(path: &[u8]) -> Result<(), PathError> {
    let refuse = |why| Err(PathError { path: path[..path.len().min(PATH_MAX)].to_vec(), why });
    if path.is_empty() || path.len() > PATH_MAX {
        return refuse("it has no or too many bytes");
    }
    if path.contains(&0) {
        return refuse("it holds a NUL byte");
    }
    if path[0] == b'/' {
        return refuse("it is absolute");
    }
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" => return refuse("it has an empty part"),
            b"." | b".." => return refuse("it has a part that is . or .."),
            name if name.len() > NAME_MAX => return refuse("it has a part of more than 255 bytes"),
            _ => {}
        }
    }
    if path.split(|byte| *byte == b'/').next() == Some(STAGING.as_bytes()) {
        return refuse("it is where the receiver keeps what is not whole yet");
    }
    Ok(())
}

/// The folder that `path` lies in, and its name there.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

/// Bytes as the system's path.
pub(crate) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_out_are_refused() {
        let long = [b'a'; 256];
        let endless = b"a/".repeat(2048);
        for path in [
            &b""[..],
            b"/etc/passwd",
            b"..",
            b"a/../b",
            b"a/..",
            b"./a",
            b"a//b",
            b"a/",
            b"a\0b",
            b".pfs-recv",
            b".pfs-recv/x",
            &long,
            &endless,
        ] {
            assert!(check(path).is_err(), "{:?}", path.escape_ascii().to_string());
        }
        for path in
            [&b"a"[..], b"a/b", b"...", b"..a/.b", b"\xff\xfe", b"a/.pfs-recv", b"-rf", b"a\nb"]
        {
            assert_eq!(check(path), Ok(()));
        }
    }

    #[test]
    fn paths_split_at_the_last_slash() {
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"c"), (&b""[..], &b"c"[..]));
    }
}
