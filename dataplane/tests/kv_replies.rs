//! Answers to key/value operations in datagrams: over sockets and links, equal to a model, and what
//! is not answered is counted.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod common;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use common::{Mode, all, modes, open, rounds, spec};
use pfs_dataplane::link::Link;
use pfs_dataplane::netns::{NetNs, VethOptions, ip, run};
use pfs_dataplane::ops::Engines;
use pfs_dataplane::ops::kv::pfs_kv::frame::{Builder, Frame, Operation, Status};
use pfs_dataplane::packet::Rule;
use pfs_dataplane::receivers::udp::{UdpReceiver, UdpSpec};
use pfs_dataplane::receivers::{Receiver, SourceSpec};
use pfs_dataplane::run::{RunReport, Running, WorkerKit, start};
use pfs_dataplane::transmitters::af_packet::AfPacketTxSpec;
#[cfg(feature = "af-xdp")]
use pfs_dataplane::transmitters::replies::AfXdpReplySpec;
use pfs_dataplane::transmitters::replies::{ReplySink, ReplySpec, UdpReplySpec};

/// How long a reply may take that is not known to be lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts a run of `program` whose answers go through `replies`.
fn serve(source: Receiver, rules: &[Rule], mode: Mode, replies: &ReplySpec) -> Running {
    let mut spec = spec(source, rules, mode);
    let engines = Engines::load(spec.programs.iter().map(|program| &program.program)).unwrap();
    let of_rule = |program: &_| {
        let sockets = spec.receivers.iter().map(|slot| slot.source.reply_socket().unwrap());
        let sink = ReplySink::open(replies, 0, sockets.collect()).unwrap();
        engines.make_answering(program, Some(sink))
    };
    let engines = spec.programs.iter().map(|program| of_rule(&program.program)).collect();
    spec.kits = vec![WorkerKit { engines, ..WorkerKit::default() }];
    start(spec).unwrap()
}

/// A run behind a UDP socket on loopback, and a client of it.
fn over_udp(program: &str, mode: Mode, replies: UdpReplySpec) -> (Running, UdpSocket) {
    let mut spec = UdpSpec::new((Ipv4Addr::LOCALHOST, 0).into());
    spec.frame_bytes = 65_536;
    spec.frames = 256;
    let source = UdpReceiver::open(&spec).unwrap();
    let to = source.local_addr();
    let running = serve(Receiver::Udp(source), &all(program), mode, &ReplySpec::Udp(replies));
    (running, client((Ipv4Addr::LOCALHOST, 0).into(), to))
}

fn client(from: SocketAddr, to: SocketAddr) -> UdpSocket {
    let client = UdpSocket::bind(from).unwrap();
    client.connect(to).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// The counters of the run's only `kv` op.
fn counters(report: &RunReport) -> BTreeMap<String, u64> {
    assert_eq!(report.books.residual, 0, "{:?}", report.books);
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    report.results[0].engines[0].counters.clone()
}

fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut bytes = vec![0; 65_536];
    loop {
        match client.recv(&mut bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            received => {
                bytes.truncate(received.expect("an answer comes"));
                return bytes;
            }
        }
    }
}

