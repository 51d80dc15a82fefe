//! `pfs run --replies`: operations in datagrams that are answered while the run goes on.

use std::net::UdpSocket;
use std::time::Duration;

use nix::sys::signal::Signal;
use pfs_kv::frame::{Builder, Frame, Operation, Status};

use crate::common::{Live, folder, json_file, run};

/// A port that nobody has.
fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").expect("binds").local_addr().expect("an address").port()
}

/// What an operation is answered; it is asked again, under a new sequence, until it is.
fn ask(client: &UdpSocket, sequence: &mut u64, operation: &Operation<'_>) -> (Status, Vec<u8>) {
    let mut bytes = [0; 2048];
    for _ in 0..100 {
        *sequence += 1;
        let mut builder = Builder::new(1400);
        assert!(builder.push(operation));
        client.send(builder.finish(77, *sequence, 0, true)).expect("sends");
        let Ok(len) = client.recv(&mut bytes) else { continue };
        let frame = Frame::parse(&bytes[..len]).expect("a frame");
        assert!(frame.is_reply() && frame.sender() == 77);
        if frame.sequence() == *sequence {
            let outcome = frame.outcomes().next().expect("an outcome");
            return (outcome.status, outcome.value.to_vec());
        }
    }
    panic!("no answer")
}

#[test]
fn a_live_run_answers_and_counts() {
    let folder = folder();
    let (port, store) = (free_port(), folder.path().join("store"));
    let program = format!("kv,dir={}", store.display());
    let words = format!("--from udp:127.0.0.1:{port} --prog {program} --replies udp");
    let live = Live::start(&words);
    let client = UdpSocket::bind("127.0.0.1:0").expect("binds");
    client.connect(("127.0.0.1", port)).expect("connects");
    client.set_read_timeout(Some(Duration::from_millis(500))).expect("sets");
    let mut sequence = 0;
    let get = Operation::Get { key: b"key" };
    assert_eq!(ask(&client, &mut sequence, &get), (Status::NotFound, Vec::new()));
    let put = Operation::Put { key: b"key", value: b"a value", expires: None };
    assert_eq!(ask(&client, &mut sequence, &put), (Status::Done, Vec::new()));
    assert_eq!(ask(&client, &mut sequence, &get), (Status::Done, b"a value".to_vec()));
    live.signal(Signal::SIGINT);
    let report = live.end().json();
    let counters = &report["results"][0]["engines"][0]["counters"];
    assert!(counters["replies_sent"].as_u64() >= Some(3), "{counters}");
    assert_eq!(counters["gets_refused"], 0, "{counters}");
    // What was acknowledged is there.
    assert_eq!(run(&format!("kv get key --dir {}", store.display())).ok(), "a value");
}

#[test]
fn ways_that_lead_nowhere_are_refused() {
    let folder = folder();
    let plan = folder.path().join("plan.json");
    let made = run("plan make --from udp:127.0.0.1:0 --prog kv --replies udp").json();
    assert_eq!(made["sinks"]["replies"][0]["to"]["udp"]["datagram_bytes"], 1472);
    assert_eq!(made["rules"][0]["replies"], "replies");
    for (flags, words) in [
        ("--prog crc32c --replies udp", &["--replies udp", "no program has answers"][..]),
        ("--prog kv --replies pigeon:x", &["pigeon", "af_packet:INTERFACE"]),
        ("--prog kv --replies udp:,mtu=3", &["unknown field `mtu`"]),
    ] {
        run(&format!("plan make --from memory:64,packets=1 {flags}")).fails(2, words);
    }
    for (flags, words) in [
        (
            "memory:64,packets=1 --prog kv --replies udp",
            &["sinks.replies[0]", "no source is udp"][..],
        ),
        ("udp:127.0.0.1:0,gro=true --prog kv --replies udp", &["gro", "leave gro out"]),
        ("udp:127.0.0.1:0 --prog kv --replies udp:,datagram_bytes=9", &["datagram_bytes 9"]),
        ("udp:127.0.0.1:0 --prog kv --replies af_packet:nowhere", &["nowhere", "does not exist"]),
    ] {
        run(&format!("plan make --from {flags} --output {}", plan.display())).ok();
        let checked = run(&format!("plan check {}", plan.display()));
        assert_eq!(checked.code, 1, "{checked:?}");
        assert!(words.iter().all(|word| checked.out.contains(word)), "{words:?}: {checked:?}");
    }
    // A capture is answered into a capture.
    let file = folder.path().join("replies.pcap");
    let flags = format!("--from memory:64,packets=9 --prog kv --replies pcap:{}", file.display());
    let report = run(&format!("run {flags} --json")).json();
    assert_eq!(report["results"][0]["engines"][0]["counters"]["torn"], 9);
    assert!(file.exists());
    run(&format!("plan make {flags} --output {}", plan.display())).ok();
    assert_eq!(json_file(&plan)["sinks"]["replies"][0]["name"], "replies");
}
