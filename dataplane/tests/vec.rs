//! The op `vec`: records with vectors from every source to collections, beside what is none, and found
//! as soon as they are written.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod common;

use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{
    Mode, Random, all, compiled, modes, open, run_live, save, send_gently, spec, udp_frame,
    with_engines,
};
use pfs_dataplane::netns::{NetNs, VethOptions};
use pfs_dataplane::ops::vec::pfs_vec::frame::{
    Conditions, Cutter, Frame, HEADER, Ids, MessageBuilder, Operation, Outcome, Status, Vector,
    WordsOf, encode, encode_ids, outcomes,
};
use pfs_dataplane::ops::vec::pfs_vec::{
    Association, Collection, Direction, Element, Options, Query, Settings,
};
use pfs_dataplane::ops::{Engines, OpError};
use pfs_dataplane::pcpu::Program;
use pfs_dataplane::receivers::memory::MemorySpec;
use pfs_dataplane::receivers::pcap::PcapSpec;
use pfs_dataplane::receivers::udp::{UdpReceiver, UdpSpec};
use pfs_dataplane::receivers::{Receiver, SourceSpec};
use pfs_dataplane::run::{RunReport, Running, WorkerKit, start};
use pfs_dataplane::transmitters::af_packet::{AfPacketTransmitter, AfPacketTxSpec};
use pfs_dataplane::transmitters::replies::{ReplySink, ReplySpec, UdpReplySpec};
use pfs_dataplane::transmitters::udp::{UdpSender, UdpSinkSpec};

const DIM: u16 = 48;
const RECORDS: u64 = 400;
/// How long an answer may take that is not known to be lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// A folder with the collection `notes`.
fn collections() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    make(&folder.path().join("notes"));
    folder
}

fn make(path: &Path) {
    let settings = Settings { memory_rows: 128, ..Settings::new(DIM.into()) };
    drop(Collection::create(path, &settings, Options::default()).unwrap());
}

fn program(folder: &Path) -> String {
    format!("vec:{}", folder.display())
}

fn vector(at: u64) -> Vec<f32> {
    let mut random = Random(at * 7 + 1);
    (0..DIM).map(|_| random.below(2001) as f32 / 1000.0 - 1.0).collect()
}

fn id(at: u64) -> Vec<u8> {
    [&[0xff, 0][..], at.to_string().as_bytes()].concat()
}

/// Bytes of a vector in any element.
struct Sent {
    element: Element,
    bytes: Vec<u8>,
}

impl Sent {
    fn new(element: Element, values: &[f32]) -> Self {
        let mut bytes = Vec::new();
        encode(element, values, &mut bytes);
        Self { element, bytes }
    }

    fn vector(&self, dim: u16) -> Vector<'_> {
        Vector { element: self.element, dim, bytes: &self.bytes }
    }

    fn put<'a>(&'a self, id: &'a [u8], text: &'a str) -> Operation<'a> {
        let (metadata, time, strength, confidence) = (&b"meta"[..], 77, 1.0, 1.0);
        let vector = self.vector(DIM);
        Operation::Put { id, vector, text, metadata, time, strength, confidence }
    }

    fn search(&self, most: u16) -> Operation<'_> {
        self.search_only(most, Conditions::default())
    }

    fn search_only<'a>(&'a self, most: u16, only: Conditions<'a>) -> Operation<'a> {
        let (recall, min_score) = (0.95, f32::NEG_INFINITY);
        Operation::Search { vector: self.vector(DIM), most, recall, min_score, only }
    }
}

