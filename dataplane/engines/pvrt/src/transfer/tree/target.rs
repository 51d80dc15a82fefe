//! The folder that a transfer writes into. Every path is walked from it name by name, and no link is
//! followed, so that nothing outside can be read or written whatever a manifest or the folder holds.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{
    FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmodat, fstatat, mkdirat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};

use super::path::{as_path, split};
use crate::transfer::error::TransferError;

const FOLDER: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// What stands at a path of the target.
#[derive(Debug)]
pub(crate) enum Standing {
    Nothing,
    Folder,
    File {
        size: u64,
    },
    Link {
        target: Vec<u8>,
    },
    /// A device, pipe or socket.
    Other,
}

impl Standing {
    /// In words.
    pub(crate) const fn words(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Folder => "a folder",
            Self::File { .. } => "a file",
            Self::Link { .. } => "a link",
            Self::Other => "a device, pipe or socket",
        }
    }
}

/// A folder to write into.
#[derive(Debug)]
pub(crate) struct Target {
    root: OwnedFd,
    path: PathBuf,
    /// The folder of the last path, which the next one often shares.
    last: Option<(Vec<u8>, OwnedFd)>,
}

impl Target {
    /// Opens the folder, which is made if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, TransferError> {
        let doing = || format!("opening the target {}", path.display());
        std::fs::create_dir_all(path).map_err(|error| TransferError::io(doing(), error))?;
        let flags = FOLDER.difference(OFlag::O_NOFOLLOW);
        let root = nix::fcntl::open(path, flags, Mode::empty())
            .map_err(|error| TransferError::sys(doing(), error))?;
        Ok(Self { root, path: path.to_owned(), last: None })
    }

    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that `path` lies in, and its name there; none where there is no such folder.
    fn parent<'a>(
        &mut self,
        path: &'a [u8],
    ) -> Result<Option<(BorrowedFd<'_>, &'a [u8])>, TransferError> {
        let (folder, name) = split(path);
        if self.last.as_ref().is_none_or(|(last, _)| last != folder) {
            self.last = None;
            let Some(fd) = self.walk(folder)? else { return Ok(None) };
            self.last = Some((folder.to_vec(), fd));
        }
        Ok(self.last.as_ref().map(|(_, fd)| (fd.as_fd(), name)))
    }

    fn walk(&self, folder: &[u8]) -> Result<Option<OwnedFd>, TransferError> {
        let failed = |at: &[u8], error| TransferError::sys(self.doing("opening", at), error);
        let mut fd = self
            .root
            .try_clone()
            .map_err(|error| TransferError::io("opening the target", error))?;
        let mut walked = 0;
        for name in folder.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            walked += name.len() + 1;
            let at = &folder[..walked - 1];
            fd = match openat(&fd, name, FOLDER, Mode::empty()) {
                Ok(fd) => fd,
                Err(Errno::ENOENT) => return Ok(None),
                Err(Errno::ELOOP | Errno::ENOTDIR) => {
                    return Err(in_the_way(at, "no folder", "a folder"));
                }
                Err(error) => return Err(failed(at, error)),
            };
        }
        Ok(Some(fd))
    }

    fn doing(&self, what: &str, path: &[u8]) -> String {
        format!("{what} {}", self.path.join(as_path(path)).display())
    }

    /// As [`Self::parent`]; its lack is an error.
    fn there<'a>(
        &mut self,
        what: &str,
        path: &'a [u8],
    ) -> Result<(BorrowedFd<'_>, &'a [u8]), TransferError> {
        let missing = TransferError::sys(self.doing(what, path), Errno::ENOENT);
        self.parent(path)?.ok_or(missing)
    }

    /// What stands at `path`.
    pub(crate) fn look(&mut self, path: &[u8]) -> Result<Standing, TransferError> {
        let doing = self.doing("looking at", path);
        let Some((folder, name)) = self.parent(path)? else { return Ok(Standing::Nothing) };
        let about = match fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(about) => about,
            Err(Errno::ENOENT) => return Ok(Standing::Nothing),
            Err(error) => return Err(TransferError::sys(doing, error)),
        };
        let kind = SFlag::from_bits_truncate(about.st_mode & SFlag::S_IFMT.bits());
        Ok(match kind {
            SFlag::S_IFDIR => Standing::Folder,
            SFlag::S_IFREG => Standing::File { size: about.st_size as u64 },
            SFlag::S_IFLNK => {
                let target = readlinkat(folder, name);
                let target = target.map_err(|error| TransferError::sys(doing, error))?;
                Standing::Link { target: std::os::unix::ffi::OsStringExt::into_vec(target) }
            }
            _ => Standing::Other,
        })
    }

    /// The regular file at `path`, to be read.
    pub(crate) fn read(&mut self, path: &[u8]) -> Result<File, TransferError> {
        let doing = self.doing("reading", path);
        let (folder, name) = self.there("reading", path)?;
        // A pipe put there meanwhile must not make the open wait.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let fd = openat(folder, name, flags, Mode::empty());
        fd.map(File::from).map_err(|error| TransferError::sys(doing, error))
    }

    /// Makes the folder `path`, or makes it writable.
    pub(crate) fn make_folder(&mut self, path: &[u8]) -> Result<(), TransferError> {
        let doing = self.doing("making", path);
        let (folder, name) = self.there("making", path)?;
        match mkdirat(folder, name, Mode::S_IRWXU) {
            Ok(()) => return Ok(()),
            Err(Errno::EEXIST) => {}
            Err(error) => return Err(TransferError::sys(doing, error)),
        }
        let about = fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        let about = about.map_err(|error| TransferError::sys(doing.as_str(), error))?;
        if about.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFDIR.bits() {
            return Err(in_the_way(path, "no folder", "a folder"));
        }
        if about.st_mode & 0o700 == 0o700 {
            return Ok(());
        }
        let mode = Mode::from_bits_truncate(about.st_mode & 0o7777 | 0o700);
        fchmodat(folder, name, mode, FchmodatFlags::NoFollowSymlink)
            .map_err(|error| TransferError::sys(doing, error))
    }

    /// Puts what is called `staged` in `staging` at `path`, in place of a file or link there.
    pub(crate) fn place(
        &mut self,
        staging: BorrowedFd<'_>,
        staged: &str,
        path: &[u8],
    ) -> Result<(), TransferError> {
        let doing = self.doing("putting in place", path);
        let (folder, name) = self.there("putting in place", path)?;
        match renameat(staging, staged, folder, name) {
            Ok(()) => Ok(()),
            Err(Errno::EISDIR | Errno::EEXIST | Errno::ENOTEMPTY) => {
                Err(in_the_way(path, "a folder", "a file or link"))
            }
            Err(error) => Err(TransferError::sys(doing, error)),
        }
    }

    /// As [`Self::make_link`], but one that is there already stays.
    pub(crate) fn keep_or_make_link(
        &mut self,
        staging: BorrowedFd<'_>,
        path: &[u8],
        to: &[u8],
        mtime: i64,
    ) -> Result<(), TransferError> {
        match self.look(path)? {
            Standing::Link { target } if target == to => Ok(()),
            _ => self.make_link(staging, path, to, mtime),
        }
    }

    /// The paths of all regular files, in no order, at most so many; the staging folder's not.
    pub(crate) fn files(&self, most: usize) -> Result<Vec<Vec<u8>>, TransferError> {
        let failed = |error| TransferError::sys(format!("listing {}", self.path.display()), error);
        let root = openat(&self.root, ".", FOLDER, Mode::empty()).map_err(failed)?;
        let (mut files, mut folders) = (Vec::new(), vec![(Vec::new(), root)]);
        while let Some((path, fd)) = folders.pop() {
            let mut listing = Dir::from_fd(fd).map_err(failed)?;
            let mut below = Vec::new();
            for item in listing.iter() {
                let item = item.map_err(failed)?;
                let name = item.file_name().to_bytes();
                if matches!(name, b"." | b"..")
                    || (path.is_empty() && name == super::STAGING.as_bytes())
                {
                    continue;
                }
                let mut at = path.clone();
                if !at.is_empty() {
                    at.push(b'/');
                }
                at.extend_from_slice(name);
                match item.file_type() {
                    Some(Type::File) if files.len() < most => files.push(at),
                    Some(Type::Directory) if files.len() < most => below.push((name.to_vec(), at)),
                    _ => {}
                }
            }
            for (name, at) in below {
                // One that goes away or cannot be read has nothing to offer.
                if let Ok(fd) = openat(&listing, name.as_slice(), FOLDER, Mode::empty()) {
                    folders.push((at, fd));
                }
            }
        }
        Ok(files)
    }

    /// Makes a link at `path`, by way of `staging`, in place of a file or link there.
    pub(crate) fn make_link(
        &mut self,
        staging: BorrowedFd<'_>,
        path: &[u8],
        to: &[u8],
        mtime: i64,
    ) -> Result<(), TransferError> {
        const STAGED: &str = "link";
        let failed = |error| {
            TransferError::sys(format!("making the link {}", as_path(path).display()), error)
        };
        match unlinkat(staging, STAGED, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(failed(error)),
        }
        symlinkat(to, staging, STAGED).map_err(failed)?;
        let time = time(mtime);
        utimensat(staging, STAGED, &TimeSpec::UTIME_OMIT, &time, UtimensatFlags::NoFollowSymlink)
            .map_err(failed)?;
        self.place(staging, STAGED, path)
    }

    /// Sets the mode and mtime of a file or folder.
    pub(crate) fn dress(
        &mut self,
        path: &[u8],
        mode: u32,
        mtime: i64,
    ) -> Result<(), TransferError> {
        let doing = self.doing("setting mode and time of", path);
        let (folder, name) = self.there("setting mode and time of", path)?;
        let failed = |error| TransferError::sys(doing.as_str(), error);
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let fd = match openat(folder, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            // A file that its own owner cannot read: by name, which is no link a moment ago.
            Err(Errno::EACCES) => {
                let mode = Mode::from_bits_truncate(mode);
                fchmodat(folder, name, mode, FchmodatFlags::NoFollowSymlink).map_err(failed)?;
                let time = time(mtime);
                let flag = UtimensatFlags::NoFollowSymlink;
                return utimensat(folder, name, &TimeSpec::UTIME_OMIT, &time, flag).map_err(failed);
            }
            Err(error) => return Err(failed(error)),
        };
        dress(fd.as_fd(), mode, mtime).map_err(failed)
    }
}

