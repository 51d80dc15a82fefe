//! What is not whole yet: a hidden folder in the target.
//!
//! A large file has two files there: `NAME.part`, its bytes, and `NAME.map`, the journal of what has
//! arrived: a head of 64 bytes, then a bit a window. A bit is set after its window is written, both in
//! shared mappings, so that after `kill -9` of this process each set bit is true. After a loss of power
//! it may not be; the file's digest finds that out, and the file comes anew.
//!
//! Head, little-endian: `PFSPART1`, the file's size (u64), bytes of a window (u32), 0 (u32), 24 bytes
//! of 0, and 16 bytes of BLAKE3 over these 48.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime};

use memmap2::MmapMut;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FallocateFlags, Flock, FlockArg, OFlag, fallocate, openat};
use nix::sys::stat::{Mode, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::path::STAGING;
use super::target::{Target, dress};
use crate::transfer::error::TransferError;

const MAGIC: [u8; 8] = *b"PFSPART1";
const HEAD: usize = 64;
const CHECKED: usize = 48;
/// What nobody came back for is removed after this long.
const STALE: Duration = Duration::from_secs(7 * 24 * 3600);

/// The hidden folder, held by this transfer alone.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: OwnedFd,
    lock: Option<Flock<File>>,
}

impl Staging {
    /// Opens the target's, and takes it.
    ///
    /// # Errors
    /// When it cannot be made, belongs to somebody else, or another transfer holds it.
    pub(crate) fn open(target: &Target) -> Result<Self, TransferError> {
        let failed = |error| {
            TransferError::sys(format!("opening {STAGING} in {}", target.path().display()), error)
        };
        match mkdirat(target.root(), STAGING, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(failed(error)),
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let folder = openat(target.root(), STAGING, flags, Mode::empty()).map_err(failed)?;
        let about = fstat(&folder).map_err(failed)?;
        if about.st_uid != nix::unistd::geteuid().as_raw() || about.st_mode & 0o077 != 0 {
            return Err(failed(Errno::EPERM));
        }
        let lock =
            openat(&folder, "lock", create(), Mode::S_IRUSR | Mode::S_IWUSR).map_err(failed)?;
        match Flock::lock(File::from(lock), FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { folder, lock: Some(lock) }),
            Err((_, Errno::EWOULDBLOCK)) => Err(TransferError::Busy(target.path().to_owned())),
            Err((_, error)) => Err(failed(error)),
        }
    }