fn message(name: &[u8], operations: &[Operation<'_>]) -> Vec<u8> {
    let mut builder = MessageBuilder::new(name).unwrap();
    assert!(operations.iter().all(|operation| builder.push(operation)));
    builder.bytes().to_vec()
}

/// Records in frames of every element, in messages of one and of several, in parts and whole.
fn frames() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut small = Cutter::new(5, 0, HEADER + 100);
    let mut large = Cutter::new(5, 1, 1400);
    let mut at = 0;
    while at < RECORDS {
        let count = 1 + at % 3;
        let all: Vec<(Vec<u8>, String, Sent)> = (at..(at + count).min(RECORDS))
            .map(|at| {
                let element = [Element::F32, Element::Bf16, Element::I8][(at % 3) as usize];
                (id(at), format!("record {at}"), Sent::new(element, &vector(at)))
            })
            .collect();
        let puts: Vec<Operation<'_>> =
            all.iter().map(|(id, text, sent)| sent.put(id, text)).collect();
        let cutter = if at % 2 == 0 { &mut small } else { &mut large };
        cutter.cut(&message(b"notes", &puts), false, |frame| frames.push(frame.to_vec()));
        at += count;
    }
    frames
}

/// Whether the collection has what [`frames`] puts.
fn hold_content(folder: &Path) {
    let collection = Collection::open_to_read(&folder.join("notes")).unwrap();
    assert_eq!(collection.len(), RECORDS);
    for at in (0..RECORDS).step_by(7) {
        let record = collection.get(&id(at)).unwrap().unwrap();
        assert_eq!((record.text, record.time), (format!("record {at}"), 77));
        assert_eq!(record.metadata, b"meta");
        let answer = collection.search(&Query::new(&vector(at), 1)).unwrap();
        assert_eq!(answer.hits[0].id, id(at));
    }
}

fn hold(report: &RunReport, folder: &Path, what: &str) -> u64 {
    common::assert_sound(report, what);
    let [stored, failed, digest, _] = report.results[0].results.r;
    assert_eq!((stored, failed), (RECORDS, 0), "{what}");
    hold_content(folder);
    digest
}

fn ethernet(payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5], payload].concat()
}

#[test]
fn captures_and_memory_give_the_records_and_one_digest() {
    let mut digests = Vec::new();
    for mode in modes() {
        let udp = frames().iter().map(|payload| udp_frame((40_000, 9_000), payload)).collect();
        let raw: Vec<Vec<u8>> = frames().iter().map(|payload| ethernet(payload)).collect();
        for (kind, frames) in [("UDP", udp), ("0x88B5", raw)] {
            let (_folder, path) = save(&frames);
            for from in [
                SourceSpec::Pcap(PcapSpec::new(&path)),
                SourceSpec::Memory(MemorySpec::capture(&path, 1)),
            ] {
                let folder = collections();
                let spec = with_engines(open(&from), &program(folder.path()), mode);
                let report = start(spec).unwrap().join();
                let what = format!("{kind} by {}, {mode:?}", from.backend());
                digests.push(hold(&report, folder.path(), &what));
            }
        }
    }
    assert!(digests.iter().all(|digest| *digest == digests[0] && *digest != 0), "{digests:?}");
}

#[test]
fn udp_gives_the_records() {
    for mode in modes() {
        let listen = (Ipv4Addr::LOCALHOST, 0).into();
        let asked = UdpSpec { frame_bytes: 16384, frames: 1024, ..UdpSpec::new(listen) };
        let receiver = UdpReceiver::open(&asked).unwrap();
        let mut sink = UdpSender::open(&UdpSinkSpec::new(receiver.local_addr())).unwrap();
        let folder = collections();
        let spec = with_engines(Receiver::Udp(receiver), &program(folder.path()), mode);
        let report = run_live(spec, || send_gently(&mut sink, &frames()));
        hold(&report, folder.path(), &format!("udp, {mode:?}"));
    }
}

#[test]
fn links_give_the_records() {
    let namespace = match NetNs::enter() {
        Ok(namespace) => namespace,
        Err(reason) => return println!("skipped: {reason}"),
    };
    namespace.veth_pair("tx0", "rx0", VethOptions { queues: 1, mtu: 9216 }).unwrap();
    for from in common::link_sources("rx0") {
        let mode = *modes().last().unwrap();
        let folder = collections();
        let spec = with_engines(open(&from), &program(folder.path()), mode);
        let mut sink = AfPacketTransmitter::open(&AfPacketTxSpec::new("tx0")).unwrap();
        let frames: Vec<Vec<u8>> = frames().iter().map(|payload| ethernet(payload)).collect();
        let report = run_live(spec, || send_gently(&mut sink, &frames));
        hold(&report, folder.path(), &format!("{}, {mode:?}", from.backend()));
    }
}

