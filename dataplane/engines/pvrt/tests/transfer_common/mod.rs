//! Trees to be sent, ends to send them with, and how they are compared.

#![allow(dead_code, reason = "each test file uses its part of this")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use pfs_pvrt::transfer::control::Security;
use pfs_pvrt::transfer::control::keys::SharedKey;
use pfs_pvrt::transfer::frames::{Faults, Faulty, FrameSink, UdpSink};
use pfs_pvrt::transfer::{
    Gauge, RecvOptions, RecvReport, SendOptions, SendReport, Server, TransferError, send,
};

pub(crate) fn shared() -> Security {
    Security::Shared(SharedKey::new(b"a secret of the tests").expect("long enough"))
}

/// SplitMix64, of Steele and Vigna.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Bytes that do not pack, or such that do.
    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        if self.below(2) == 0 {
            let mut bytes: Vec<u8> =
                (0..length.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
            bytes.truncate(length);
            return bytes;
        }
        let words = ["packet ", "window ", "frame ", "of ", "the ", "tree\n", "0000"];
        let mut text = Vec::with_capacity(length + 8);
        while text.len() < length {
            text.extend_from_slice(words[self.below(words.len() as u64) as usize].as_bytes());
        }
        text.truncate(length);
        text
    }
}

/// Makes a tree with all that a tree can hold.
pub(crate) fn make_tree(root: &Path, seed: u64, files: u64) {
    let mut random = Random(seed);
    fs::create_dir_all(root).expect("makes");
    let mut folders = vec![root.to_owned()];
    for number in 0..files {
        let folder = folders[random.below(folders.len() as u64) as usize].clone();
        let name: Vec<u8> = match random.below(8) {
            0 => format!("\u{e4}\u{20ac} {number}\n'\"").into_bytes(),
            1 => [&b"\xff\xfe\x80-"[..], number.to_string().as_bytes()].concat(),
            2 => format!(".-{number}").into_bytes(),
            _ => format!("file{number}").into_bytes(),
        };
        let path = folder.join(OsStr::from_bytes(&name));
        match random.below(12) {
            0 if folder.components().count() < root.components().count() + 12 => {
                fs::create_dir(&path).expect("makes");
                folders.push(path);
                continue;
            }
            1 => {
                symlink(
                    ["../../etc/passwd", "/nowhere", "file1", "."][random.below(4) as usize],
                    &path,
                )
                .expect("links");
                continue;
            }
            2 => fs::write(&path, b"").expect("writes"),
            3 => {
                let length = random.below(3_000_000) as usize;
                fs::write(&path, random.bytes(length)).expect("writes");
            }
            _ => {
                let length = random.below(20_000) as usize;
                fs::write(&path, random.bytes(length)).expect("writes");
            }
        }
        dress(&path, &mut random);
    }
}

pub(crate) fn dress(path: &Path, random: &mut Random) {
    let mode = [0o644, 0o600, 0o755, 0o444, 0o640][random.below(5) as usize];
    let time =
        SystemTime::UNIX_EPOCH + Duration::from_nanos(random.below(1_700_000_000_000_000_000));
    let file = fs::File::options().read(true).open(path).expect("opens");
    file.set_modified(time).expect("sets");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("sets");
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    Folder { mode: u32, mtime: i128 },
    Link { to: PathBuf },
    File { mode: u32, mtime: i128, size: u64, digest: [u8; 32] },
}

/// All that is below `root`.
pub(crate) fn look(root: &Path) -> BTreeMap<PathBuf, Thing> {
    let mut things = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder).expect("lists") {
            let path = item.expect("reads").path();
            let about = fs::symlink_metadata(&path).expect("there");
            let (mode, mtime) = (
                about.mode() & 0o777,
                i128::from(about.mtime()) * 1_000_000_000 + i128::from(about.mtime_nsec()),
            );
            let thing = if about.is_dir() {
                folders.push(path.clone());
                Thing::Folder { mode, mtime }
            } else if about.is_symlink() {
                Thing::Link { to: fs::read_link(&path).expect("a link") }
            } else {
                let digest = *blake3::hash(&fs::read(&path).expect("reads")).as_bytes();
                Thing::File { mode, mtime, size: about.len(), digest }
            };
            things.insert(path.strip_prefix(root).expect("below").to_owned(), thing);
        }
    }
    things
}

/// Both hold the same.
pub(crate) fn assert_same(from: &Path, to: &Path) {
    let (from, to) = (look(from), look(to));
    for (path, thing) in &from {
        assert_eq!(to.get(path), Some(thing), "{}", path.display());
    }
    for path in to.keys() {
        assert!(from.contains_key(path), "{} is too much", path.display());
    }
}

/// A receiver in a thread of its own.
pub(crate) struct Receiving {
    pub(crate) to: SocketAddr,
    pub(crate) gauge: Arc<Gauge>,
    pub(crate) thread: JoinHandle<Result<RecvReport, TransferError>>,
}

pub(crate) fn receive(folder: &Path, security: Security) -> Receiving {
    receive_with(folder, RecvOptions { fsync: false, ..RecvOptions::new(security) })
}

/// Receives one transfer as `options` say.
pub(crate) fn receive_with(folder: &Path, options: RecvOptions) -> Receiving {
    let server =
        Server::bind("127.0.0.1:0".parse().expect("an address"), folder, options).expect("binds");
    let (to, gauge) = (server.local().expect("bound"), Arc::new(Gauge::default()));
    let watched = Arc::clone(&gauge);
    let thread = thread::spawn(move || server.receive(&watched));
    Receiving { to, gauge, thread }
}

/// Sends `from`'s content with these faults on the way.
pub(crate) fn try_transfer(
    from: &Path,
    to: &Path,
    faults: Faults,
) -> (Result<SendReport, TransferError>, Result<RecvReport, TransferError>) {
    let receiving = receive(to, shared());
    let options = SendOptions { sink: Some(faulty(faults)), ..SendOptions::new(shared()) };
    let sent = send(&[from.join("")], receiving.to, options, &Arc::new(Gauge::default()));
    (sent, receiving.thread.join().expect("no panic"))
}

pub(crate) fn faulty(faults: Faults) -> Box<pfs_pvrt::transfer::OpenSink> {
    Box::new(move |to| {
        let sink: Box<dyn FrameSink> = Box::new(Faulty::new(UdpSink::open(to)?, faults));
        Ok(sink)
    })
}

pub(crate) fn transfer(from: &Path, to: &Path, faults: Faults) -> (SendReport, RecvReport) {
    let (sent, received) = try_transfer(from, to, faults);
    match (sent, received) {
        (Ok(sent), Ok(received)) => (sent, received),
        (sent, received) => panic!("sender: {sent:?}\nreceiver: {received:?}"),
    }
}