    pub(crate) fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// What is there of the file `name` (see [`Part`]), if it is usable.
    pub(crate) fn find(
        &self,
        name: &str,
        size: u64,
        window: u32,
    ) -> Result<Option<Part>, TransferError> {
        let map = match openat(
            &self.folder,
            &*map_name(name),
            OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
            Mode::empty(),
        ) {
            Ok(map) => File::from(map),
            Err(Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(opening(name, error)),
        };
        let data = match openat(
            &self.folder,
            &*part_name(name),
            OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
            Mode::empty(),
        ) {
            Ok(data) => File::from(data),
            Err(Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(opening(name, error)),
        };
        let windows = windows(size, window);
        let failed = |error| TransferError::io(format!("reading the journal of {name}"), error);
        if data.metadata().map_err(failed)?.len() != size
            || map.metadata().map_err(failed)?.len() == 0
        {
            return Ok(None);
        }
        let map = map_file(&map).map_err(failed)?;
        if !is_journal(&map, size, window) {
            return Ok(None);
        }
        Ok(Some(Part { name: name.to_owned(), data, map, windows }))
    }

    /// The file `name`, as it is or new; what is there of earlier contents of the same path goes.
    pub(crate) fn part(&self, name: &str, size: u64, window: u32) -> Result<Part, TransferError> {
        if let Some(part) = self.find(name, size, window)? {
            return Ok(part);
        }
        let path = name.split('-').next().unwrap_or(name);
        for old in self.list()? {
            if old.split('-').next() == Some(path) {
                self.remove(&old)?;
            }
        }
        let new = |name: String| {
            let flags = create() | OFlag::O_TRUNC;
            let fd = openat(&self.folder, &*name, flags, Mode::S_IRUSR | Mode::S_IWUSR);
            fd.map(File::from).map_err(|error| opening(&name, error))
        };
        let (data, map) = (new(part_name(name))?, new(map_name(name))?);
        let windows = windows(size, window);
        let sized = data.set_len(size).and_then(|()| reserve(&map, 0..map_bytes(windows)));
        let failed = |error| TransferError::io(format!("making room for {name}"), error);
        sized.map_err(failed)?;
        let mut map = map_file(&map).map_err(failed)?;
        map[..HEAD].copy_from_slice(&head(size, window));
        Ok(Part { name: name.to_owned(), data, map, windows })
    }

    /// Writes a whole file under `name`.
    pub(crate) fn write(
        &self,
        name: &str,
        bytes: &[u8],
        mode: u32,
        mtime: i64,
    ) -> Result<(), TransferError> {
        let failed = |error| TransferError::io(format!("writing {name}"), error);
        let mut file = self.create(name)?;
        io::Write::write_all(&mut file, bytes).map_err(failed)?;
        dress(file.as_fd(), mode, mtime).map_err(|error| failed(error.into()))
    }

    /// The file called `name`, to be written on.
    pub(crate) fn reopen(&self, name: &str) -> Result<File, TransferError> {
        let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&self.folder, name, flags, Mode::empty());
        fd.map(File::from).map_err(|error| opening(name, error))
    }

    /// A new file called `name`, empty.
    pub(crate) fn create(&self, name: &str) -> Result<File, TransferError> {
        let fd =
            openat(&self.folder, name, create() | OFlag::O_TRUNC, Mode::S_IRUSR | Mode::S_IWUSR);
        fd.map(File::from).map_err(|error| opening(name, error))
    }

    /// Removes `name` if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), TransferError> {
        match unlinkat(&self.folder, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(TransferError::sys(format!("removing {name}"), error)),
        }
    }

    fn list(&self) -> Result<Vec<String>, TransferError> {
        let failed = |error| TransferError::io(format!("listing {STAGING}"), error);
        // The folder's own descriptor, by a name of the kernel's, is not another folder's.
        let listing =
            fs::read_dir(format!("/proc/self/fd/{}", self.folder.as_raw_fd())).map_err(failed)?;
        let names =
            listing.map(|item| item.map(|item| item.file_name().to_string_lossy().into_owned()));
        let names = names.collect::<io::Result<Vec<_>>>().map_err(failed)?;
        Ok(names.into_iter().filter(|name| name != "lock").collect())
    }

    /// Removes what nobody came back for, and what a transfer that broke off has no use for.
    pub(crate) fn sweep(&self) -> Result<(), TransferError> {
        let names: HashSet<String> = self.list()?.into_iter().collect();
        for name in &names {
            let about = fstatat(&self.folder, &**name, AtFlags::AT_SYMLINK_NOFOLLOW);
            let Ok(about) = about else { continue };
            let changed =
                SystemTime::UNIX_EPOCH + Duration::from_secs(about.st_mtime.max(0) as u64);
            let old = changed.elapsed().is_ok_and(|age| age > STALE);
            // Bytes without their journal, or a journal without its bytes, are of no use.
            let other = match (name.strip_suffix(".part"), name.strip_suffix(".map")) {
                (Some(stem), _) => Some(map_name(stem)),
                (_, Some(stem)) => Some(part_name(stem)),
                _ => None,
            };
            if old || other.is_none_or(|other| !names.contains(&other)) {
                self.remove(name)?;
            }
        }
        Ok(())
    }

    /// Removes what is left of the files at `paths`: they are in place.
    pub(crate) fn settle<'a>(
        &self,
        paths: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), TransferError> {
        let left = self.list()?;
        if left.is_empty() {
            return Ok(());
        }
        let placed: HashSet<String> = paths.map(Part::of_path).collect();
        let of_path =
            |name: &String| name.split('-').next().is_some_and(|path| placed.contains(path));
        left.iter().filter(|name| of_path(name)).try_for_each(|name| self.remove(name))
    }

    /// Ends the transfer: the folder goes if nothing is left in it.
    pub(crate) fn close(mut self, target: &Target) -> Result<(), TransferError> {
        if self.list()?.is_empty() {
            self.remove("lock")?;
            let removed = unlinkat(target.root(), STAGING, UnlinkatFlags::RemoveDir);
            removed.map_err(|error| TransferError::sys(format!("removing {STAGING}"), error))?;
        }
        self.lock = None;
        Ok(())
    }
}