#[test]
fn a_folder_of_one_collection_is_called_by_its_name() {
    let folder = collections();
    let (results, _) = compiled(&program(&folder.path().join("notes")), &frames());
    assert_eq!(results[..2], [RECORDS, 0]);
    hold_content(folder.path());
}

#[test]
fn other_payloads_are_counted_and_left_alone() {
    let folder = collections();
    let frames = frames();
    let mut torn = frames[0].clone();
    *torn.last_mut().unwrap() ^= 1;
    let mut bad = vec![Vec::new(), b"GET / HTTP/1.1 and so on until it is as long".to_vec()];
    bad.extend([torn, frames[0][..50].to_vec()]);
    let mut cutter = Cutter::new(6, 0, 1400);
    let mut send = |message: &[u8]| cutter.cut(message, false, |frame| bad.push(frame.to_vec()));
    let good = Sent::new(Element::F32, &vector(1));
    send(b"\x05notes");
    send(&message(b"other", &[good.put(b"a", ""), good.put(b"b", "")]));
    // No operation of a message that goes wrong runs, and of others each for itself.
    let mut whole = message(b"notes", &[good.put(b"a", "x"), good.put(b"b", "")]);
    whole.pop();
    send(&whole);
    let (mut nan, zero) = (vector(1), Sent::new(Element::Bf16, &vec![0.0; DIM.into()]));
    nan[3] = f32::NAN;
    let nan = Sent::new(Element::F32, &nan);
    let infinite = Sent::new(Element::Bf16, &vec![f32::INFINITY; DIM.into()]);
    let short = Operation::Put {
        id: b"short",
        vector: Vector { element: Element::I8, dim: 2, bytes: &[0, 0, 128, 63, 1, 2] },
        text: "",
        metadata: b"",
        time: 0,
        strength: 1.0,
        confidence: 1.0,
    };
    let ids: (&[u8], &[u8]) = (b"new", b"nobody");
    let edge = Operation::Associate { ids, kind: 0, weight: 1.0, confidence: 1.0 };
    let new = good.put(b"new", "");
    let all = [nan.put(b"n", ""), zero.put(b"z", ""), infinite.put(b"i", ""), short, new, edge];
    send(&message(b"notes", &[&all[..], &[good.search(3)]].concat()));
    let (results, counters) = compiled(&program(folder.path()), &[&bad[..], &frames].concat());
    assert_eq!(results[..2], [RECORDS + 1, 2 + 4 + 1], "{counters:?}");
    for (name, count) in [
        ("foreign", 1),
        ("torn", 3),
        ("malformed", 2),
        ("unknown", 2),
        ("bad_vectors", 3),
        ("wrong_dimension", 1),
        ("missing", 1),
        ("searches_refused", 1),
        ("added", RECORDS + 1),
        ("skipped", 0),
    ] {
        assert_eq!(counters[name], count, "{name}: {counters:?}");
    }
    let collection = Collection::open_to_read(&folder.path().join("notes")).unwrap();
    assert!(collection.get(b"new").unwrap().is_some() && collection.get(b"a").unwrap().is_none());
}

#[test]
fn what_was_lost_and_what_came_twice_is_counted() {
    let (folder, frames) = (collections(), frames());
    let lost = frames.iter().position(|frame| !Frame::parse(frame).unwrap().is_whole()).unwrap();
    let mut sent = frames.clone();
    sent.remove(lost);
    sent.extend_from_slice(&frames[frames.len() - 3..]);
    let (results, counters) = compiled(&program(folder.path()), &sent);
    assert_eq!((results[0], results[1]), (counters["added"], 0));
    assert!(results[0] < RECORDS && counters["replayed"] == 3, "{counters:?}");
    assert_eq!((counters["skipped"], counters["timed_out"]), (1, 1), "{counters:?}");
    assert_eq!(counters["frames"], frames.len() as u64 - 1);
}

