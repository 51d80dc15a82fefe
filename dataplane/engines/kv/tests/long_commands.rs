//! Commands about millions of keys: other clients are served meanwhile, and who leaves, leaves nothing behind.

mod common;

use std::io::{ErrorKind, Write};
use std::net::TcpStream;

use common::{ask, connect, serve, wait_until};
use libc::linger;
use nix::sys::socket::{setsockopt, sockopt::Linger};
use pfs_kv::servers::{Limits, Server};
use pfs_kv::{Database, Op, Replies, Store, StoreSettings, pair_value};

const PAIRS: u64 = 1_000_000;
/// Pairs that lead to values.
const VALUES: u64 = 10_000;

/// Puts pairs `p:<n>` and keys `k:<n>` there, and a value behind each of the first pairs.
fn filled(shards: u32, loops: usize, pairs: u64) -> Server {
    let settings = StoreSettings { shards, memory_bytes: 1 << 30, ..StoreSettings::default() };
    let mut store = Store::open(&settings).expect("memory");
    let db = store.database("default").expect("it is there");
    let mut replies = Replies::new();
    for _ in 0..VALUES {
        store.execute_one(&Op::Insert { space: db.objects(), value: b"value" }, &mut replies);
    }
    for number in 0..pairs {
        put(&mut store, db, number, &mut replies);
    }
    serve(store, Limits::default(), None, loops)
}

fn put(store: &mut Store, db: Database, number: u64, replies: &mut Replies) {
    let leads_to = pair_value(if number < VALUES { number + 1 } else { 0 });
    let key = format!("p:{number:07}");
    store.execute_one(&Op::put(db.pairs(), key.as_bytes(), &leads_to), replies);
    let key = format!("k:{number:07}");
    store.execute_one(&Op::put(db.keys(), key.as_bytes(), b"v"), replies);
}

/// Whether nothing has come on `stream`.
fn is_quiet(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a flag");
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).expect("a flag");
    matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// Gives `request` on `stream`, and commands on `other` until it is answered: the answer, and how many commands were
/// answered before it.
fn beside(stream: &mut TcpStream, request: &[u8], other: &mut TcpStream) -> (String, u32) {
    stream.write_all(request).expect("it reads");
    let mut answered = 0;
    loop {
        let set = ask(other, "SET other there\r\n");
        assert_eq!((set.as_str(), ask(other, "PING\r\n").as_str()), ("+OK", "+PONG"));
        if !is_quiet(stream) {
            break;
        }
        answered += 2;
    }
    (ask(stream, ""), answered)
}

fn check_purge(shards: u32, loops: usize) {
    let server = filled(shards, loops, PAIRS);
    let (mut lines, mut other) = (connect(server.cheetah()), connect(server.resp()));
    let (reply, answered) = beside(&mut lines, b"PAIR_SUMMARY p:\n", &mut other);
    let start = "SUCCESS,command=PAIR_SUMMARY,count=1000000,total_payload_bytes=50000,";
    assert!(reply.starts_with(start), "{reply}");
    assert!(answered > 4, "{answered} answers beside a summary");
    let (reply, answered) = beside(&mut lines, b"PAIR_PURGE p:\n", &mut other);
    assert_eq!(reply, "SUCCESS,purged=1000000");
    assert!(answered > 4, "{answered} answers beside a purge");
    assert_eq!(ask(&mut lines, "PAIR_SCAN * 0\n"), "SUCCESS,count=0");
    assert_eq!(ask(&mut lines, "READ 1\n"), "ERROR,key_not_found (deleted)");
    assert_eq!(ask(&mut lines, "READ 10000\n"), "ERROR,key_not_found (deleted)");
    let (reply, answered) = beside(&mut connect(server.resp()), b"FLUSHDB\r\n", &mut other);
    assert_eq!(reply, "+OK");
    assert!(answered > 4, "{answered} answers beside FLUSHDB");
    let left = ask(&mut other, "DBSIZE\r\n");
    assert!(left == ":0" || left == ":1", "only what was set meanwhile: {left}");
    server.stop().expect("it ran");
}