/// Sends a frame and gathers its answers, by the place of their operation.
fn ask(
    client: &UdpSocket,
    (sender, sequence): (u64, u64),
    operations: &[Operation<'_>],
    answer_all: bool,
) -> BTreeMap<u16, (Status, Vec<u8>)> {
    let mut builder = Builder::new(65_000);
    assert!(operations.iter().all(|operation| builder.push(operation)));
    client.send(builder.finish(sender, sequence, 0, answer_all)).unwrap();
    let gets = operations.iter().filter(|one| matches!(one, Operation::Get { .. })).count();
    let expected = if answer_all { operations.len() } else { gets };
    let mut answers = BTreeMap::new();
    while answers.len() < expected {
        let bytes = receive(client);
        let frame = Frame::parse(&bytes).expect("a frame");
        assert!(frame.is_reply());
        assert_eq!((frame.sender(), frame.sequence(), frame.lane()), (sender, sequence, 0));
        for outcome in frame.outcomes() {
            let answer = (outcome.status, outcome.value.to_vec());
            assert_eq!(answers.insert(outcome.index, answer), None, "answered twice");
        }
    }
    answers
}

/// Numbers that are the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// Frames of up to `most` random operations, each answer held against a model.
fn equals_a_model(client: &UdpSocket, sender: u64, frames: u64, most: u64) {
    let mut numbers = Numbers(sender);
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for sequence in 1..=frames {
        let answer_all = numbers.next().is_multiple_of(2);
        let drawn: Vec<(u64, Vec<u8>, Vec<u8>)> = (0..1 + numbers.next() % most)
            .map(|_| {
                let key = format!("key{}", numbers.next() % 300).into_bytes();
                let value = vec![numbers.next() as u8; (numbers.next() % 250) as usize];
                (numbers.next() % 5, key, value)
            })
            .collect();
        let operations: Vec<Operation<'_>> = drawn
            .iter()
            .map(|(kind, key, value)| match kind {
                0 | 1 => Operation::Put { key, value, expires: None },
                2 => Operation::Delete { key },
                _ => Operation::Get { key },
            })
            .collect();
        let answers = ask(client, (sender, sequence), &operations, answer_all);
        for (index, (kind, key, value)) in (0..).zip(&drawn) {
            let (status, found) = match kind {
                0 | 1 => {
                    model.insert(key.clone(), value.clone());
                    (Status::Done, Vec::new())
                }
                2 => match model.remove(key) {
                    Some(_) => (Status::Done, Vec::new()),
                    None => (Status::NotFound, Vec::new()),
                },
                _ => match model.get(key) {
                    Some(value) => (Status::Done, value.clone()),
                    None => (Status::NotFound, Vec::new()),
                },
            };
            let expected = (answer_all || *kind > 2).then_some((status, found));
            assert_eq!(answers.get(&index), expected.as_ref(), "frame {sequence}, {index}");
        }
    }
}

#[test]
fn answers_over_a_socket_equal_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let frames = rounds(300);
    for (at, mode) in modes().into_iter().enumerate() {
        for (sync, store) in
            ["", ",fsync=always", ",fsync=never", ",fsync=group:500:64KiB"].into_iter().zip([
                "kv,shards=3".to_owned(),
                "kv,dir=".to_owned(),
                "kv,dir=".to_owned(),
                "kv,shards=2,dir=".to_owned(),
            ])
        {
            let dir = folder.path().join(format!("{at}{}", sync.replace([':', ',', '='], "-")));
            let program = match store.strip_suffix("dir=") {
                Some(store) => format!("{store}dir={}{sync}", dir.display()),
                None => store,
            };
            let frames = if sync.is_empty() { frames } else { frames / 10 + 1 };
            let (running, client) = over_udp(&program, mode, UdpReplySpec::default());
            equals_a_model(&client, 7, frames, 40);
            running.stop();
            let counters = counters(&running.join());
            assert_eq!((counters["frames"], counters["gets_refused"]), (frames, 0), "{program}");
            assert!(counters["answers"] > 0 && counters["replies_sent"] > 0, "{counters:?}");
            assert_eq!(counters["replies_dropped"] + counters["replies_failed"], 0, "{program}");
        }
    }
}

#[test]
fn answers_in_several_datagrams_and_errors() {
    let replies = UdpReplySpec { datagram_bytes: 600 };
    let (running, client) = over_udp("kv,memory=16MiB", modes()[0], replies);
    let value = [7; 400];
    let keys: Vec<[u8; 2]> = (0..20_u16).map(u16::to_be_bytes).collect();
    let puts: Vec<Operation<'_>> =
        keys.iter().map(|key| Operation::Put { key, value: &value, expires: None }).collect();
    let answers = ask(&client, (1, 1), &puts, true);
    assert!(answers.values().all(|answer| *answer == (Status::Done, Vec::new())));
    let gets: Vec<Operation<'_>> = keys.iter().map(|key| Operation::Get { key }).collect();
    let answers = ask(&client, (1, 2), &gets, false);
    assert!(answers.values().all(|answer| *answer == (Status::Done, value.to_vec())));

    // Its value fits the request and no reply.
    let put = Operation::Put { key: b"large", value: &[1; 561], expires: None };
    ask(&client, (1, 3), &[put], true);
    let get = Operation::Get { key: b"large" };
    let absent = Operation::Get { key: b"absent" };
    let answers = ask(&client, (1, 4), &[get, absent], false);
    assert_eq!(answers[&0], (Status::TooLarge, Vec::new()));
    assert_eq!(answers[&1], (Status::NotFound, Vec::new()));

    // What came before is not executed again, and not answered again.
    let mut builder = Builder::new(600);
    assert!(builder.push(&absent));
    client.send(builder.finish(1, 4, 0, true)).unwrap();
    let mut sequence = 4;
    let full = loop {
        sequence += 1;
        let key = u64::to_be_bytes(sequence);
        let put = Operation::Put { key: &key, value: &[2; 60_000], expires: None };
        match ask(&client, (1, sequence), &[put], true)[&0].0 {
            Status::Done => {}
            status => break status,
        }
        assert!(sequence < 1000, "16 MiB are full by then");
    };
    assert_eq!(full, Status::Full);
    running.stop();
    let counters = counters(&running.join());
    assert_eq!((counters["replayed"], counters["full"], counters["replies_dropped"]), (1, 1, 0));
    assert!(counters["replies_sent"] > 20 + sequence - 2, "one value fits a datagram");
}

