//! Transfers described by files in a folder: for receivers that nobody talks to.
//!
//! `NAME.transfer` is JSON:
//!
//! ```json
//! {
//!   "transfer": 7, "file": "image.raw", "size": 1000000, "window_bytes": 65536,
//!   "blake3": "64 hexadecimal digits of the file's hash",
//!   "space": [{ "base": 0, "file": "blob" }, { "base": 281474976710656, "file": "old/image.raw" }],
//!   "anchor": 281474976710656,
//!   "dictionaries": ["words.zdict"],
//!   "cipher": "aes-256-gcm", "key_file": "secret"
//! }
//! ```
//!
//! The lines from `space` on may be left out. `file` is a name in the folder; other paths may be
//! anywhere, relative ones are from the folder. The key's file holds 64 hexadecimal digits; ciphers
//! are `aes-256-gcm` and `chacha20-poly1305`. While it arrives the file is `FILE.part`, and
//! `FILE.part.done` says between runs which windows are there. It gets its name when it is whole and
//! its hash is right.

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::assembly::{
    Destination, DestinationError, HeldSpace, Transfer, TransferError, TransferSpec, Transfers,
};
use super::body::Dictionary;
use super::seal::{Cipher, Key};
use crate::space::{OutOfSpace, Space};

/// Largest description.
const DESCRIPTION_MOST: u64 = 1 << 20;

/// Why a folder's transfers cannot be taken up, or ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A file or the folder cannot be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A description that is none.
    #[error("{} describes no transfer: {why}", path.display())]
    Description {
        /// The description.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The space cannot be as described.
    #[error("{}: {source}", path.display())]
    Space {
        /// The description.
        path: PathBuf,
        /// Why.
        source: OutOfSpace,
    },
    /// The destination cannot be had.
    #[error("{}: {source}", path.display())]
    Destination {
        /// The file.
        path: PathBuf,
        /// Why.
        source: DestinationError,
    },
    /// The transfer cannot be.
    #[error("{}: {source}", path.display())]
    Transfer {
        /// The description.
        path: PathBuf,
        /// Why.
        source: TransferError,
    },
    /// All windows are there and the file is another.
    #[error(
        "{}: all windows are there, and the file's hash is not the described one; it stays under \
         this name, and the next run begins anew",
        .0.display()
    )]
    Hash(PathBuf),
}

/// A description as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    transfer: u32,
    file: String,
    size: u64,
    window_bytes: u32,
    blake3: String,
    #[serde(default)]
    space: Vec<SegmentFile>,
    #[serde(default)]
    anchor: u64,
    #[serde(default)]
    dictionaries: Vec<PathBuf>,
    cipher: Option<CipherName>,
    key_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SegmentFile {
    base: u64,
    file: PathBuf,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum CipherName {
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
    #[serde(rename = "chacha20-poly1305")]
    ChaCha20Poly1305,
}

/// What is there already of a file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Done {
    blake3: String,
    window_bytes: u32,
    windows: Vec<Range<u32>>,
}

/// A described transfer that has begun.
#[derive(Debug)]
struct Begun {
    transfer: Arc<Transfer>,
    hash: blake3::Hash,
    /// Its final name.
    file: PathBuf,
    /// Whether all windows were there and the hash was right.
    ended: Option<bool>,
}

/// The transfers that a folder describes.
#[derive(Debug)]
pub struct Folder {
    begun: Vec<Begun>,
}

/// What a folder has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Files that are whole and have their names.
    pub files: u64,
    /// Files whose windows are all there, with a wrong hash.
    pub wrong: u64,
    /// Files of which windows are missing.
    pub open: u64,
}