#[test]
fn changes_of_all_kinds_are_made_in_order() {
    let folder = collections();
    let sent = Sent::new(Element::F32, &vector(1));
    let ids: (&[u8], &[u8]) = (b"a", b"b");
    let edge = Operation::Associate { ids, kind: 2, weight: 0.5, confidence: 1.0 };
    let operations = [
        sent.put(b"a", "one"),
        sent.put(b"b", ""),
        edge,
        sent.put(b"c", ""),
        Operation::Touch { id: b"a" },
        Operation::Delete { id: b"c" },
        Operation::Associate { ids: (b"b", b"a"), kind: 2, weight: 0.5, confidence: 1.0 },
        Operation::Dissociate { ids: (b"b", b"a"), kind: 2 },
        sent.put(b"a", "two"),
    ];
    let mut frames = Vec::new();
    Cutter::new(1, 0, 300).cut(&message(b"notes", &operations), false, |frame| {
        frames.push(frame.to_vec());
    });
    let (results, counters) = compiled(&program(folder.path()), &frames);
    assert_eq!(results[..2], [9, 0], "{counters:?}");
    let count = ["puts", "touches", "deletes", "associations", "replaced", "deleted"];
    assert_eq!(count.map(|name| counters[name]), [4, 1, 1, 3, 1, 1]);
    let collection = Collection::open_to_read(&folder.path().join("notes")).unwrap();
    assert_eq!(collection.get(b"a").unwrap().unwrap().text, "two");
    assert!(collection.get(b"c").unwrap().is_none());
    let found: Vec<Association> = collection.neighbours(b"a", Direction::Out, None).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0].target[..], found[0].weight), (&b"b"[..], 0.5));
    assert!(collection.neighbours(b"b", Direction::Out, None).unwrap().is_empty());
}

#[test]
fn a_folder_without_collections_is_refused() {
    let nothing = tempfile::tempdir().unwrap();
    let parsed = Program::parse(&program(nothing.path())).unwrap();
    let error = Engines::load([&parsed]).unwrap_err();
    assert!(matches!(error, OpError::Collections { .. }), "{error}");
    assert!(error.to_string().contains("pfs vec create"), "{error}");
    let folder = collections();
    let text = program(folder.path());
    let held = Engines::load([&Program::parse(&text).unwrap()]).unwrap();
    let second = Engines::load([&Program::parse(&text).unwrap()]).unwrap_err();
    assert!(second.to_string().contains("is written by process"), "{second}");
    drop(held);
    let two = [&text, &format!("{text},fsync=never")].map(|text| Program::parse(text).unwrap());
    assert!(matches!(Engines::load(&two), Err(OpError::TwoWays { .. })));
    assert!(Engines::load([&two[0], &two[0]]).is_ok());
    let trial = Program::parse("vec:/nonexistent,fsync=always").unwrap();
    assert!(Engines::trial([&trial]).is_ok());
}

/// A run behind a UDP socket on loopback whose answers go back, and a client of it.
fn serve(folder: &Path, mode: Mode, settings: &str) -> (Running, UdpSocket) {
    let mut asked = UdpSpec::new((Ipv4Addr::LOCALHOST, 0).into());
    (asked.frame_bytes, asked.frames) = (65_536, 256);
    let source = UdpReceiver::open(&asked).unwrap();
    let to = source.local_addr();
    let program = format!("{}{settings}", program(folder));
    let mut spec = spec(Receiver::Udp(source), &all(&program), mode);
    let engines = Engines::load(spec.programs.iter().map(|program| &program.program)).unwrap();
    let sockets = spec.receivers.iter().map(|slot| slot.source.reply_socket().unwrap());
    let replies = ReplySpec::Udp(UdpReplySpec::default());
    let sink = ReplySink::open(&replies, 0, sockets.collect()).unwrap();
    let engines = vec![engines.make_answering(&spec.programs[0].program, Some(sink))];
    spec.kits = vec![WorkerKit { engines, ..WorkerKit::default() }];
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    client.connect(to).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    (start(spec).unwrap(), client)
}

