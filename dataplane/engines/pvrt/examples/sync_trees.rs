//! Syncs one folder's content towards another's, both ends in this process, and says what would go
//! over the wire.
//!
//! `sync_trees OLD NEW [LEVEL] [shared]` prints one line of JSON: bytes by kind. With `shared` the
//! sender has OLD too. What comes out is made in a folder of its own; at the end each file there is
//! compared with NEW's, byte by byte, and one that differs or is missing is an error. `writes_wrong`
//! counts what was written wrong first and mended by the sync itself.

use std::borrow::Cow;
use std::error::Error;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use pfs_pvrt::sync::{Receiver, Reply, Sender, Sink, Spent, Tree, bases};

/// A folder's files, read when asked for.
struct Folder {
    paths: Vec<String>,
    files: Vec<PathBuf>,
    /// Kind, mode, path and target of all entries, then their times.
    manifest: Vec<u8>,
}

impl Tree for Folder {
    fn count(&self) -> usize {
        self.files.len()
    }

    fn read(&self, file: usize) -> io::Result<Cow<'_, [u8]>> {
        std::fs::read(&self.files[file]).map(Cow::Owned)
    }
}

impl Folder {
    fn open(root: &Path) -> Result<Self, Box<dyn Error>> {
        let (mut paths, mut files) = (Vec::new(), Vec::new());
        let (mut manifest, mut times, mut before) = (Vec::new(), Vec::new(), 0);
        for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
            let entry = entry?;
            let data = entry.path().symlink_metadata()?;
            let path = entry.path().strip_prefix(root)?.to_string_lossy().into_owned();
            let target = entry.path_is_symlink().then(|| std::fs::read_link(entry.path()));
            let target = target.transpose()?.unwrap_or_default();
            let mode = data.permissions().mode();
            manifest.extend(format!("{path}\0{mode:o}\0{}\n", target.display()).bytes());
            let change = data.mtime() - before;
            let mut value = (change << 1 ^ change >> 63) as u64;
            while value >= 128 {
                times.push(value as u8 | 128);
                value >>= 7;
            }
            times.push(value as u8);
            before = data.mtime();
            if data.is_file() {
                files.push(entry.into_path());
                paths.push(path);
            }
        }
        manifest.extend(times);
        Ok(Self { paths, files, manifest })
    }
}

/// Makes what comes, in a folder of its own, by number.
struct Made<'a> {
    new: &'a dyn Tree,
    old: &'a dyn Tree,
    folder: tempfile::TempDir,
    wrong: usize,
}

impl Made<'_> {
    fn path(&self, file: usize) -> PathBuf {
        self.folder.path().join(file.to_string())
    }

    /// How many files are not what they should be.
    fn differ(&self) -> io::Result<usize> {
        let mut differ = 0;
        for file in 0..self.new.count() {
            let made = std::fs::read(self.path(file));
            differ += usize::from(
                !made.is_ok_and(|made| self.new.read(file).is_ok_and(|want| *want == made)),
            );
        }
        let extra = std::fs::read_dir(self.folder.path())?.count().saturating_sub(self.new.count());
        Ok(differ + extra)
    }
}

impl Sink for Made<'_> {
    fn write(&mut self, file: usize, size: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let made =
            File::options().create(true).truncate(false).write(true).open(self.path(file))?;
        made.set_len(size)?;
        made.write_all_at(bytes, offset)?;
        let want = self.new.read(file)?;
        let part = want.get(offset as usize..offset as usize + bytes.len());
        self.wrong += usize::from(part != Some(bytes) || want.len() as u64 != size);
        Ok(())
    }

    fn same(&mut self, file: usize, old: usize) -> io::Result<()> {
        std::fs::write(self.path(file), self.old.read(old)?)
    }
}

fn sync(
    new: &dyn Tree,
    old: &dyn Tree,
    bases: Vec<Option<usize>>,
    level: i32,
    shared: bool,
) -> Result<(Spent, usize), Box<dyn Error>> {
    let key = [7; 32];
    let mut sender = Sender::new(new, key, level)?;
    if shared {
        sender = sender.with_bases(old);
    }
    let mut receiver = Receiver::new(old, bases, key)?;
    let mut made = Made { new, old, folder: tempfile::tempdir()?, wrong: 0 };
    let trace = std::env::var_os("TRACE").is_some();
    while !sender.is_done() {
        while let Some(message) = sender.message()? {
            let reply = receiver.take(&message, &mut made)?;
            if trace {
                let said = if let Reply::Send(said) = &reply { said.len() } else { 0 };
                eprintln!(
                    "{:#x} {} {} -> {said}",
                    message[0],
                    message.get(1).unwrap_or(&0) & 127,
                    message.len()
                );
            }
            if let Reply::Send(said) | Reply::Done(said) = reply {
                sender.answer(&said)?;
            }
        }
    }
    match made.differ()? {
        0 => Ok((sender.spent(), made.wrong)),
        differ => Err(format!("{differ} of {} files came out wrong", new.count()).into()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [old, new, rest @ ..] = args.as_slice() else {
        return Err("OLD NEW [LEVEL] [shared]".into());
    };
    let level = rest.first().map_or(Ok(12), |level| level.parse())?;
    let shared = rest.get(1).is_some_and(|word| word == "shared");
    let (old, new) = (Folder::open(Path::new(old))?, Folder::open(Path::new(new))?);
    let began = Instant::now();
    let (manifest, had) = (vec![&new.manifest], vec![&old.manifest]);
    let (listed, _) = sync(&manifest, &had, vec![Some(0)], 19, false)?;
    let (spent, wrong) = sync(&new, &old, bases(&new.paths, &old.paths), level, shared)?;
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{{\"total\":{},\"manifest\":{},\"offer\":{},\"sizes\":{},\"rounds\":{},\"answers\":{},\"batches\":{},\"end\":{},\"writes_wrong\":{wrong},\"seconds\":{seconds:.2}}}",
        listed.total() + spent.total(),
        listed.total(),
        spent.offer,
        spent.sizes,
        spent.rounds,
        spent.answers,
        spent.batches,
        spent.end,
    );
    Ok(())
}
