//! A server that is killed under load: what it acknowledged is there afterwards.

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{PATIENCE, connect, serve};
use pfs_kv::servers::Limits;
use pfs_kv::{DurableSettings, Fsync, Store, StoreSettings};

/// Not a test of its own: the process that is killed.
#[test]
#[ignore = "started by what_was_acknowledged_survives_kill, in a process of its own"]
fn serve_until_killed() {
    let folder = std::env::var_os("PFS_KV_FOLDER").expect("the parent sets it");
    let fsync = match std::env::var("PFS_KV_FSYNC").as_deref() {
        Ok("always") => Fsync::Always,
        _ => Fsync::default(),
    };
    let durable = DurableSettings {
        fsync,
        segment_bytes: 1 << 20,
        snapshot_bytes: 4 << 20,
        ..DurableSettings::default()
    };
    let settings =
        StoreSettings { shards: 2, memory_bytes: 128 << 20, folder: Some(folder.into()), durable };
    let store = Store::open(&settings).expect("what a killed server left can be opened");
    let loops = std::env::var("PFS_KV_LOOPS").ok().and_then(|loops| loops.parse().ok());
    let server = serve(store, Limits::default(), None, loops.unwrap_or(1));
    let (resp, cheetah) = (server.resp().expect("RESP"), server.cheetah().expect("lines"));
    println!("\nSERVING {resp} {cheetah}");
    std::thread::sleep(PATIENCE * 3);
}

struct Killed {
    child: Child,
    resp: Option<SocketAddr>,
    cheetah: Option<SocketAddr>,
}

fn start(folder: &Path, fsync: &str, loops: u64) -> Killed {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "serve_until_killed", "--ignored", "--nocapture"])
        .env("PFS_KV_FOLDER", folder)
        .env("PFS_KV_FSYNC", fsync)
        .env("PFS_KV_LOOPS", loops.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test again");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.starts_with("SERVING ") {
        line.clear();
        let count = out.read_line(&mut line).expect("its addresses");
        assert!(count > 0, "the server ended before it served");
    }
    let mut addresses = line.split_whitespace().skip(1).map(|text| text.parse().ok());
    let (resp, cheetah) = (addresses.next().flatten(), addresses.next().flatten());
    Killed { child, resp, cheetah }
}

/// Sets `k<n>` to 40 times `n` from `from` on, ten a burst, until the server is gone; gives the number
/// behind the last that was acknowledged.
fn set_until_gone(mut stream: TcpStream, from: u64) -> u64 {
    let mut acknowledged = from;
    loop {
        let sets: Vec<u8> = (acknowledged..acknowledged + 10)
            .flat_map(|n| format!("SET k{n} {}\r\n", format!("{n};").repeat(40)).into_bytes())
            .collect();
        let mut replies = [0; 50];
        let mut had = 0;
        if stream.write_all(&sets).is_err() {
            return acknowledged;
        }
        while had < replies.len() {
            match stream.read(&mut replies[had..]) {
                Ok(count) if count > 0 => had += count,
                _ => return acknowledged + had as u64 / 5,
            }
        }
        assert_eq!(
            replies,
            *b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n"
        );
        acknowledged += 10;
    }
}

/// Inserts values until the server is gone; gives the absolute keys that were acknowledged.
fn insert_until_gone(stream: TcpStream) -> Vec<u64> {
    let mut reader = BufReader::new(stream.try_clone().expect("the same socket"));
    let mut stream = stream;
    let mut given = Vec::new();
    let mut line = String::new();
    while stream.write_all(b"INSERT some value\n").is_ok() {
        line.clear();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || !line.ends_with('\n') {
            break;
        }
        let key = line.trim_end().strip_prefix("SUCCESS,key=").expect("an absolute key");
        given.push(key.parse().expect("a number"));
    }
    given
}

fn check(server: &Killed, acknowledged: u64, given: &mut BTreeSet<u64>) {
    let mut stream = connect(server.resp);
    stream.set_nodelay(true).expect("an option");
    for n in (0..acknowledged + 10).rev() {
        stream.write_all(format!("GET k{n}\r\n").as_bytes()).expect("it reads");
        let mut reader = BufReader::new(&stream);
        let mut line = String::new();
        reader.read_line(&mut line).expect("it replies");
        if line == "$-1\r\n" {
            assert!(n >= acknowledged, "k{n} was acknowledged, and is gone");
            continue;
        }
        line.clear();
        reader.read_line(&mut line).expect("the value");
        assert_eq!(line.trim_end(), format!("{n};").repeat(40), "k{n}");
    }
    let mut stream = connect(server.cheetah);
    stream.write_all(b"INSERT another\n").expect("it reads");
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).expect("it replies");
    let key = line.trim_end().strip_prefix("SUCCESS,key=").expect("an absolute key");
    let key: u64 = key.parse().expect("a number");
    assert!(given.insert(key), "{key} was given out twice");
}

#[test]
fn what_was_acknowledged_survives_kill() {
    let cases = std::env::var("PFS_TEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let folder = tempfile::tempdir().expect("a folder");
    let (mut acknowledged, mut given) = (0, BTreeSet::new());
    for case in 0..cases {
        let fsync = if case % 2 == 0 { "always" } else { "group" };
        let mut server = start(folder.path(), fsync, 1 + case / 2 % 2);
        check(&server, acknowledged, &mut given);
        let (sets, inserts) = (connect(server.resp), connect(server.cheetah));
        let setter = std::thread::spawn(move || set_until_gone(sets, acknowledged));
        let inserter = std::thread::spawn(move || insert_until_gone(inserts));
        // Another point of the load each time.
        std::thread::sleep(Duration::from_millis(5 + case * 37 % 100));
        server.child.kill().expect("it runs");
        server.child.wait().expect("it is gone");
        acknowledged = setter.join().expect("no wrong reply");
        for key in inserter.join().expect("no wrong reply") {
            assert!(given.insert(key), "{key} was given out twice");
        }
    }
    let mut server = start(folder.path(), "group", 1);
    check(&server, acknowledged, &mut given);
    assert!(
        acknowledged > 0 && given.len() as u64 > cases,
        "nothing was acknowledged before the kills"
    );
    server.child.kill().expect("it runs");
    server.child.wait().expect("it is gone");
}