/// Sends a message and gathers `expected` answers: kind, status and ids of hits, by operation.
fn ask(
    client: &UdpSocket,
    cutter: &mut Cutter,
    (message, all): (&[u8], bool),
    expected: usize,
) -> Vec<(u16, Status, Vec<Vec<u8>>)> {
    let first = cutter.sequence() + 1;
    cutter.cut(message, all, |frame| assert!(client.send(frame).is_ok()));
    let (mut found, mut bytes) = (Vec::new(), vec![0; 65_536]);
    while found.len() < expected {
        let len = client.recv(&mut bytes).expect("an answer comes");
        let frame = Frame::parse(&bytes[..len]).unwrap();
        assert!(frame.is_reply() && frame.sequence() == first);
        for Outcome { index, status, hits, .. } in outcomes(&frame).unwrap() {
            found.push((index, status, hits.iter().map(|hit| hit.id.to_vec()).collect()));
        }
    }
    found.sort_by_key(|(index, ..)| *index);
    found
}

#[test]
fn what_is_written_is_found_by_the_next_search() {
    for (mode, settings) in modes().into_iter().zip(["", ",fsync=always"].into_iter().cycle()) {
        let folder = collections();
        let (running, client) = serve(folder.path(), mode, settings);
        let mut cutter = Cutter::new(9, 0, 300);
        for at in 0..40 {
            let (sent, id) = (Sent::new(Element::F32, &vector(at)), id(at));
            let operations = [sent.put(&id, "text"), sent.search(1)];
            let found = ask(&client, &mut cutter, (&message(b"notes", &operations), false), 1);
            assert_eq!(found, [(1, Status::Done, vec![id.clone()])]);
        }
        let (sent, other) = (Sent::new(Element::I8, &vector(3)), [7; 8]);
        let short = Vector { element: Element::I8, dim: 4, bytes: &other };
        let (recall, min_score, only) = (1.0, 0.99, Conditions::default());
        let ids: (&[u8], &[u8]) = (b"no", b"body");
        let operations = [
            Operation::Delete { id: &id(3) },
            Operation::Search { vector: sent.vector(DIM), most: 40, recall, min_score, only },
            Operation::Search { vector: short, most: 1, recall, min_score, only },
            Operation::Associate { ids, kind: 0, weight: 1.0, confidence: 1.0 },
            sent.search(1024),
        ];
        let found = ask(&client, &mut cutter, (&message(b"notes", &operations), true), 5);
        let status: Vec<(Status, usize)> =
            found.iter().map(|(_, status, hits)| (*status, hits.len())).collect();
        let expected = [
            (Status::Done, 0),
            (Status::Done, 0),
            (Status::Refused, 0),
            (Status::NotFound, 0),
            (Status::Done, 39),
        ];
        assert_eq!(status, expected);
        let unknown = message(b"nowhere", &[sent.search(1), Operation::Touch { id: b"x" }]);
        let found = ask(&client, &mut cutter, (&unknown, true), 2);
        assert!(found.iter().all(|(_, status, _)| *status == Status::NoCollection), "{found:?}");
        running.stop();
        let report = running.join();
        assert!(report.errors.is_empty(), "{:?}", report.errors);
        let counters = &report.results[0].engines[0].counters;
        let lost = ["replies_dropped", "replies_failed", "no_way_back", "timed_out", "torn"];
        assert!(lost.iter().all(|name| counters[*name] == 0), "{counters:?}");
        assert_eq!((counters["answers"], counters["assembled"]), (40 + 5 + 2, 40), "{counters:?}");
    }
}

