//! Servers for tests, and clients that write and read bytes.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use pfs_kv::servers::{Limits, Secret, Serve, Server};
use pfs_kv::{Store, StoreSettings};

/// Longest wait for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server of both protocols on free ports, over a store in memory, which one loop owns.
pub(crate) fn server(limits: Limits, password: Option<&str>, shards: u32) -> Server {
    serve(memory(shards), limits, password, 1)
}

/// The same over `shards` shards that `loops` loops own.
pub(crate) fn server_of(shards: u32, loops: usize) -> Server {
    serve(memory(shards), Limits::default(), None, loops)
}

/// The same over `shards` shards that other threads could take as well.
pub(crate) fn server_beside(shards: u32) -> Server {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let serve = Serve { resp: Some(any), cheetah: Some(any), ..Serve::default() };
    serve.start_beside(&memory(shards).into()).expect("a free port")
}

fn memory(shards: u32) -> Store {
    let settings = StoreSettings { shards, memory_bytes: 256 << 20, ..StoreSettings::default() };
    Store::open(&settings).expect("memory")
}

/// A server of both protocols on free ports, over `store`.
pub(crate) fn serve(store: Store, limits: Limits, password: Option<&str>, loops: usize) -> Server {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let auth = password.and_then(Secret::new);
    let (resp, cheetah) = (Some(any), Some(any));
    Serve { resp, cheetah, auth, limits, loops, ..Serve::default() }
        .start(store)
        .expect("a free port")
}

/// Writes `request` and reads one line of the reply, its end left out.
pub(crate) fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).expect("the server replies");
        assert!(count > 0, "closed behind {:?}", line.escape_ascii().to_string());
        line.extend_from_slice(&piece[..count]);
    }
    String::from_utf8(line).expect("text").trim_end().to_owned()
}

pub(crate) fn connect(address: Option<SocketAddr>) -> TcpStream {
    let stream = TcpStream::connect(address.expect("it listens")).expect("it accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Writes `request` and reads until the server closes.
pub(crate) fn until_closed(address: Option<SocketAddr>, request: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    // The server may close before it has read all.
    let _ = stream.write_all(request);
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    reply
}

/// Writes `request` and reads as many bytes as `expected` has.
pub(crate) fn exchange(stream: &mut TcpStream, request: &[u8], expected: &[u8]) {
    stream.write_all(request).expect("the server reads");
    let mut reply = vec![0; expected.len()];
    stream.read_exact(&mut reply).expect("the server replies");
    let (reply, expected) = (reply.escape_ascii(), expected.escape_ascii());
    assert_eq!(reply.to_string(), expected.to_string(), "{}", request.escape_ascii());
}

/// Waits until `holds`.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