fn create() -> OFlag {
    OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

fn part_name(name: &str) -> String {
    format!("{name}.part")
}

fn map_name(name: &str) -> String {
    format!("{name}.map")
}

fn opening(name: &str, error: Errno) -> TransferError {
    TransferError::sys(format!("opening {name} in {STAGING}"), error)
}

pub(crate) fn windows(size: u64, window: u32) -> u32 {
    u32::try_from(size.div_ceil(u64::from(window))).unwrap_or(u32::MAX)
}

fn map_bytes(windows: u32) -> u64 {
    HEAD as u64 + u64::from(windows).div_ceil(8)
}

/// Whether `map` is the journal of a file of `size` bytes in windows of `window`.
pub(crate) fn is_journal(map: &[u8], size: u64, window: u32) -> bool {
    map.len() as u64 == map_bytes(windows(size, window)) && map[..HEAD] == head(size, window)
}

/// Whether a journal says that `window` is there.
fn is_set(map: &[u8], window: u32) -> bool {
    map[HEAD + window as usize / 8] & 1 << (window % 8) != 0
}

/// Notes in a journal that these windows are there.
pub(crate) fn set(map: &mut [u8], windows: Range<u32>) {
    let (mut at, end) = (windows.start, windows.end);
    while at < end {
        let byte = HEAD + at as usize / 8;
        if at.is_multiple_of(8) && end - at >= 8 {
            let whole = ((end - at) / 8) as usize;
            map[byte..byte + whole].fill(0xff);
            at += whole as u32 * 8;
        } else {
            map[byte] |= 1 << (at % 8);
            at += 1;
        }
    }
}

/// The windows of `count` that a journal says are there, as runs in rising order.
pub(crate) fn runs(map: &[u8], count: u32) -> Vec<Range<u32>> {
    let mut runs: Vec<Range<u32>> = Vec::new();
    for window in (0..count).filter(|window| is_set(map, *window)) {
        match runs.last_mut() {
            Some(run) if run.end == window => run.end += 1,
            _ => runs.push(window..window + 1),
        }
    }
    runs
}

/// The head of the journal of a file of `size` bytes in windows of `window`.
pub(crate) fn head(size: u64, window: u32) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(&MAGIC);
    head[8..16].copy_from_slice(&size.to_le_bytes());
    head[16..20].copy_from_slice(&window.to_le_bytes());
    let check = blake3::hash(&head[..CHECKED]);
    head[CHECKED..].copy_from_slice(&check.as_bytes()[..HEAD - CHECKED]);
    head
}

fn map_file(file: &File) -> io::Result<MmapMut> {
    // SAFETY: the file lies in a folder that only this user can enter, which this process has locked,
    // so that nobody shortens it; all bytes of it are valid as bytes.
    unsafe { MmapMut::map_mut(file) }
}

/// Makes sure that writing to `range` cannot fail for lack of space.
fn reserve(file: &File, range: Range<u64>) -> io::Result<()> {
    let length = range.end - range.start;
    if length == 0 {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::empty(), range.start as i64, length as i64) {
        Ok(()) => Ok(()),
        // Writes zeros, over none of what is there: only new ranges of new files are reserved.
        Err(Errno::EOPNOTSUPP) => write_zeros(file, range),
        Err(error) => Err(error.into()),
    }
}

fn write_zeros(file: &File, range: Range<u64>) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let (zeros, mut at) = (vec![0; 1 << 20], range.start);
    if file.metadata()?.len() < range.end {
        file.set_len(range.end)?;
    }
    while at < range.end {
        let part = (range.end - at).min(zeros.len() as u64) as usize;
        file.write_all_at(&zeros[..part], at)?;
        at += part as u64;
    }
    Ok(())
}

/// A file that is not whole yet, and which windows of it are.
#[derive(Debug)]
pub(crate) struct Part {
    name: String,
    data: File,
    map: MmapMut,
    windows: u32,
}