#[test]
fn texts_are_answered_in_their_own_words() {
    let exchange = |client: &UdpSocket, asked: &[u8]| {
        client.send(asked).unwrap();
        String::from_utf8(receive(client)).unwrap()
    };
    let (running, client) = over_udp("kv:resp", modes()[0], UdpReplySpec { datagram_bytes: 200 });
    let asked = b"SET a 1\r\nGET a\r\nGET b\r\nMSET c 2 d 3\r\nMGET a x d\r\nDEL a x c\r\n";
    let said = "+OK\r\n$1\r\n1\r\n$-1\r\n+OK\r\n*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n3\r\n:2\r\n";
    assert_eq!(exchange(&client, asked), said);
    let refused = exchange(&client, b"FLUSHALL\r\n");
    assert!(refused.starts_with("-ERR not available"), "{refused}");
    let cut = exchange(&client, b"GET d\r\n*2\r\n$3\r\nGET\r\n");
    assert!(cut.starts_with("$1\r\n3\r\n-ERR Protocol error"), "{cut}");
    let large = [b"*3\r\n$3\r\nSET\r\n$1\r\nl\r\n$300\r\n".as_slice(), &[b'x'; 300], b"\r\n"];
    assert_eq!(exchange(&client, &large.concat()), "+OK\r\n");
    assert_eq!(exchange(&client, b"GET l\r\n"), "-ERR the reply is too large for a datagram\r\n");
    // Two that answer each other's answers would never end.
    client.send(b"-ERR what\r\n").unwrap();
    client.send(b"+OK\r\n").unwrap();
    assert_eq!(exchange(&client, b"GET d\r\n"), "$1\r\n3\r\n");
    running.stop();
    let seen = counters(&running.join());
    assert_eq!((seen["replies"], seen["gets_refused"], seen["unsupported"]), (2, 0, 1));

    let (running, client) = over_udp("kv:cheetah", modes()[0], UdpReplySpec::default());
    let asked = b"INSERT one\nREAD 1\nEDIT 1 uno\nPAIR_SET xff00 1\nPAIR_GET xff00\nPAIR_GET no\n";
    let said = "SUCCESS,key=1\nSUCCESS,size=3,value=one\nSUCCESS,key=1_updated\nSUCCESS,pair_set\nSUCCESS,key=1\nERROR,not_found\n";
    assert_eq!(exchange(&client, asked), said);
    let asked = b"READ 1\nREAD 9\nDELETE 1\nPAIR_DEL xff00\nSYSTEM_STATS\nPAIR_SET xzz 1\nREAD 1\n";
    let said = exchange(&client, asked);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..2], ["SUCCESS,size=3,value=uno", "ERROR,key_not_found"]);
    assert_eq!(lines[2..4], ["SUCCESS,key=1_deleted", "SUCCESS,pair_deleted"]);
    assert_eq!(lines[4], "ERROR,not_available:in_a_datagram");
    assert!(lines[5].starts_with("ERROR,invalid_hex_value") && lines.len() == 6, "{said}");
    client.send(b"ERROR,not_found\n").unwrap();
    running.stop();
    assert_eq!(counters(&running.join())["malformed"], 1);
}

/// A pair of which `a` has the kernel's stack and `b` is the run's; none where the host refuses.
fn pair(queues: u32) -> Option<NetNs> {
    let namespace = NetNs::enter().map_err(|reason| println!("skipped: {reason}")).ok()?;
    namespace.veth_pair("a", "b", VethOptions { queues, mtu: 1500 }).unwrap();
    ip("addr add 10.9.0.1/24 dev a").unwrap();
    let mac = Link::find("b").unwrap().mac.map(|octet| format!("{octet:02x}")).join(":");
    ip(&format!("neigh add 10.9.0.2 lladdr {mac} dev a nud permanent")).unwrap();
    Some(namespace)
}

/// Where the run on `b` is, for the client on `a`.
fn peer() -> (SocketAddr, SocketAddr) {
    ((Ipv4Addr::new(10, 9, 0, 1), 0).into(), (Ipv4Addr::new(10, 9, 0, 2), 4000).into())
}