impl Folder {
    /// Takes up the transfers that `folder` describes, and registers them; files that have their names
    /// already are left alone.
    ///
    /// # Errors
    /// With the file at fault; none of the transfers is registered then.
    pub fn open(folder: &Path, transfers: &Transfers) -> Result<Self, FolderError> {
        let file = |source| FolderError::File { path: folder.to_owned(), source };
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(file)? {
            let path = entry.map_err(file)?.path();
            if path.extension().is_some_and(|extension| extension == "transfer") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut this = Self { begun: Vec::new() };
        for path in paths {
            if let Err(error) = this.begin(folder, &path, transfers) {
                for begun in &this.begun {
                    transfers.remove(begun.transfer.spec().id);
                }
                return Err(error);
            }
        }
        Ok(this)
    }

    fn begin(
        &mut self,
        folder: &Path,
        path: &Path,
        transfers: &Transfers,
    ) -> Result<(), FolderError> {
        let described = describe(path)?;
        let wrong = |why: &str| FolderError::Description { path: path.into(), why: why.into() };
        let file = name_in(folder, &described.file)
            .ok_or_else(|| wrong("`file` is to be a name without folders"))?;
        if file.exists() {
            return Ok(());
        }
        let hash = blake3::Hash::from_hex(&described.blake3)
            .map_err(|_| wrong("`blake3` is to have 64 hexadecimal digits"))?;
        let spec = TransferSpec {
            id: described.transfer,
            size: described.size,
            window_bytes: described.window_bytes,
            anchor: described.anchor,
        };
        let space = space(folder, path, &described.space)?;
        let (key, dictionaries) = secrets(folder, path, &described)?;
        let part = beside(&file, ".part");
        let done = read_done(&part, &described);
        let destination = destination(&part, spec.size)?;
        let failed = |source| FolderError::Transfer { path: path.into(), source };
        let mut transfer = Transfer::new(spec, space, destination)
            .map_err(failed)?
            .with_dictionaries(dictionaries)
            .with_done(done);
        if let Some(key) = key {
            transfer = transfer.with_key(key);
        }
        let transfer = transfers.register(transfer).map_err(failed)?;
        self.begun.push(Begun { transfer, hash, file, ended: None });
        Ok(())
    }

    /// Gives files that are whole their names. To be called now and then while frames come; a call
    /// takes as long as hashing and writing what has become whole since the last one. Each file that
    /// something is wrong with is told to `failed`, a wrong hash once.
    pub fn look(&mut self, mut failed: impl FnMut(FolderError)) {
        for begun in self.begun.iter_mut().filter(|begun| begun.ended.is_none()) {
            if begun.transfer.is_complete()
                && let Err(error) = begun.end()
            {
                failed(error);
            }
        }
    }

    /// Gives files that are whole their names, and writes of the others which windows are there. May
    /// be called more than once; to be called when no more comes. `failed` as in [`Self::look`].
    pub fn end(&mut self, mut failed: impl FnMut(FolderError)) -> Ended {
        let mut ended = Ended::default();
        for begun in &mut self.begun {
            if begun.ended.is_none()
                && let Err(error) = begun.end()
            {
                failed(error);
            }
            *match begun.ended {
                Some(true) => &mut ended.files,
                Some(false) => &mut ended.wrong,
                None => &mut ended.open,
            } += 1;
        }
        ended
    }

    /// Number of files under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.begun.len()
    }

    /// Whether no file is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.begun.is_empty()
    }
}

impl Begun {
    fn end(&mut self) -> Result<(), FolderError> {
        let (part, transfer) = (beside(&self.file, ".part"), &self.transfer);
        let done = beside(&part, ".done");
        let at_part = |source| FolderError::File { path: part.clone(), source };
        transfer.destination().sync().map_err(at_part)?;
        if !transfer.is_complete() {
            let state = Done {
                blake3: self.hash.to_hex().to_string(),
                window_bytes: transfer.spec().window_bytes,
                windows: transfer.done(),
            };
            let text = serde_json::to_vec(&state).map_err(io::Error::other);
            let written = text.and_then(|text| replace(&done, &text));
            return written.map_err(|source| FolderError::File { path: done, source });
        }
        let mut hasher = blake3::Hasher::new();
        for window in (0..transfer.windows()).filter_map(|at| transfer.window(at)) {
            hasher.update(window);
        }
        // What the state says is of no use any more, right or wrong.
        if let Err(source) = fs::remove_file(&done)
            && source.kind() != io::ErrorKind::NotFound
        {
            return Err(FolderError::File { path: done, source });
        }
        if hasher.finalize() != self.hash {
            self.ended = Some(false);
            return Err(FolderError::Hash(part));
        }
        fs::rename(&part, &self.file).and_then(|()| sync_names(&part)).map_err(at_part)?;
        self.ended = Some(true);
        Ok(())
    }
}

fn describe(path: &Path) -> Result<Description, FolderError> {
    let file = |source| FolderError::File { path: path.into(), source };
    let wrong = |why: String| FolderError::Description { path: path.into(), why };
    let len = fs::metadata(path).map_err(file)?.len();
    if len > DESCRIPTION_MOST {
        return Err(wrong(format!("{len} bytes are too long")));
    }
    let text = fs::read(path).map_err(file)?;
    serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))
}