#[test]
fn conditions_hold_for_what_a_search_finds() {
    let folder = collections();
    let (running, client) = serve(folder.path(), modes()[0], "");
    let mut cutter = Cutter::new(9, 0, 1400);
    let sent: Vec<Sent> = (0..60).map(|at| Sent::new(Element::F32, &vector(at))).collect();
    let ids: Vec<Vec<u8>> = (0..60).map(id).collect();
    for (at, (sent, id)) in sent.iter().zip(&ids).enumerate() {
        let text = format!("Number {at}, {}", ["red", "redder", "green"][at % 3]);
        let (metadata, strength, confidence) = (&b""[..], 1.0, 1.0);
        let (vector, text, time) = (sent.vector(DIM), text.as_str(), 100 + at as u64);
        let put = Operation::Put { id, vector, text, metadata, time, strength, confidence };
        ask(&client, &mut cutter, (&message(b"notes", &[put]), true), 1);
    }
    let mut list = Vec::new();
    let some = [&ids[3][..], &ids[4], b"is not there"];
    let count = encode_ids(some, &mut list).unwrap();
    let ids_of = Some(Ids { count, bytes: &list });
    let words = |text, any, begins| Some(WordsOf { text, any, begins });
    let none = Conditions::default();
    let cases: [(Conditions<'_>, &dyn Fn(usize) -> bool); 10] = [
        (Conditions { ids: ids_of, ..none }, &|at| at == 3 || at == 4),
        (Conditions { ids: Some(Ids { count: 0, bytes: b"" }), ..none }, &|_| false),
        (Conditions { time: Some((110, 119)), ..none }, &|at| (10..20).contains(&at)),
        (Conditions { time: Some((1000, u64::MAX)), ..none }, &|_| false),
        (Conditions { words: words("RED", false, false), ..none }, &|at| at % 3 == 0),
        (Conditions { words: words("red", false, true), ..none }, &|at| at % 3 < 2),
        (Conditions { words: words("green 7", true, false), ..none }, &|at| at % 3 == 2 || at == 7),
        (Conditions { words: words("green 8", false, false), ..none }, &|at| at == 8),
        (Conditions { words: words("blue", true, true), ..none }, &|_| false),
        (
            Conditions { ids: ids_of, time: Some((0, 103)), words: words("number", false, false) },
            &|at| at == 3,
        ),
    ];
    for (only, holds) in cases {
        let search = sent[5].search_only(1000, only);
        let found = ask(&client, &mut cutter, (&message(b"notes", &[search]), false), 1);
        let (_, status, mut hits) = found[0].clone();
        let mut expected: Vec<Vec<u8>> =
            (0..60).filter(|at| holds(*at)).map(|at| ids[at].clone()).collect();
        hits.sort();
        expected.sort();
        assert_eq!((status, hits), (Status::Done, expected), "{only:?}");
    }
    running.stop();
    assert!(running.join().errors.is_empty());
}

#[test]
fn hits_that_fit_no_datagram_are_said_to() {
    let folder = collections();
    let (running, client) = serve(folder.path(), modes()[0], "");
    let mut cutter = Cutter::new(9, 0, 1400);
    for at in 0..4 {
        let (sent, id) = (Sent::new(Element::Bf16, &vector(at)), vec![at as u8 + 1; 600]);
        ask(&client, &mut cutter, (&message(b"notes", &[sent.put(&id, "")]), true), 1);
    }
    let sent = Sent::new(Element::Bf16, &vector(0));
    for (most, expected) in [(2, (Status::Done, 2)), (3, (Status::TooLarge, 0))] {
        let found = ask(&client, &mut cutter, (&message(b"notes", &[sent.search(most)]), false), 1);
        assert_eq!((found[0].1, found[0].2.len()), expected);
    }
    running.stop();
    assert_eq!(running.join().results[0].engines[0].counters["too_large"], 1);
}

#[test]
fn the_collections_folder_may_be_left_for_another_run() {
    let folder: PathBuf;
    {
        let kept = collections();
        let (results, _) = compiled(&program(kept.path()), &frames());
        assert_eq!(results[0], RECORDS);
        // The same sender starts again: its records replace those that are there.
        let (results, counters) = compiled(&program(kept.path()), &frames());
        assert_eq!((results[0], counters["replaced"]), (RECORDS, RECORDS));
        hold_content(kept.path());
        folder = kept.path().to_owned();
    }
    assert!(!folder.exists());
}