/// Sets the mode and mtime of what `fd` is.
pub(crate) fn dress(fd: BorrowedFd<'_>, mode: u32, mtime: i64) -> nix::Result<()> {
    nix::sys::stat::futimens(fd, &TimeSpec::UTIME_OMIT, &time(mtime))?;
    nix::sys::stat::fchmod(fd, Mode::from_bits_truncate(mode))
}

fn time(mtime: i64) -> TimeSpec {
    TimeSpec::new(mtime.div_euclid(1_000_000_000), mtime.rem_euclid(1_000_000_000))
}

fn in_the_way(path: &[u8], is: &'static str, wants: &'static str) -> TransferError {
    TransferError::InTheWay { path: as_path(path).to_owned(), is, wants }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn nothing_is_reached_through_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let (outside, inside) = (folder.path().join("out"), folder.path().join("in"));
        fs::create_dir(&outside).expect("makes");
        fs::write(outside.join("secret"), "x").expect("writes");
        let mut target = Target::open(&inside).expect("opens");
        symlink(&outside, inside.join("way")).expect("links");
        symlink(outside.join("secret"), inside.join("file")).expect("links");
        assert!(target.look(b"way/secret").is_err());
        assert!(target.read(b"way/secret").is_err());
        assert!(target.read(b"file").is_err());
        assert!(target.make_folder(b"way").is_err());
        assert!(target.make_folder(b"way/new").is_err());
        assert!(target.dress(b"file", 0, 0).is_err());
        assert!(matches!(target.look(b"way"), Ok(Standing::Link { .. })));
        let staging = Target::open(&folder.path().join("staging")).expect("opens");
        fs::write(staging.path().join("new"), "new").expect("writes");
        assert!(target.place(staging.root(), "new", b"way/secret").is_err());
        target.place(staging.root(), "new", b"file").expect("takes the link's place");
        assert_eq!(fs::read(inside.join("file")).expect("reads"), b"new");
        assert_eq!(fs::read(outside.join("secret")).expect("reads"), b"x");
    }

    #[test]
    fn folders_links_and_times_are_set() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("target");
        let mut target = Target::open(&root).expect("opens");
        let staging = Target::open(&folder.path().join("staging")).expect("opens");
        target.make_folder(b"a").expect("makes");
        target.make_folder(b"a/b").expect("makes");
        target.make_link(staging.root(), b"a/l", b"../..", -5).expect("links");
        target.make_link(staging.root(), b"a/l", b"else", -1_500_000_001).expect("links again");
        let about = fs::symlink_metadata(root.join("a/l")).expect("there");
        assert_eq!((about.mtime(), about.mtime_nsec()), (-2, 499_999_999));
        assert_eq!(fs::read_link(root.join("a/l")).expect("a link"), Path::new("else"));
        target.dress(b"a", 0o555, 1_000_000_007).expect("sets");
        assert!(matches!(target.look(b"a"), Ok(Standing::Folder)));
        let about = fs::metadata(root.join("a")).expect("there");
        assert_eq!((about.mode() & 0o777, about.mtime(), about.mtime_nsec()), (0o555, 1, 7));
        target.make_folder(b"a").expect("makes writable");
        assert_eq!(
            fs::metadata(root.join("a")).expect("there").permissions().mode() & 0o777,
            0o755
        );
        assert!(target.place(staging.root(), "nothing", b"a/x").is_err());
        fs::write(staging.path().join("file"), "").expect("writes");
        let error = target.place(staging.root(), "file", b"a/b").expect_err("a folder");
        assert!(matches!(error, TransferError::InTheWay { .. }), "{error}");
    }
}