impl Part {
    /// The name for the file at `path` with this size and time.
    pub(crate) fn name(path: &[u8], size: u64, mtime: i64) -> String {
        let content = blake3::hash(&[size.to_le_bytes(), mtime.to_le_bytes()].concat()).to_hex();
        format!("{}-{}", Self::of_path(path), &content[..16])
    }

    /// What the names for all contents of `path` begin with.
    fn of_path(path: &[u8]) -> String {
        blake3::hash(path).to_hex()[..16].to_owned()
    }

    pub(crate) const fn data(&self) -> &File {
        &self.data
    }

    /// The name of its bytes' file in the staging folder.
    pub(crate) fn staged(&self) -> String {
        part_name(&self.name)
    }

    /// The name of its journal.
    pub(crate) fn journal(&self) -> String {
        map_name(&self.name)
    }

    #[cfg(test)]
    pub(crate) const fn windows(&self) -> u32 {
        self.windows
    }

    /// Notes that these windows are written.
    pub(crate) fn set_done(&mut self, windows: &Range<u32>) {
        set(&mut self.map, windows.start..windows.end.min(self.windows));
    }

    /// Forgets what is done.
    pub(crate) fn reset(&mut self) {
        self.map[HEAD..].fill(0);
    }

    /// The windows that are done, as runs in rising order.
    pub(crate) fn done(&self) -> Vec<Range<u32>> {
        runs(&self.map, self.windows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &std::path::Path) -> (Target, Staging) {
        let target = Target::open(path).expect("opens");
        let staging = Staging::open(&target).expect("opens");
        (target, staging)
    }

    #[test]
    fn what_arrived_is_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, staging) = open(folder.path());
        assert!(matches!(Staging::open(&target), Err(TransferError::Busy(_))));
        let name = Part::name(b"a/b", 1_000_000, 7);
        let mut part = staging.part(&name, 1_000_000, 65_536).expect("made");
        assert_eq!(part.windows(), 16);
        for windows in [0..3, 9..10, 15..17] {
            part.set_done(&windows);
        }
        drop(part);
        staging.sweep().expect("nothing to do");
        staging.close(&target).expect("stays");
        let staging = Staging::open(&target).expect("opens again");
        let part = staging.find(&name, 1_000_000, 65_536).expect("reads").expect("there");
        assert_eq!(part.done(), [0..3, 9..10, 15..16]);
        assert!(staging.find(&name, 1_000_001, 65_536).expect("reads").is_none());
        assert!(staging.find(&name, 1_000_000, 32_768).expect("reads").is_none());
        // Other contents of the same path take its place.
        let other = Part::name(b"a/b", 5, 8);
        staging.part(&other, 5, 65_536).expect("made");
        assert_eq!(staging.list().expect("lists").len(), 2);
        for name in [map_name(&other), part_name(&other)] {
            staging.remove(&name).expect("removes");
        }
        staging.close(&target).expect("goes");
        assert_eq!(fs::read_dir(folder.path()).expect("lists").count(), 0);
    }

    #[test]
    fn a_journal_cut_or_changed_is_not_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (_target, staging) = open(folder.path());
        staging.part("n-1", 100_000, 1000).expect("made");
        let path = folder.path().join(STAGING).join("n-1.map");
        let good = fs::read(&path).expect("reads");
        for len in 0..good.len() {
            fs::write(&path, &good[..len]).expect("writes");
            assert!(staging.find("n-1", 100_000, 1000).expect("reads").is_none(), "{len}");
        }
        for at in 0..HEAD {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).expect("writes");
            assert!(staging.find("n-1", 100_000, 1000).expect("reads").is_none(), "{at}");
        }
        fs::write(&path, &good).expect("writes");
        assert!(staging.find("n-1", 100_000, 1000).expect("reads").is_some());
    }

    #[test]
    fn an_empty_file_has_no_windows() {
        let folder = tempfile::tempdir().expect("a folder");
        let (_target, staging) = open(folder.path());
        let part = staging.part("n-1", 0, 65_536).expect("made");
        assert_eq!((part.windows(), part.done()), (0, Vec::new()));
    }
}
