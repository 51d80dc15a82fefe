//! Clients that send what is no request, too much, or do not read.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{connect, exchange, serve, server, server_of, until_closed, wait_until};
use pfs_kv::servers::{Limits, Serve, ServeError};
use pfs_kv::{Store, StoreSettings};

#[test]
fn what_is_no_request_gets_an_error_and_the_end() {
    let server = server(Limits::default(), None, 1);
    for (request, error) in [
        (&b"*x\r\n"[..], "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*1\r\n$67108865\r\n", "invalid bulk length"),
        (b"*1\r\n*1\r\n*1\r\n", "expected '$', got '*'"),
        (b"*1\r\n$-5\r\n", "invalid bulk length"),
        (b"GET \"a\r\n", "unbalanced quotes in request"),
        (&[b'x'; 70_000], "too big inline request"),
    ] {
        // Commands before it are answered.
        let reply = until_closed(server.resp(), &[b"PING\r\n", request].concat());
        let expected = format!("+PONG\r\n-ERR Protocol error: {error}\r\n");
        assert_eq!(String::from_utf8_lossy(&reply), expected);
    }
    let counters = server.stop().expect("it ran");
    assert_eq!((counters.protocol_errors, counters.connections), (7, 0));
}

#[test]
fn a_page_in_a_browser_cannot_give_commands() {
    let server = server(Limits::default(), None, 1);
    let request = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nSET a 1\r\nPAIR_SET a 1\r\n";
    let reply = until_closed(server.resp(), request);
    assert!(reply.starts_with(b"-ERR unknown command 'POST'") && reply.ends_with(b"\r\n"));
    assert_eq!(until_closed(server.cheetah(), request), b"ERROR,this is no HTTP server\n");
    exchange(&mut connect(server.resp()), b"EXISTS a\r\n", b":0\r\n");
    exchange(&mut connect(server.cheetah()), b"PAIR_GET a\n", b"ERROR,not_found\n");
    assert_eq!(server.stop().expect("it ran").protocol_errors, 2);
}

#[test]
fn a_pipeline_cut_at_each_byte_runs_its_whole_commands() {
    let server = server(Limits::default(), None, 1);
    let pipeline =
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nva\r\nl\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n";
    let replies = b"+OK\r\n$5\r\nva\r\nl\r\n+PONG\r\n";
    for cut in 0..pipeline.len() {
        let mut stream = connect(server.resp());
        stream.write_all(&pipeline[..cut]).expect("it reads");
        // The rest comes later, in a read of its own more often than not.
        std::thread::yield_now();
        exchange(&mut stream, &pipeline[cut..], replies);
        // A client that goes away in the middle does no harm.
        let mut other = connect(server.resp());
        other.write_all(&pipeline[..cut]).expect("it reads");
    }
    let counters = server.stop().expect("it ran");
    assert_eq!(counters.protocol_errors, 0);
}

