//! `pfs run --serve`: clients at the store of a run, while packets come in.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use pfs_kv::frame::{Builder, Operation};
use redis::Commands;

use crate::common::{Live, file, folder, pfs, run, until};

/// A port that nobody has.
fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").expect("binds").local_addr().expect("an address").port()
}

/// Where a run says that it speaks `what`.
fn address(live: &Live, what: &str) -> SocketAddr {
    let (_, rest) = live.told.split_once(&format!("{what} on ")).expect("an address");
    rest.split([',', '\n']).next().expect("an address").trim().parse().expect("an address")
}

/// Sends `count` puts, a frame each, at a pace that no socket loses; their values are their numbers.
fn send(port: u16, count: u64, mut each: impl FnMut(u64)) {
    let sender = UdpSocket::bind("127.0.0.1:0").expect("binds");
    for number in 0..count {
        let (key, value) = (format!("packet:{number}"), number.to_string());
        let put = Operation::Put { key: key.as_bytes(), value: value.as_bytes(), expires: None };
        let mut builder = Builder::new(1400);
        assert!(builder.push(&put));
        let frame = builder.finish(5, number + 1, 0, false);
        sender.send_to(frame, ("127.0.0.1", port)).expect("sends");
        if number % 16 == 15 {
            std::thread::sleep(Duration::from_millis(1));
        }
        each(number);
    }
}

#[test]
fn clients_read_and_write_while_packets_come_in() {
    let folder = folder();
    let (port, store) = (free_port(), folder.path().join("store"));
    let live = Live::start(&format!(
        "--from udp:127.0.0.1:{port} --prog kv,dir={},shards=3 --serve resp=127.0.0.1:0,cheetah=127.0.0.1:0",
        store.display()
    ));
    let resp = address(&live, "RESP");
    let client = redis::Client::open(format!("redis://{resp}/")).expect("an address");
    let ended = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let clients = scope.spawn(|| {
            let mut redis = client.get_connection().expect("connects");
            let mut written = 0_u64;
            while !ended.load(Ordering::Acquire) || written < 200 {
                let () = redis.set(format!("client:{written}"), written).expect("sets");
                let found: u64 = redis.get(format!("client:{written}")).expect("is there");
                assert_eq!(found, written);
                // A packet's key is there with its value, or not yet.
                let packet: Option<u64> = redis.get("packet:77").expect("asks");
                assert!(packet.is_none_or(|value| value == 77), "{packet:?}");
                written += 1;
            }
            written
        });
        send(port, 2000, |_| {});
        ended.store(true, Ordering::Release);
        clients.join().expect("ends")
    });
    let mut redis = client.get_connection().expect("connects");
    until("all packets to be stored", || {
        redis.exists::<_, bool>("packet:1999").expect("asks")
            && redis::cmd("DBSIZE").query::<u64>(&mut redis).expect("asks") == 2000 + written
    });
    for number in 0..2000 {
        assert_eq!(redis.get(format!("packet:{number}")), Ok(number));
    }
    if let Ok(output) = Command::new("redis-cli")
        .args(["-h", "127.0.0.1", "-p", &resp.port().to_string(), "get", "packet:3"])
        .output()
    {
        assert_eq!(String::from_utf8_lossy(&output.stdout), "3\n");
    } else {
        eprintln!("skipped: redis-cli is not installed (apt-get install redis-tools)");
    }
    let mut lines = TcpStream::connect(address(&live, "lines")).expect("connects");
    lines.write_all(b"INSERT a value\nPAIR_SET pair 1\nREAD 1\n").expect("asks");
    let replies: Vec<String> =
        BufReader::new(lines).lines().take(3).map(|line| line.expect("reads")).collect();
    assert!(replies.iter().all(|reply| reply.starts_with("SUCCESS,")), "{replies:?}");
    live.signal(Signal::SIGINT);
    let report = live.end().json();
    assert_eq!(report["books"]["consumed"], 2000, "{report}");
    assert!(report["servers"][0]["commands"].as_u64() >= Some(2000 + 3 * written), "{report}");
    // What both wrote is in the folder.
    let keys = run(&format!("kv scan --dir {}", store.display())).ok();
    assert_eq!(keys.lines().count() as u64, 2000 + written);
    assert_eq!(run(&format!("kv get client:7 --dir {}", store.display())).ok(), "7");
}

#[test]
fn a_plan_has_its_servers_and_their_passwords_place() {
    let folder = folder();
    let (plan, effective) = (folder.path().join("plan.json"), folder.path().join("effective.json"));
    let secret = file(folder.path(), "secret", "hunter2\n");
    run(&format!(
        "plan make --from udp:127.0.0.1:0 --seconds 60 --prog kv --serve resp=127.0.0.1:0,auth=file:{} --output {}",
        secret.display(),
        plan.display()
    ))
    .ok();
    assert!(!std::fs::read_to_string(&plan).expect("reads").contains("hunter2"));
    assert!(run(&format!("plan explain {}", plan.display())).ok().contains("with a password"));
    let words = format!("run --plan {} --plan-out {}", plan.display(), effective.display());
    let live = Live::spawn(pfs(&format!("{words} -v --json --metrics 127.0.0.1:0")));
    let resp = address(&live, "RESP");
    let open = |at: String| redis::Client::open(at).expect("an address").get_connection();
    let told = open(format!("redis://{resp}/")).and_then(|mut redis| redis.get::<_, ()>("a"));
    assert!(told.expect_err("a password").to_string().contains("NOAUTH"));
    let mut redis = open(format!("redis://:hunter2@{resp}/")).expect("connects");
    assert_eq!(redis.set("a", 1), Ok(true));
    live.signal(Signal::SIGTERM);
    live.end().ok();
    let left = crate::common::json_file(&effective);
    assert_eq!(left["granted"]["servers"][0]["resp"], resp.to_string());
    assert_eq!(left["servers"][0]["resp"], "127.0.0.1:0", "it is asked again as it was");
}

#[test]
fn servers_that_cannot_be_are_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let taken = taken.local_addr().expect("an address");
    let from = "--from memory:64,packets=9";
    for (flags, words) in [
        ("--prog crc32c --serve resp=127.0.0.1:0", &["--serve", "no program has a store"][..]),
        ("--prog kv --serve resp=nowhere", &["--serve", "resp="]),
        ("--prog kv --serve port=1", &["unknown field `port`"]),
        ("--prog kv --serve resp=127.0.0.1:0,auth=hunter2", &["env:NAME"]),
    ] {
        let refused = run(&format!("run {from} {flags}")).fails(2, words);
        assert!(!refused.err.contains("hunter2"), "{refused:?}");
    }
    for (code, flags, words) in [
        (2, "resp=0.0.0.0:0".to_owned(), &["servers[0]", "no password"][..]),
        (2, "rule=all".to_owned(), &["servers[0]", "no address"]),
        (2, "rule=none,resp=127.0.0.1:0".to_owned(), &["no rule is called none"]),
        (1, format!("resp={taken}"), &["server of rule all", "another port"]),
        (1, "resp=127.0.0.1:0,auth=env:PFS_NO_SUCH".to_owned(), &["PFS_NO_SUCH holds no password"]),
    ] {
        run(&format!("run {from} --prog kv --serve {flags}")).fails(code, words);
    }
}
