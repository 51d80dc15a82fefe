//! A server over a store that another thread writes to, as packets do.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::{PATIENCE, ask, connect};
use pfs_kv::servers::{Serve, ServeError, Server};
use pfs_kv::{
    DurableSettings, Fsync, Op, Replies, Reply, SharedStore, Store, StoreSettings, Ticket,
};

fn store(settings: &StoreSettings) -> SharedStore {
    Store::open(settings).expect("opens").into()
}

fn memory(shards: u32) -> StoreSettings {
    StoreSettings { shards, memory_bytes: 256 << 20, ..StoreSettings::default() }
}

fn beside(store: &SharedStore) -> Server {
    let any: Option<SocketAddr> = Some("127.0.0.1:0".parse().expect("an address"));
    Serve { resp: any, cheetah: any, ..Serve::default() }.start_beside(store).expect("starts")
}

/// Executes `op` as a worker does, with its shard's lock; the answer and its ticket.
fn execute(store: &SharedStore, op: &Op<'_>, replies: &mut Replies) -> (usize, Ticket, Reply) {
    let owner = store.owner(op);
    let mut shard = store.shard(owner).expect("is there");
    let ticket = shard.execute(std::slice::from_ref(op), replies);
    (owner, ticket, replies.get(0).expect("an answer"))
}

/// The reply to a command that answers with one bulk string.
fn get(stream: &mut BufReader<std::net::TcpStream>, key: &str) -> Option<String> {
    let request = format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len());
    stream.get_mut().write_all(request.as_bytes()).expect("writes");
    let mut line = String::new();
    stream.read_line(&mut line).expect("reads");
    if line == "$-1\r\n" {
        return None;
    }
    let mut value = String::new();
    stream.read_line(&mut value).expect("reads");
    Some(value.trim_end().to_owned())
}

#[test]
fn writers_and_clients_see_each_other() {
    for shards in [1, 3] {
        let store = store(&memory(shards));
        let db = store.database("default").expect("is there");
        let server = beside(&store);
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let (mut replies, mut model, mut round) = (Replies::new(), BTreeMap::new(), 0_u64);
                // It goes on for as long as clients do, so that each of their commands meets it.
                while !ended.load(Ordering::Acquire) || round < 20_000 {
                    let key = format!("p{:04}", round % 5000);
                    let value = round.to_string();
                    let op = Op::put(db.keys(), key.as_bytes(), value.as_bytes());
                    assert_eq!(execute(&store, &op, &mut replies).2, Reply::Done);
                    model.insert(key, value);
                    round += 1;
                }
                model
            });
            let mut lines = connect(server.cheetah());
            let mut redis = BufReader::new(connect(server.resp()));
            for number in 1..=200_u64 {
                let said = ask(&mut lines, &format!("INSERT value {number}\n"));
                let absolute = said.strip_prefix("SUCCESS,key=").expect("a key").to_owned();
                ask(&mut lines, &format!("PAIR_SET c{number:03} {absolute}\n"));
                let read = ask(&mut lines, &format!("READ {absolute}\n"));
                assert!(read.ends_with(&format!(",value=value {number}")), "{read}");
                assert!(get(&mut redis, "nobody").is_none());
                // What a writer is at is there with some round's value.
                if let Some(value) = get(&mut redis, "p0007") {
                    assert_eq!(value.parse::<u64>().expect("a round") % 5000, 7);
                }
            }
            let said = ask(&mut lines, "PAIR_SUMMARY c\n");
            assert!(said.contains("count=200,"), "{said}");
            let said = ask(&mut lines, "PAIR_REDUCE_ASYNC raw c 0\n");
            let job = said.split("job=").nth(1).expect("a job").split(',').next().expect("a name");
            let begin = std::time::Instant::now();
            while !ask(&mut lines, &format!("PAIR_REDUCE_STATUS {job}\n")).contains("completed") {
                assert!(begin.elapsed() < PATIENCE, "the job never ends");
            }
            assert!(ask(&mut lines, "PAIR_PURGE c\n").contains("purged=200"));
            ended.store(true, Ordering::Release);
            let model = writer.join().expect("ends");
            for (key, value) in &model {
                assert_eq!(get(&mut redis, key).as_ref(), Some(value), "{key}");
            }
        });
        server.stop().expect("had not failed");
    }
}

#[test]
fn what_clients_wrote_is_there_for_writers_and_on_disk() {
    for fsync in [Fsync::Always, Fsync::Group { max_us: 500, max_bytes: 1 << 16 }] {
        let folder = tempfile::tempdir().expect("a folder");
        let durable = DurableSettings { fsync, segment_bytes: 1 << 20, ..Default::default() };
        let folder_of = Some(folder.path().to_owned());
        let settings = StoreSettings { folder: folder_of, durable, ..memory(2) };
        let store = store(&settings);
        let db = store.database("default").expect("is there");
        let server = beside(&store);
        let mut lines = connect(server.resp());
        let mut replies = Replies::new();
        for number in 0..100 {
            assert_eq!(ask(&mut lines, &format!("SET client:{number} {number}\r\n")), "+OK");
            let (mine, text) = (format!("worker:{number}"), number.to_string());
            let op = Op::put(db.keys(), mine.as_bytes(), text.as_bytes());
            let (owner, ticket, _) = execute(&store, &op, &mut replies);
            let seen = format!("client:{number}");
            let op = Op::get(db.keys(), seen.as_bytes());
            assert!(matches!(execute(&store, &op, &mut replies).2, Reply::Value { .. }));
            common::wait_until("a worker's write is durable", || {
                let mut shard = store.shard(owner).expect("is there");
                shard.poll();
                shard.acknowledged(ticket)
            });
        }
        server.stop().expect("had not failed");
        drop(store);
        let again = Store::open(&settings).expect("opens again");
        for number in 0..100 {
            for who in ["client", "worker"] {
                let key = format!("{who}:{number}");
                let text = number.to_string();
                assert_eq!(again.get(db.keys(), key.as_bytes()), Some(text.as_bytes()), "{key}");
            }
        }
    }
}

#[test]
fn a_thread_that_cannot_begin_serves_nothing() {
    let store = store(&memory(1));
    let any: Option<SocketAddr> = Some("127.0.0.1:0".parse().expect("an address"));
    let begin = Some((|| Err(std::io::ErrorKind::PermissionDenied.into())) as fn() -> _);
    let refused = Serve { resp: any, begin, ..Serve::default() }.start_beside(&store);
    assert!(matches!(refused, Err(ServeError::Io { .. })), "{refused:?}");
    // Its shards are free again.
    assert!(store.free_shard(0).is_some());
}