/// `name` in `folder`, if it is a name and nothing else.
fn name_in(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut parts = Path::new(name).components();
    let only = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    (only && !name.ends_with('/')).then(|| folder.join(name))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Segments of the space, each a mapped file.
fn space(folder: &Path, path: &Path, files: &[SegmentFile]) -> Result<HeldSpace, FolderError> {
    let mut maps = Vec::new();
    let mut trial = Space::default();
    for segment in files {
        let name = folder.join(&segment.file);
        let opened = File::open(&name).and_then(|file| {
            // SAFETY: read only. Who shortens or writes a file that others were told to build on breaks
            // his own transfer, which the checks notice; shortening kills the process, as documented
            // for every mapped file.
            unsafe { Mmap::map(&file) }
        });
        let map = opened.map_err(|source| FolderError::File { path: name, source })?;
        maps.push((segment.base, map));
    }
    for (base, map) in &maps {
        let added = trial.add(*base, map);
        added.map_err(|source| FolderError::Space { path: path.into(), source })?;
    }
    drop(trial);
    Ok(HeldSpace::new(Arc::new(maps), |maps| {
        let mut space = Space::default();
        for (base, map) in maps {
            // The same was tried before.
            let _ = space.add(*base, map);
        }
        space
    }))
}

/// The key and the dictionaries.
fn secrets(
    folder: &Path,
    path: &Path,
    described: &Description,
) -> Result<(Option<Key>, Vec<Dictionary>), FolderError> {
    let wrong = |why: &str| FolderError::Description { path: path.into(), why: why.into() };
    let read = |name: &Path| {
        let name = folder.join(name);
        fs::read(&name).map_err(|source| FolderError::File { path: name, source })
    };
    let mut dictionaries = Vec::new();
    for name in &described.dictionaries {
        let dictionary = Dictionary::new(&read(name)?);
        dictionaries.push(dictionary.ok_or_else(|| wrong("a dictionary is broken"))?);
    }
    let key = match (described.cipher, &described.key_file) {
        (None, None) => None,
        (Some(cipher), Some(name)) => {
            let cipher = match cipher {
                CipherName::Aes256Gcm => Cipher::Aes256Gcm,
                CipherName::ChaCha20Poly1305 => Cipher::ChaCha20Poly1305,
            };
            let text = read(name)?;
            let secret = secret(text.trim_ascii());
            let secret = secret.ok_or_else(|| wrong("the key is to have 64 hexadecimal digits"))?;
            Some(Key::new(cipher, &secret))
        }
        _ => return Err(wrong("`cipher` and `key_file` go together")),
    };
    Ok((key, dictionaries))
}

fn secret(digits: &[u8]) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = digits.try_into().ok()?;
    let mut secret = [0; 32];
    for (byte, [high, low]) in secret.iter_mut().zip(digits.as_chunks().0) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(*high)? << 4 | digit(*low)?) as u8;
    }
    Some(secret)
}

/// The windows of `part` that an earlier run left, if it is the same file.
fn read_done(part: &Path, described: &Description) -> Vec<Range<u32>> {
    let same_size = fs::metadata(part).is_ok_and(|meta| meta.len() == described.size);
    let done = fs::read(beside(part, ".done")).ok();
    let done: Option<Done> = done.and_then(|text| serde_json::from_slice(&text).ok());
    let same = |done: &Done| {
        same_size
            && done.blake3.eq_ignore_ascii_case(&described.blake3)
            && done.window_bytes == described.window_bytes
    };
    done.filter(same).map(|done| done.windows).unwrap_or_default()
}

fn destination(part: &Path, size: u64) -> Result<Destination, FolderError> {
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).truncate(false).open(part);
    let file = file.map_err(|source| FolderError::File { path: part.into(), source })?;
    let mapped = Destination::file(&file, size);
    mapped.map_err(|source| FolderError::Destination { path: part.into(), source })
}

/// Writes `bytes` to `path`, whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = beside(path, ".new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_names(path)
}

