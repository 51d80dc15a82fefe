//! `pfs send` and `pfs recv`, as two processes.

mod breaks;
mod links;
mod refused;
mod whole;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use crate::common::{Done, file, folder, pfs, run, until};

/// A `pfs recv` that listens. Killed when dropped.
#[derive(Debug)]
struct Receiver {
    child: Child,
    /// `ADDRESS:PORT` that it listens at.
    at: String,
    err: Option<JoinHandle<String>>,
}

impl Receiver {
    /// Starts `pfs recv WORDS` and waits until it listens.
    #[track_caller]
    fn start(words: &str) -> Self {
        let listen = if words.contains("--listen") { "" } else { "--listen 127.0.0.1:0" };
        let mut command = pfs(&format!("recv {words} {listen} --quiet"));
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped"));
        let mut said = String::new();
        let at = loop {
            let from = said.len();
            assert!(lines.read_line(&mut said).expect("reads") > 0, "pfs recv ended: {said}");
            if let Some((_, rest)) = said[from..].split_once("listening at ") {
                break rest.trim().split(';').next().expect("an address").to_owned();
            }
        };
        let err = thread::spawn(move || {
            let _ = lines.read_to_string(&mut said);
            said
        });
        Self { child, at, err: Some(err) }
    }

    /// Waits for the end of one that was told `--once`.
    #[track_caller]
    fn end(mut self) -> Done {
        until("pfs recv to end", || self.child.try_wait().expect("is ours").is_some());
        let mut out = String::new();
        self.child.stdout.take().expect("piped").read_to_string(&mut out).expect("is text");
        let err = self.err.take().expect("once").join().expect("reads");
        let status = self.child.wait().expect("ends");
        Done { code: status.code().unwrap_or(-1), out, err }
    }

    /// `kill -9`.
    fn kill(&mut self) {
        self.child.kill().expect("is there");
        self.child.wait().expect("ends");
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a test sends from and to, and the key of both ends.
struct Places {
    _folder: tempfile::TempDir,
    from: PathBuf,
    to: PathBuf,
    key: PathBuf,
}

impl Places {
    fn new() -> Self {
        let folder = folder();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir(&from).expect("makes");
        let key = key(folder.path(), "key", b"a secret of the tests, long enough");
        Self { _folder: folder, from, to, key }
    }

    /// A receiver with the key, and `more` flags.
    #[track_caller]
    fn receiver(&self, more: &str) -> Receiver {
        let (to, key) = (self.to.display(), self.key.display());
        Receiver::start(&format!("{to} --key {key} --no-fsync {more}"))
    }

    /// What sends all to `at`.
    fn words(&self, at: &str, more: &str) -> String {
        format!("send {}/ {at} --key {} --quiet {more}", self.from.display(), self.key.display())
    }

    /// Sends all to a receiver of its own; both must end well.
    #[track_caller]
    fn send(&self, more: &str) -> serde_json::Value {
        let receiver = self.receiver("--once");
        let sent = run(&self.words(&receiver.at, &format!("--json {more}"))).json();
        receiver.end().ok();
        sent
    }

    /// Holds that what was sent is there, alone.
    #[track_caller]
    fn hold(&self) {
        // The sender hears that all is in place before the receiver has tidied up.
        until("the receiver to tidy up", || !self.to.join(".pfs-recv").exists());
        let (from, to) = (look(&self.from), look(&self.to));
        for (path, thing) in &from {
            assert_eq!(to.get(path), Some(thing), "{}", path.display());
        }
        assert_eq!(from.len(), to.len(), "{:?}", to.keys());
    }

    /// Holds that what has a final name is what was sent.
    #[track_caller]
    fn hold_so_far(&self) {
        let (from, to) = (look(&self.from), look(&self.to));
        for (path, thing) in to.iter().filter(|(path, _)| !path.starts_with(".pfs-recv")) {
            // Folders get their times last.
            if let (Thing::Folder { .. }, Some(Thing::Folder { .. })) = (thing, from.get(path)) {
                continue;
            }
            assert_eq!(from.get(path), Some(thing), "{}", path.display());
        }
    }

    /// Windows of large files that are known to be here.
    fn windows_here(&self) -> u32 {
        let Ok(listing) = fs::read_dir(self.to.join(".pfs-recv")) else { return 0 };
        let maps = listing.flatten().map(|item| item.path());
        let maps = maps.filter(|path| path.extension().is_some_and(|ext| ext == "map"));
        let bits = maps.filter_map(|path| fs::read(path).ok()).map(|map| {
            map.get(64..).unwrap_or_default().iter().map(|byte| byte.count_ones()).sum::<u32>()
        });
        bits.sum()
    }
}

/// A key's file that only its owner reads.
fn key(folder: &Path, name: &str, secret: &[u8]) -> PathBuf {
    let path = file(folder, name, secret);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("sets");
    path
}

/// Bytes that do not pack: SplitMix64, of Steele and Vigna.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next().to_le_bytes()).collect();
    bytes.truncate(length);
    bytes
}

/// A tree with folders, links, an empty file, small files and large ones.
fn make_tree(root: &Path) {
    fs::create_dir_all(root.join("deep/er")).expect("makes");
    fs::create_dir(root.join("empty")).expect("makes");
    symlink("../nowhere", root.join("deep/link")).expect("links");
    symlink("large", root.join("to large")).expect("links");
    let files = [
        ("none", 0, 0o644),
        ("deep/one", 1, 0o400),
        ("deep/er/script", 5_000, 0o755),
        ("deep/-\u{e4}\n'", 70_000, 0o640),
        ("large", 900_000, 0o644),
        ("deep/larger", 2_500_000, 0o600),
    ];
    for (seed, (name, length, mode)) in (1..).zip(files) {
        let path = root.join(name);
        fs::write(&path, noise(seed, length)).expect("writes");
        dress(&path, mode, seed * 987_654_321_012_345);
    }
    dress(&root.join("deep"), 0o750, 1_234_567_890_123_456_789);
}

fn dress(path: &Path, mode: u32, nanos: u64) {
    let file = fs::File::open(path).expect("opens");
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)).expect("sets");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("sets");
}

#[derive(Debug, PartialEq, Eq)]
enum Thing {
    Folder { mode: u32, mtime: (i64, i64) },
    Link { to: PathBuf },
    File { mode: u32, mtime: (i64, i64), content: Vec<u8> },
}

/// All that is below `root`.
fn look(root: &Path) -> BTreeMap<PathBuf, Thing> {
    let (mut things, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        let Ok(listing) = fs::read_dir(&folder) else { continue };
        for path in listing.flatten().map(|item| item.path()) {
            // What is being put in place may go from one name to another meanwhile.
            let Ok(about) = fs::symlink_metadata(&path) else { continue };
            let (mode, mtime) = (about.mode() & 0o7777, (about.mtime(), about.mtime_nsec()));
            let thing = if about.is_dir() {
                folders.push(path.clone());
                Thing::Folder { mode, mtime }
            } else if about.is_symlink() {
                Thing::Link { to: fs::read_link(&path).expect("a link") }
            } else {
                let Ok(content) = fs::read(&path) else { continue };
                Thing::File { mode, mtime, content }
            };
            things.insert(path.strip_prefix(root).expect("below").to_owned(), thing);
        }
    }
    things
}
