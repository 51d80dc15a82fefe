//! One store on several loops: order, isolation, values of any size, durability.

mod common;

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use common::{ask, connect, exchange, serve, server_of};
use pfs_kv::servers::{Limits, Serve, ServeError};
use pfs_kv::{DurableSettings, Fsync, Store, StoreSettings};

/// A RESP command.
fn command(words: &[&str]) -> String {
    let bulk = |word: &&str| format!("${}\r\n{word}\r\n", word.len());
    format!("*{}\r\n{}", words.len(), words.iter().map(bulk).collect::<String>())
}

#[test]
fn nothing_runs_between_the_commands_of_a_transaction() {
    for (shards, loops) in [(2, 2), (6, 3)] {
        let server = server_of(shards, loops);
        let keys: Vec<String> = (0..8).map(|number| format!("key{number}")).collect();
        let incr: String = keys.iter().map(|key| command(&["INCR", key])).collect();
        let get: String = keys.iter().map(|key| command(&["GET", key])).collect();
        let queued = "+QUEUED\r\n".repeat(8);
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut stream = connect(server.resp());
                    for _ in 0..200 {
                        let request = format!("MULTI\r\n{incr}EXEC\r\n");
                        stream.write_all(request.as_bytes()).expect("it reads");
                        let begin = format!("+OK\r\n{queued}*8\r\n");
                        exchange(&mut stream, b"", begin.as_bytes());
                        let first = ask_line(&mut stream);
                        (0..7).for_each(|_| assert_eq!(ask_line(&mut stream), first));
                    }
                });
            }
            // Plain commands, which must not get in between, and long ones.
            scope.spawn(|| {
                let mut stream = connect(server.resp());
                while !ended.load(Ordering::Acquire) {
                    exchange(&mut stream, b"SET other 1\r\nDEL other\r\n", b"+OK\r\n:1\r\n");
                }
            });
            let mut stream = connect(server.resp());
            let mut last = 0;
            while last < 600 {
                let request = format!("MULTI\r\n{get}EXEC\r\n");
                stream.write_all(request.as_bytes()).expect("it reads");
                exchange(&mut stream, b"", format!("+OK\r\n{queued}*8\r\n").as_bytes());
                let mut values = Vec::new();
                for _ in 0..8 {
                    let head = ask_line(&mut stream);
                    values.push(if head == "$-1" { "0".into() } else { ask_line(&mut stream) });
                }
                assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
                last = values[0].parse().expect("a number");
            }
            ended.store(true, Ordering::Release);
        });
        assert_eq!(ask_value(&mut connect(server.resp()), "key7"), "600");
        server.stop().expect("it ran");
    }
}

/// Reads one line, and no byte more.
fn ask_line(stream: &mut std::net::TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("it replies");
        line.push(byte[0]);
    }
    String::from_utf8(line).expect("text").trim_end().to_owned()
}

fn ask_value(stream: &mut std::net::TcpStream, key: &str) -> String {
    stream.write_all(command(&["GET", key]).as_bytes()).expect("it reads");
    ask_line(stream);
    ask_line(stream)
}

#[test]
fn large_values_come_from_other_loops_a_few_at_a_time() {
    let server = server_of(4, 2);
    let mut stream = connect(server.resp());
    let value = |number: usize| format!("{number:02}").repeat(300_000);
    let mut keys = Vec::new();
    for number in 0..12 {
        let key = format!("large{number}");
        exchange(&mut stream, command(&["SET", &key, &value(number)]).as_bytes(), b"+OK\r\n");
        keys.push(key);
    }
    let bulk = |number| format!("${}\r\n{}\r\n", value(number).len(), value(number));
    let all: String = (0..12).map(bulk).collect();
    let gets: String = keys.iter().map(|key| command(&["GET", key])).collect();
    // What follows on the connection comes behind them.
    exchange(
        &mut stream,
        format!("{gets}PING\r\n").as_bytes(),
        format!("{all}+PONG\r\n").as_bytes(),
    );
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let mget = command(&[&["MGET"][..], &names].concat());
    exchange(&mut stream, mget.as_bytes(), format!("*12\r\n{all}").as_bytes());
    let exists = command(&[&["EXISTS"][..], &names].concat());
    exchange(&mut stream, exists.as_bytes(), b":12\r\n");
    let transaction = format!("MULTI\r\n{mget}EXEC\r\n");
    let replies = format!("+OK\r\n+QUEUED\r\n*1\r\n*12\r\n{all}");
    exchange(&mut stream, transaction.as_bytes(), replies.as_bytes());
    server.stop().expect("it ran");
}

#[test]
fn commands_of_one_connection_keep_their_order_on_any_loop() {
    let server = server_of(3, 3);
    std::thread::scope(|scope| {
        for client in 0..12 {
            let address = server.resp();
            scope.spawn(move || {
                let mut stream = connect(address);
                let (mut request, mut reply) = (String::new(), String::new());
                for number in 0..400 {
                    let key = format!("{client}:{}", number % 37);
                    let value = format!("{number:03}");
                    request += &command(&["SET", &key, &value]);
                    request += &command(&["GET", &key]);
                    reply += &format!("+OK\r\n$3\r\n{value}\r\n");
                    if number % 50 == 0 {
                        request += "PING\r\n";
                        reply += "+PONG\r\n";
                    }
                }
                exchange(&mut stream, request.as_bytes(), reply.as_bytes());
            });
        }
    });
    assert_eq!(ask(&mut connect(server.resp()), "DBSIZE\r\n"), format!(":{}", 12 * 37));
    server.stop().expect("it ran");
}