/// Writes the names in the folder of `path` to disk.
fn sync_names(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Framer, Lane, LaneSettings, Payload, body};

    fn describe(folder: &Path, more: &str, content: &[u8]) {
        let hash = blake3::hash(content).to_hex();
        let text = format!(
            r#"{{"transfer":1,"file":"out","size":{},"window_bytes":1000,"blake3":"{hash}"{more}}}"#,
            content.len(),
        );
        fs::write(folder.join("one.transfer"), text).expect("room");
    }

    fn send(lane: &mut Lane, content: &[u8], windows: impl Iterator<Item = usize>) {
        let mut framer = Framer::new(1, 1_100, None);
        for at in windows {
            let bytes = content.chunks(1000).nth(at).expect("a window");
            let mut frame = Vec::new();
            framer.fragment(at as u32, &Payload::Direct(bytes, body::check(bytes)), 0, &mut frame);
            lane.batch([frame.as_slice()], 0);
        }
    }

    #[test]
    fn a_file_arrives_over_two_runs_and_is_named_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let (folder, content) = (folder.path(), vec![7; 4_500]);
        describe(folder, "", &content);
        for (run, windows) in [(0..2), (2..5)].into_iter().enumerate() {
            let transfers = Arc::new(Transfers::new());
            let mut opened = Folder::open(folder, &transfers).expect("as described");
            let before = transfers.get(1).expect("described").progress().windows;
            assert_eq!(before, [0, 2][run]);
            let mut lane = Lane::new(Arc::clone(&transfers), LaneSettings::default());
            send(&mut lane, &content, windows);
            let ended = opened.end(|error| panic!("{error}"));
            assert_eq!(ended, opened.end(|error| panic!("{error}")), "twice is once");
            assert_eq!((ended.files, ended.open), [(0, 1), (1, 0)][run]);
        }
        assert_eq!(fs::read(folder.join("out")).expect("named"), content);
        assert!(!folder.join("out.part").exists() && !folder.join("out.part.done").exists());
        assert!(Folder::open(folder, &Transfers::new()).expect("done").is_empty());
    }

    #[test]
    fn a_file_gets_its_name_with_its_last_window() {
        let folder = tempfile::tempdir().expect("a folder");
        let (folder, content) = (folder.path(), vec![7; 4_500]);
        describe(folder, "", &content);
        let transfers = Arc::new(Transfers::new());
        let mut opened = Folder::open(folder, &transfers).expect("as described");
        let mut lane = Lane::new(Arc::clone(&transfers), LaneSettings::default());
        for window in 0..5 {
            send(&mut lane, &content, window..window + 1);
            opened.look(|error| panic!("{error}"));
            assert_eq!(folder.join("out").exists(), window == 4, "{window}");
            assert!(!folder.join("out.part.done").exists(), "nothing has ended");
        }
        assert_eq!(opened.end(|error| panic!("{error}")), Ended { files: 1, ..Ended::default() });
        assert_eq!(fs::read(folder.join("out")).expect("named"), content);
    }

    #[test]
    fn a_wrong_hash_gives_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let (folder, content) = (folder.path(), vec![7; 1_500]);
        describe(folder, "", &[8; 1_500]);
        let transfers = Arc::new(Transfers::new());
        let mut opened = Folder::open(folder, &transfers).expect("as described");
        let mut lane = Lane::new(Arc::clone(&transfers), LaneSettings::default());
        send(&mut lane, &content, 0..2);
        let mut errors = Vec::new();
        let ended = opened.end(|error| errors.push(error));
        assert_eq!(ended, opened.end(|error| panic!("told before: {error}")));
        assert_eq!(ended, Ended { wrong: 1, ..Ended::default() });
        assert!(matches!(errors[..], [FolderError::Hash(_)]));
        assert!(!folder.join("out").exists() && folder.join("out.part").exists());
    }

    #[test]
    fn descriptions_that_lie_are_refused_and_register_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let spaces = r#","space":[{"base":0,"file":"a"},{"base":0,"file":"a"}]"#;
        fs::write(folder.join("a"), "bytes").expect("room");
        fs::write(folder.join("key"), "ab").expect("room");
        for more in [
            r#","other":1"#,
            r#","key_file":"key""#,
            r#","cipher":"aes-256-gcm","key_file":"key""#,
            r#","cipher":"aes-256-gcm","key_file":"none""#,
            r#","cipher":"rot13","key_file":"key""#,
            r#","space":[{"base":0,"file":"none"}]"#,
            spaces,
        ] {
            describe(folder, more, b"content");
            let transfers = Transfers::new();
            let refused = Folder::open(folder, &transfers);
            assert!(refused.is_err() && transfers.all().is_empty(), "{more}");
        }
        for name in ["", ".", "..", "/out", "a/b", "../out", "out/", "./out"] {
            assert!(name_in(folder, name).is_none(), "{name}");
        }
    }
}