#[test]
fn large_values_go_in_and_come_out() {
    let server = server(Limits::default(), None, 1);
    let mut stream = connect(server.resp());
    let value: Vec<u8> =
        (0..20 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let header = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", value.len());
    stream.write_all(header.as_bytes()).expect("it reads");
    stream.write_all(&value).expect("it reads");
    exchange(&mut stream, b"\r\n", b"+OK\r\n");
    // Two replies that do not fit the socket, and commands between and behind them.
    stream.write_all(b"GET k\r\nPING\r\nGET k\r\nPING\r\n").expect("it reads");
    let one = [format!("${}\r\n", value.len()).as_bytes(), &value, b"\r\n+PONG\r\n"].concat();
    let mut reply = vec![0; one.len() * 2];
    stream.read_exact(&mut reply).expect("both");
    assert!(reply[..one.len()] == one && reply[one.len()..] == one);
    let limits = Limits { reply_bytes: 1 << 20, ..Limits::default() };
    drop(server.stop());
    let server = common::server(limits, None, 1);
    let mut stream = connect(server.resp());
    let set =
        [&b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$400000\r\n"[..], &value[..400_000], b"\r\n"].concat();
    exchange(&mut stream, &set, b"+OK\r\n");
    exchange(
        &mut stream,
        b"MGET k k k\r\nPING\r\n",
        b"-ERR reply larger than this server gives; ask for fewer keys\r\n+PONG\r\n",
    );
    server.stop().expect("it ran");
}

#[test]
fn replies_of_every_size_keep_their_order_on_many_connections() {
    for loops in [1, 2] {
        let server = server_of(loops, loops as usize);
        let mut streams: Vec<_> = (0..90).map(|_| connect(server.resp())).collect();
        // From what is gathered to what does not fit a socket.
        let sizes = [0, 3, 900, 20_000, 70_000, 400_000];
        for (index, size) in sizes.into_iter().enumerate() {
            let head = format!("*3\r\n$3\r\nSET\r\n$2\r\nk{index}\r\n${size}\r\n");
            let set = [head.as_bytes(), &vec![b'a' + index as u8; size], b"\r\n"].concat();
            exchange(&mut streams[0], &set, b"+OK\r\n");
        }
        let script = |turn: usize| {
            let (mut request, mut reply) = (Vec::new(), Vec::new());
            for step in 0..12 {
                let index = turn * 7 + step * step;
                let which = index % if turn.is_multiple_of(8) { 6 } else { 3 };
                request.extend_from_slice(format!("ECHO {step}\r\nGET k{which}\r\n").as_bytes());
                let (echo, size) = (step.to_string(), sizes[which]);
                reply.extend_from_slice(format!("${}\r\n{echo}\r\n", echo.len()).as_bytes());
                reply.extend_from_slice(format!("${size}\r\n").as_bytes());
                reply.resize(reply.len() + size, b'a' + which as u8);
                reply.extend_from_slice(b"\r\n");
            }
            (request, reply)
        };
        for (turn, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&script(turn).0).expect("the server reads");
        }
        for (turn, stream) in streams.iter_mut().enumerate() {
            let expected = script(turn).1;
            let mut reply = vec![0; expected.len()];
            stream.read_exact(&mut reply).expect("the server replies");
            assert!(reply == expected, "connection {turn}, {loops} loops");
            exchange(stream, b"QUIT\r\n", b"+OK\r\n");
        }
        server.stop().expect("it ran");
    }
}

#[test]
fn a_client_that_never_reads_is_dropped_and_others_go_on() {
    let stall = Duration::from_millis(300);
    let limits = Limits { output_bytes: 64 << 10, stall, ..Limits::default() };
    let server = server(limits, None, 1);
    let mut stream = connect(server.resp());
    let set =
        [&b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n"[..], &[b'v'; 100_000], b"\r\n"].concat();
    exchange(&mut stream, &set, b"+OK\r\n");
    let mut deaf = connect(server.resp());
    deaf.set_write_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    // It asks until the server no longer reads: replies that wait are bounded.
    let gets = b"GET k\r\n".repeat(1000);
    while let Ok(()) = deaf.write_all(&gets) {}
    exchange(&mut stream, b"PING\r\n", b"+PONG\r\n");
    wait_until("it is dropped", || server.counters().dropped_stalled == 1);
    exchange(&mut stream, b"PING\r\n", b"+PONG\r\n");
    let mut log = connect(server.cheetah());
    let mut text = [0; 2000];
    log.write_all(b"LOG_FLUSH\n").expect("it reads");
    wait_until("the reason is told", || {
        let count = log.read(&mut text).expect("it replies");
        String::from_utf8_lossy(&text[..count]).contains("the client does not read")
    });
    server.stop().expect("it ran");
}

#[test]
fn too_many_connections_are_told_so() {
    let limits = Limits { connections: 3, ..Limits::default() };
    let server = server(limits, None, 1);
    let mut open: Vec<_> = (0..3).map(|_| connect(server.resp())).collect();
    open.iter_mut().for_each(|stream| exchange(stream, b"PING\r\n", b"+PONG\r\n"));
    assert_eq!(until_closed(server.resp(), b""), b"-ERR max number of clients reached\r\n");
    assert_eq!(until_closed(server.cheetah(), b""), b"ERROR,too_many_connections\n");
    open.pop();
    wait_until("there is room again", || server.counters().connections == 2);
    exchange(&mut connect(server.resp()), b"PING\r\n", b"+PONG\r\n");
    assert_eq!(server.stop().expect("it ran").refused, 2);
}

#[test]
fn buffers_together_are_bounded() {
    let limits = Limits { buffer_bytes: 8 << 20, ..Limits::default() };
    let server = server(limits, None, 1);
    let mut stream = connect(server.resp());
    // A long value, announced and half sent.
    let header = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$50000000\r\n";
    stream.write_all(header).expect("it reads");
    let piece = vec![b'v'; 1 << 20];
    let mut sent = 0;
    while sent < 40 && stream.write_all(&piece).is_ok() {
        sent += 1;
    }
    wait_until("it is dropped", || server.counters().dropped_memory == 1);
    exchange(&mut connect(server.resp()), b"PING\r\n", b"+PONG\r\n");
    server.stop().expect("it ran");
}

#[test]
fn quiet_clients_are_dropped_when_asked_for() {
    let limits = Limits { idle: Duration::from_millis(100), ..Limits::default() };
    let server = server(limits, None, 1);
    assert_eq!(until_closed(server.resp(), b"PING\r\n"), b"+PONG\r\n");
    assert_eq!(server.stop().expect("it ran").dropped_idle, 1);
}

#[test]
fn full_memory_refuses_writes_and_reads_go_on() {
    let settings = StoreSettings { memory_bytes: 16 << 20, ..StoreSettings::default() };
    let server = serve(Store::open(&settings).expect("memory"), Limits::default(), None, 1);
    let mut stream = connect(server.resp());
    exchange(&mut stream, b"SET first 1\r\n", b"+OK\r\n");
    let mut refused = false;
    for number in 0..1000 {
        let set =
            format!("*3\r\n$3\r\nSET\r\n$8\r\n{number:08}\r\n$65536\r\n{}\r\n", "v".repeat(65536));
        stream.write_all(set.as_bytes()).expect("it reads");
        let mut reply = [0; 200];
        let count = stream.read(&mut reply).expect("it replies");
        refused = reply[..count].starts_with(b"-OOM ");
        if refused {
            break;
        }
    }
    assert!(refused, "64 MiB went into 16");
    exchange(&mut stream, b"GET first\r\n", b"$1\r\n1\r\n");
    server.stop().expect("it ran");
}

#[test]
fn addresses_that_others_can_reach_need_a_password() {
    let store =
        || Store::open(&StoreSettings { memory_bytes: 16 << 20, ..StoreSettings::default() });
    let open = Serve { resp: "0.0.0.0:0".parse().ok(), ..Serve::default() };
    let error = open.start(store().expect("memory")).expect_err("no password");
    assert!(matches!(error, ServeError::Unprotected(_)), "{error}");
    let error = Serve::default().start(store().expect("memory")).expect_err("no address");
    assert!(matches!(error, ServeError::NoAddress), "{error}");
    let server = server(Limits::default(), None, 1);
    let taken = Serve { resp: server.resp(), ..Serve::default() };
    let error = taken.start(store().expect("memory")).expect_err("taken");
    assert!(matches!(error, ServeError::Listen { .. }), "{error}");
    server.stop().expect("it ran");
}

/// Not a test of its own: the process that `ten_thousand_idle_connections` talks to.
#[test]
#[ignore = "started by ten_thousand_idle_connections, in a process of its own"]
fn serve_until_the_end_of_input() {
    let server = server(Limits::default(), None, 1);
    println!("\nRESP {}", server.resp().expect("it listens"));
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).expect("the end of input");
    server.stop().expect("it ran");
}

#[test]
fn ten_thousand_idle_connections() {
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
        .expect("a limit");
    let connections = 10_000.min(hard.saturating_sub(200)) as usize;
    if connections < 10_000 {
        eprintln!("only {connections} connections: `ulimit -Hn` is {hard}");
    }
    nix::sys::resource::setrlimit(
        nix::sys::resource::Resource::RLIMIT_NOFILE,
        connections as u64 + 200,
        hard,
    )
    .expect("more files");
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "serve_until_the_end_of_input", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test again");
    let mut out = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.starts_with("RESP ") {
        line.clear();
        std::io::BufRead::read_line(&mut out, &mut line).expect("its address");
    }
    let address = line.trim_start_matches("RESP ").trim().parse().ok();
    let mut streams: Vec<_> = (0..connections).map(|_| connect(address)).collect();
    for stream in streams.iter_mut().step_by(97) {
        exchange(stream, b"PING\r\n", b"+PONG\r\n");
    }
    let resident =
        std::fs::read_to_string(format!("/proc/{}/statm", child.id())).expect("its memory");
    let pages: usize = resident.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number");
    // The kernel's own memory of sockets is not the process's.
    assert!(pages * 4096 < 64 << 20, "{} KiB", pages * 4);
    drop(streams);
    drop(child.stdin.take());
    assert!(child.wait().expect("its end").success());
}

#[test]
fn fuzzed_bytes_do_not_stop_the_server() {
    let server = server(Limits::default(), None, 1);
    let mut random = 88_172_645_463_325_252_u64;
    for round in 0..60 {
        let mut bytes = Vec::new();
        while bytes.len() < 400 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let words = [
                &b"*3\r\n"[..],
                b"$3\r\nSET\r\n",
                b"GET a\r\n",
                b"MULTI\r\n",
                b"EXEC\r\n",
                b"PAIR_SET a 1\n",
                b"SCAN 0\r\n",
                b"HELLO 3\r\n",
            ];
            match random % 16 {
                index @ 0..8 => bytes.extend_from_slice(words[index as usize]),
                _ => bytes.push((random >> 32) as u8),
            }
        }
        for address in [server.resp(), server.cheetah()] {
            let mut stream = connect(address);
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut reply = Vec::new();
            match stream.read_to_end(&mut reply) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "round {round}"),
            }
        }
    }
    exchange(&mut connect(server.resp()), b"PING\r\n", b"+PONG\r\n");
    server.stop().expect("it ran");
}