#[test]
fn others_are_served_during_a_purge() {
    check_purge(1, 1);
}

#[test]
fn others_are_served_during_a_purge_on_two_loops() {
    check_purge(2, 2);
}

#[test]
fn commands_of_many_keys_run_in_steps() {
    for (shards, loops) in [(1, 1), (3, 2)] {
        let server = filled(shards, loops, 200_000);
        let (mut redis, mut other) = (connect(server.resp()), connect(server.resp()));
        let many = |verb: &str| {
            let mut request = format!("*200001\r\n${}\r\n{verb}\r\n", verb.len());
            // Half of them are there.
            (100_000..300_000).for_each(|number| request += &format!("$9\r\nk:{number:07}\r\n"));
            request.into_bytes()
        };
        // The reply may be there before the other client's first: what is checked is the order on one connection.
        let request = [many("EXISTS"), b"PING\r\n".to_vec()].concat();
        redis.write_all(&request).expect("it reads");
        common::exchange(&mut redis, b"", b":100000\r\n+PONG\r\n");
        let (reply, _) = beside(&mut redis, &many("DEL"), &mut other);
        assert_eq!(reply, ":100000");
        common::exchange(&mut redis, &many("EXISTS"), b":0\r\n");
        let nils = [&b"*200000\r\n"[..], &b"$-1\r\n".repeat(200_000)].concat();
        common::exchange(&mut redis, &many("MGET"), &nils);
        assert_eq!(ask(&mut redis, "MGET k:0000001 k:0999999\r\n"), "*2\r\n$1\r\nv\r\n$-1");
        server.stop().expect("it ran");
    }
}

#[test]
fn resets_and_transactions_run_to_their_end() {
    for (shards, loops) in [(1, 1), (2, 2)] {
        let server = filled(shards, loops, 100_000);
        let (mut lines, mut redis) = (connect(server.cheetah()), connect(server.resp()));
        let transaction = b"MULTI\r\nSET a 1\r\nFLUSHDB\r\nSET b 2\r\nDBSIZE\r\nEXEC\r\n";
        let replies =
            b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n+OK\r\n+OK\r\n+OK\r\n:1\r\n";
        common::exchange(&mut redis, transaction, replies);
        let (reply, _) = beside(&mut lines, b"RESET_DB\n", &mut redis);
        assert_eq!(reply, "SUCCESS,database_reset_to_default");
        assert_eq!(ask(&mut lines, "PAIR_SCAN * 0\n"), "SUCCESS,count=0");
        assert_eq!(ask(&mut lines, "READ 1\n"), "ERROR,key_not_found (deleted)");
        server.stop().expect("it ran");
    }
}

#[test]
fn who_leaves_in_the_middle_leaves_nothing_behind() {
    for (shards, loops) in [(1, 1), (2, 2)] {
        let server = filled(shards, loops, 300_000);
        for command in ["PAIR_SUMMARY * -1 0\n", "PAIR_SCAN * 0\n", "PAIR_PURGE *\n"] {
            let mut lines = connect(server.cheetah());
            lines.write_all(command.as_bytes()).expect("it reads");
            // The connection is reset, not ended.
            let at_once = linger { l_onoff: 1, l_linger: 0 };
            setsockopt(&lines, Linger, &at_once).expect("an option");
        }
        wait_until("all are gone", || server.counters().connections == 0);
        let mut lines = connect(server.cheetah());
        let purged = ask(&mut lines, "PAIR_PURGE *\n");
        let left: u64 = purged.strip_prefix("SUCCESS,purged=").expect(&purged).parse().expect("n");
        assert!(left <= 300_000);
        assert_eq!(ask(&mut lines, "PAIR_SCAN * 0\n"), "SUCCESS,count=0");
        server.stop().expect("it ran");
    }
}