#[test]
fn lines_are_served_by_any_loop() {
    let server = server_of(4, 2);
    let mut streams: Vec<_> = (0..6).map(|_| connect(server.cheetah())).collect();
    let mut absolutes = Vec::new();
    for number in 0..60 {
        let stream = &mut streams[number % 6];
        let reply = ask(stream, &format!("INSERT value{number}\n"));
        let absolute: u64 =
            reply.strip_prefix("SUCCESS,key=").expect(&reply).parse().expect("a number");
        assert!(!absolutes.contains(&absolute), "{absolute} was given out twice");
        absolutes.push(absolute);
        let stream = &mut streams[(number + 1) % 6];
        let set = ask(stream, &format!("PAIR_SET p{number:02} {absolute}\n"));
        assert_eq!(set, "SUCCESS,pair_set");
    }
    for (number, &absolute) in absolutes.iter().enumerate() {
        for stream in &mut streams {
            let value = format!("value{number}");
            let reply = ask(stream, &format!("READ {absolute}\n"));
            assert_eq!(reply, format!("SUCCESS,size={},value={value}", value.len()));
        }
    }
    let greatest = absolutes.iter().max().expect("some") + 1000;
    assert_eq!(ask(&mut streams[0], &format!("READ {greatest}\n")), "ERROR,key_not_found");
    let one = absolutes[0];
    for (stream, verb) in streams.iter_mut().zip(["DELETE", "READ", "DELETE", "READ"]) {
        let expected = match verb {
            "DELETE" if stream.local_addr().is_ok() => ["SUCCESS,key=", "ERROR,already_deleted"],
            _ => ["ERROR,key_not_found (deleted)", "ERROR,key_not_found (deleted)"],
        };
        let reply = ask(stream, &format!("{verb} {one}\n"));
        assert!(expected.iter().any(|start| reply.starts_with(start)), "{verb}: {reply}");
    }
    let summary = ask(&mut streams[1], "PAIR_SUMMARY p\n");
    // 9 values of 6 bytes, 50 of 7, and one is gone.
    assert!(summary.contains("count=60,total_payload_bytes=404,min_payload_bytes=0"), "{summary}");
    let reduced = ask(&mut streams[2], "PAIR_REDUCE raw p0 2\n");
    assert!(reduced.starts_with("SUCCESS,reducer=raw,count=2,next_cursor=x703031,items=703030:"));
    // A job that one loop works at is every loop's.
    let begun = ask(&mut streams[0], "PAIR_REDUCE_ASYNC raw p 0\n");
    assert_eq!(begun, "SUCCESS,reducer=raw,job=reduce_1,state=queued");
    for stream in &mut streams {
        let state = ask(stream, "PAIR_REDUCE_STATUS reduce_1\n");
        assert!(state.starts_with("SUCCESS,job=reduce_1,state="), "{state}");
    }
    let purged: Vec<String> =
        streams.iter_mut().map(|stream| ask(stream, "PAIR_PURGE p\n")).collect();
    assert_eq!(purged[0], "SUCCESS,purged=60");
    assert!(purged[1..].iter().all(|reply| reply == "SUCCESS,purged=0"));
    server.stop().expect("it ran");
}

#[test]
fn what_other_loops_wrote_is_on_disk_when_it_is_acknowledged() {
    for fsync in [Fsync::Always, Fsync::default(), Fsync::Never] {
        let folder = tempfile::tempdir().expect("a folder");
        let durable = DurableSettings { fsync, segment_bytes: 1 << 20, ..Default::default() };
        let settings = StoreSettings {
            shards: 3,
            memory_bytes: 96 << 20,
            folder: Some(folder.path().into()),
            durable,
        };
        let open = || Store::open(&settings).expect("a store");
        let server = serve(open(), Limits::default(), None, 3);
        std::thread::scope(|scope| {
            for client in 0..6 {
                let address = server.resp();
                scope.spawn(move || {
                    let mut stream = connect(address);
                    for number in 0..20 {
                        let key = format!("{client}:{number}");
                        let set = command(&["SET", &key, "v"]);
                        let late = command(&["EXPIRE", &key, "1000", "NX"]);
                        let all = format!("{set}{late}MULTI\r\n{set}{set}EXEC\r\n");
                        let replies =
                            b"+OK\r\n:1\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n";
                        exchange(&mut stream, all.as_bytes(), replies);
                    }
                });
            }
        });
        // The files as a killed process would leave them.
        let copy = tempfile::tempdir().expect("a folder");
        let status = std::process::Command::new("cp")
            .args(["-r", &format!("{}/.", folder.path().display())])
            .arg(copy.path())
            .status();
        assert!(status.expect("cp").success());
        let left =
            Store::open(&StoreSettings { folder: Some(copy.path().into()), ..settings.clone() });
        let keys: u64 =
            left.expect("a store").shards().iter().map(|shard| shard.shard().usage().keys).sum();
        assert_eq!(keys, 120);
        server.stop().expect("it ran");
        let server = serve(open(), Limits::default(), None, 2);
        assert_eq!(ask(&mut connect(server.resp()), "DBSIZE\r\n"), ":120");
        server.stop().expect("it ran");
    }
}

#[test]
fn a_loop_without_a_shard_is_refused() {
    let settings = StoreSettings { shards: 2, memory_bytes: 64 << 20, ..Default::default() };
    let store = Store::open(&settings).expect("memory");
    let serve = Serve { resp: "127.0.0.1:0".parse().ok(), loops: 3, ..Serve::default() };
    let error = serve.start(store).expect_err("three loops, two shards");
    assert!(matches!(error, ServeError::Loops { loops: 3, shards: 2, .. }), "{error}");
    assert!(error.to_string().contains("--threads"));
}