fn to_port() -> Vec<Rule> {
    let mut rules = all("kv,shards=2");
    rules[0].matches = serde_json::from_str(r#"{"destination_ports": 4000}"#).unwrap();
    rules
}

fn link_replies() -> Vec<ReplySpec> {
    let packet = ReplySpec::AfPacket(AfPacketTxSpec::new("b"));
    #[cfg(feature = "af-xdp")]
    let xdp = [ReplySpec::AfXdp(AfXdpReplySpec {
        interface: "b".into(),
        queue: 1,
        zero_copy: Default::default(),
    })];
    #[cfg(not(feature = "af-xdp"))]
    let xdp = [];
    [packet].into_iter().chain(xdp).collect()
}

/// Sources on queue 0 of `b` alone, so that another is free to send.
fn link_sources() -> Vec<SourceSpec> {
    let mut sources = common::link_sources("b");
    for source in &mut sources {
        if let SourceSpec::AfXdp(spec) = source {
            spec.queues = serde_json::from_str("[0]").unwrap();
        }
    }
    sources
}

#[test]
fn answers_over_a_link_equal_a_model() {
    let Some(_namespace) = pair(2) else { return };
    // One queue receives; the kernel's side hashes over both of its own.
    drop(run("ethtool", &["-L", "a", "tx", "1"]));
    for source in link_sources() {
        for replies in link_replies() {
            let mode = *modes().last().unwrap();
            let receiver = open(&source);
            let running = serve(receiver, &to_port(), mode, &replies);
            let (from, to) = peer();
            let client = client(from, to);
            // Fragments are not put together.
            equals_a_model(&client, 9, rounds(300), 5);
            running.stop();
            let counters = counters(&running.join());
            let what = format!("{} by {}", source.backend(), replies.kind());
            assert_eq!(counters["frames"], rounds(300), "{what}: {counters:?}");
            assert!(counters["replies_sent"] >= rounds(300) / 2, "{what}: {counters:?}");
            let lost = ["replies_dropped", "replies_failed", "no_way_back"];
            assert!(lost.iter().all(|name| counters[*name] == 0), "{what}: {counters:?}");
        }
    }
}

#[test]
fn a_full_way_out_drops_and_counts_and_never_holds_up() {
    let Some(_namespace) = pair(1) else { return };
    let slow = [
        "qdisc", "add", "dev", "b", "root", "tbf", "rate", "8kbit", "burst", "2000", "limit",
        "1000000",
    ];
    if let Err(error) = run("tc", &slow) {
        return println!("skipped: {error}");
    }
    let source = open(&common::link_sources("b")[0]);
    let replies =
        AfPacketTxSpec { ring_slots: 64, qdisc_bypass: false, ..AfPacketTxSpec::new("b") };
    let mode = *modes().last().unwrap();
    let running = serve(source, &to_port(), mode, &ReplySpec::AfPacket(replies));
    let (from, to) = peer();
    let client = client(from, to);
    let (mut builder, frames) = (Builder::new(1400), 600_u64);
    for sequence in 1..=frames {
        builder.clear();
        let key = sequence.to_be_bytes();
        assert!(builder.push(&Operation::Put { key: &key, value: &[1; 1000], expires: None }));
        assert!(builder.push(&Operation::Get { key: &key }));
        client.send(builder.finish(3, sequence, 0, false)).unwrap();
        if sequence.is_multiple_of(16) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    // All are executed though hardly a reply has left.
    let done = || {
        let engines = running.snapshot().engines;
        let at = |name| engines[0].table.iter().position(|one| one.name == name).unwrap();
        engines[0].values[at("frames")]
    };
    let began = std::time::Instant::now();
    while done() < frames && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    running.stop();
    let counters = counters(&running.join());
    assert_eq!((counters["frames"], counters["answers"]), (frames, frames), "{counters:?}");
    assert_eq!(counters["replies_sent"] + counters["replies_dropped"], frames, "{counters:?}");
    assert!(counters["replies_dropped"] > 0, "{counters:?}");
}

#[test]
fn who_cannot_be_answered_is_counted() {
    // A capture's frames lead nowhere: there is no socket that they came to.
    let (running, client) = over_udp("kv", modes()[0], UdpReplySpec::default());
    let answers = ask(&client, (1, 1), &[Operation::Get { key: b"a" }], false);
    assert_eq!(answers[&0].0, Status::NotFound);
    running.stop();
    assert_eq!(counters(&running.join())["no_way_back"], 0);
    let Some(_namespace) = pair(1) else { return };
    let source = open(&common::link_sources("b")[0]);
    let replies = ReplySpec::AfPacket(AfPacketTxSpec::new("b"));
    let running = serve(source, &to_port(), modes()[0], &replies);
    let client = UdpSocket::bind(peer().0).unwrap();
    client.set_broadcast(true).unwrap();
    let mut builder = Builder::new(600);
    assert!(builder.push(&Operation::Get { key: b"a" }));
    client.send_to(builder.finish(1, 1, 0, true), (Ipv4Addr::new(10, 9, 0, 255), 4000)).unwrap();
    let frames = || running.snapshot().books().consumed;
    let began = std::time::Instant::now();
    while frames() == 0 && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    running.stop();
    let counters = counters(&running.join());
    assert_eq!((counters["gets"], counters["no_way_back"], counters["replies_sent"]), (1, 1, 0));
}
