//! A disk that is full under a server: writes are refused with an error that says so and change
//! nothing, reads go on, writes work again when space is back, and all that was acknowledged is there
//! after opening again, be the disk still full or not.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use common::{ask, connect, serve, wait_until};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use pfs_kv::servers::{Limits, Server};
use pfs_kv::{DurableSettings, Fsync, Store, StoreSettings};
use tempfile::TempDir;

/// What a client of the line grammar is told.
const LINE_ERROR: &str = "ERROR,the disk is full: the store is read-only until there is space";
/// What a client of Redis is told.
const RESP_ERROR: &str = "-MISCONF the disk is full: the store is read-only until there is space";

/// A small file system in memory.
struct Disk(TempDir);

impl Disk {
    /// `None`, and says why, without the right to mount one.
    fn make() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let (what, size) = (Some("tmpfs"), Some("size=12m"));
        match mount(what, folder.path(), what, MsFlags::empty(), size) {
            Ok(()) => Some(Self(folder)),
            Err(error) => {
                println!("skipped: no small file system: {error}; run as root");
                None
            }
        }
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    /// Takes all space that is left.
    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.ballast()).expect("a file");
        while ballast.write_all(&[1; 4096]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.ballast()).expect("it is there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a test that fails leaves files open, and is to say why it failed.
        umount2(self.0.path(), MntFlags::MNT_DETACH).expect("it is mounted");
    }
}

fn start(disk: &Path, fsync: Fsync, loops: usize) -> Server {
    let durable = DurableSettings { fsync, segment_bytes: 1 << 20, ..Default::default() };
    let folder = Some(disk.join("kv"));
    let settings = StoreSettings { shards: 2, memory_bytes: 64 << 20, folder, durable };
    serve(Store::open(&settings).expect("a store"), Limits::default(), None, loops)
}

/// Clients of both protocols, and what was acknowledged to them.
struct Clients {
    resp: TcpStream,
    lines: TcpStream,
    sets: Vec<usize>,
    inserts: Vec<(usize, u64)>,
    next: usize,
}

fn value(number: usize) -> String {
    format!("{number};").repeat(4096 / 8)
}

impl Clients {
    fn connect(server: &Server) -> Self {
        let (resp, lines) = (connect(server.resp()), connect(server.cheetah()));
        Self { resp, lines, sets: Vec::new(), inserts: Vec::new(), next: 0 }
    }

    fn again(self, server: &Server) -> Self {
        let Self { sets, inserts, next, .. } = self;
        Self { sets, inserts, next, ..Self::connect(server) }
    }

    /// Writes a value by each protocol; what each said when it was refused.
    fn write(&mut self) -> [Option<String>; 2] {
        let number = self.next;
        self.next += 1;
        let said = ask(&mut self.resp, &format!("SET k{number} {}\r\n", value(number)));
        let set = said != "+OK";
        if !set {
            self.sets.push(number);
        }
        let line = ask(&mut self.lines, &format!("INSERT {}\n", value(number)));
        let inserted = line.strip_prefix("SUCCESS,key=").map(|key| key.parse().expect("a number"));
        self.inserts.extend(inserted.map(|key| (number, key)));
        [set.then_some(said), inserted.is_none().then_some(line)]
    }

    /// Reads all keys that were ever written or refused: a refused one is not there.
    fn check(&mut self) {
        let mut sets = self.sets.iter().peekable();
        for number in 0..self.next {
            let acknowledged = sets.next_if_eq(&&number).is_some();
            self.resp.write_all(format!("GET k{number}\r\n").as_bytes()).expect("it reads");
            let mut reader = BufReader::new(&self.resp);
            let mut line = String::new();
            reader.read_line(&mut line).expect("it replies");
            assert_eq!(line != "$-1\r\n", acknowledged, "k{number}: {line}");
            if acknowledged {
                line.clear();
                reader.read_line(&mut line).expect("the value");
                assert_eq!(line.trim_end(), value(number));
            }
        }
        for &(number, key) in &self.inserts {
            let value = value(number);
            let wanted = format!("SUCCESS,size={},value={value}", value.len());
            assert_eq!(ask(&mut self.lines, &format!("READ {key}\n")), wanted);
        }
    }

    /// Writes until each protocol was refused so often in a row that no shard has room, by a clear error.
    fn until_refused(&mut self) {
        let mut refused = [0; 2];
        while refused.iter().any(|&times| times < 30) {
            assert!(self.next < 10_000, "the disk does not fill: {refused:?}");
            for ((said, wanted), times) in
                self.write().into_iter().zip([RESP_ERROR, LINE_ERROR]).zip(&mut refused)
            {
                assert!(said.as_ref().is_none_or(|said| said == wanted), "{said:?}");
                *times = said.map_or(0, |_| *times + 1);
            }
        }
    }
}

fn fill_and_free(fsync: Fsync, loops: usize) {
    let Some(disk) = Disk::make() else { return };
    let server = start(disk.0.path(), fsync, loops);
    let mut clients = Clients::connect(&server);
    for _ in 0..50 {
        assert_eq!(clients.write(), [None, None]);
    }
    disk.fill();
    clients.until_refused();
    clients.check();
    let other = "x".repeat(8192);
    assert_eq!(ask(&mut clients.resp, &format!("SET k0 {other}\r\n")), RESP_ERROR);
    clients.check();
    server.stop().expect("a full disk ends no loop");

    let server = start(disk.0.path(), fsync, loops);
    let mut clients = clients.again(&server);
    clients.check();
    clients.until_refused();
    disk.free();
    // Each shard finds out for itself.
    let mut taken = 0;
    wait_until("writes of both work again", || {
        taken = if clients.write() == [None, None] { taken + 1 } else { 0 };
        taken == 50
    });
    clients.check();
    server.stop().expect("it ran");

    let server = start(disk.0.path(), fsync, loops);
    clients.again(&server).check();
    server.stop().expect("it ran");
}

#[test]
fn a_full_disk_refuses_writes_of_clients_until_there_is_space() {
    fill_and_free(Fsync::Always, 1);
    fill_and_free(Fsync::default(), 1);
}

#[test]
fn the_same_with_two_loops() {
    fill_and_free(Fsync::default(), 2);
}
