//! The op `kv`: payloads to a store, and what bad ones leave.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use pfs_dataplane::ops::kv::pfs_kv::frame::{Builder, Frame, Operation, ReplyBuilder, Status};
use pfs_dataplane::ops::kv::pfs_kv::{Scan, Store, StoreSettings};
use pfs_dataplane::ops::{Engines, OpError};
use pfs_dataplane::pcpu::{Compiled, Isa, Options, Program, SpanBatch};
use pfs_dataplane::receivers::SourceSpec;
use pfs_dataplane::receivers::pcap::PcapSpec;
use pfs_dataplane::run::start;

/// A worker that runs `program` by itself.
struct Worker(Compiled);

impl Worker {
    fn new(engines: &Engines, program: &Program) -> Self {
        let made = engines.make(program);
        Self(Compiled::with_engines(program, Isa::detect(), Options::default(), made))
    }

    fn run(&mut self, payloads: &[Vec<u8>]) {
        for part in payloads.chunks(64) {
            let mut part: Vec<Vec<u8>> = part.to_vec();
            let mut spans: Vec<&mut [u8]> = part.iter_mut().map(Vec::as_mut_slice).collect();
            self.0.run(&mut SpanBatch::of_messages(&mut spans));
        }
    }

    /// Ends it; results and counters.
    fn end(mut self) -> ([u64; 3], BTreeMap<String, u64>) {
        self.0.finish(0, None);
        let report = self.0.engine_reports().remove(0);
        let [done, failed, digest, _] = self.0.results().r;
        ([done, failed, digest], report.counters)
    }
}

/// Runs payloads through one worker of `program`.
fn run(program: &str, payloads: &[Vec<u8>]) -> ([u64; 3], BTreeMap<String, u64>) {
    let program = Program::parse(program).unwrap();
    let engines = Engines::load([&program]).unwrap();
    let mut worker = Worker::new(&engines, &program);
    worker.run(payloads);
    worker.end()
}

fn frame(sender: u64, sequence: u64, operations: &[Operation<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(1 << 16);
    assert!(operations.iter().all(|operation| builder.push(operation)));
    builder.finish(sender, sequence, 0, false).to_vec()
}

fn put<'a>(key: &'a [u8], value: &'a [u8]) -> Operation<'a> {
    Operation::Put { key, value, expires: None }
}

fn program(folder: &Path, more: &str) -> String {
    format!("kv,dir={},fsync=never{more}", folder.display())
}

/// Keys and values that a folder's store has in a database.
fn content(folder: &Path, shards: u32, name: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let settings = StoreSettings { shards, folder: Some(folder.into()), ..Default::default() };
    let mut store = Store::open(&settings).unwrap();
    let space = store.database(name).unwrap().keys();
    let rows = store.scan(&Scan { space, ..Scan::default() });
    rows.map(|row| (row.key.to_vec(), row.value.to_vec())).collect()
}

#[test]
fn a_folder_holds_what_a_model_holds() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = BTreeMap::new();
    let mut payloads = Vec::new();
    for sequence in 1..=400_u32 {
        let key =
            |n: u32| (sequence.wrapping_mul(2_654_435_761) >> 9 ^ n).to_le_bytes()[..2].to_vec();
        let keys: Vec<Vec<u8>> = (0..5).map(key).collect();
        let value = vec![sequence as u8; sequence as usize % 90];
        let mut operations: Vec<Operation<'_>> =
            keys[..4].iter().map(|key| put(key, &value)).collect();
        operations.push(Operation::Delete { key: &keys[4] });
        payloads.push(frame(1, sequence.into(), &operations));
        keys[..4].iter().for_each(|key| drop(model.insert(key.clone(), value.clone())));
        model.remove(&keys[4]);
    }
    let (results, counters) = run(&program(folder.path(), ",shards=3,db=logs"), &payloads);
    assert_eq!(results[..2], [2000, 0]);
    assert_eq!((counters["frames"], counters["writes"], counters["deletes"]), (400, 1600, 400));
    assert_eq!((counters["skipped"], counters["senders"], counters["joined"]), (0, 1, 0));
    let expected: Vec<_> = model.into_iter().collect();
    assert_eq!(content(folder.path(), 3, "logs"), expected);
    // The digest does not depend on the order.
    payloads.reverse();
    let (reversed, counters) = run("kv,db=logs", &payloads);
    assert_eq!(counters["stale"], 400 - 64, "{counters:?}");
    assert_ne!(reversed[2], results[2]);
    let (whole, _) = run("kv,db=logs,shards=7,memory=256MiB", &{
        payloads.reverse();
        payloads
    });
    assert_eq!(whole, results);
}

#[test]
fn workers_share_a_store_and_its_sequences() {
    let folder = tempfile::tempdir().unwrap();
    let text = program(folder.path(), ",shards=2");
    let program = Program::parse(&text).unwrap();
    let engines = Engines::load([&program]).unwrap();
    let ended: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4_u64)
            .map(|worker| {
                let mut engine = Worker::new(&engines, &program);
                scope.spawn(move || {
                    let payloads: Vec<Vec<u8>> = (1..=500_u64)
                        .map(|n| {
                            let key = (worker * 1000 + n).to_be_bytes();
                            frame(worker, n, &[put(&key, &key), put(b"all", &key)])
                        })
                        .collect();
                    engine.run(&payloads);
                    // Another worker's datagrams, again: seen, whoever gets them.
                    let again = frame((worker + 1) % 4, 1, &[put(b"again", b"")]);
                    engine.run(&[again]);
                    engine.end()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let sum = |name: &str| ended.iter().map(|(_, counters)| counters[name]).sum::<u64>();
    // Whichever of both came first was taken; the other was a replay, or behind the window.
    assert_eq!(sum("frames") + sum("replayed") + sum("stale"), 2004);
    assert_eq!(sum("senders"), 4);
    drop(engines);
    let found = content(folder.path(), 2, "default");
    assert!(found.len() >= 2000, "{}", found.len());
    for (key, value) in found.iter().filter(|(key, _)| key.len() == 8) {
        assert_eq!(key, value);
    }
}

#[test]
fn no_operation_is_lost_or_lands_on_another_shard() {
    const SHARDS: u32 = 2;
    const WORKERS: u64 = 3;
    const FRAMES: u64 = 400;
    let folder = tempfile::tempdir().unwrap();
    let text = program(folder.path(), ",shards=2");
    let program = Program::parse(&text).unwrap();
    let engines = Engines::load([&program]).unwrap();
    // Every worker writes and deletes keys of both shards, and keys that only it writes.
    let ended: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let mut engine = Worker::new(&engines, &program);
                scope.spawn(move || {
                    let frames = (1..=FRAMES).map(|n| {
                        let keys: Vec<Vec<u8>> = (0..8_u64)
                            .map(|at| format!("{worker}:{}", n * 8 + at).into_bytes())
                            .collect();
                        let mut operations: Vec<_> = keys.iter().map(|key| put(key, key)).collect();
                        operations.push(Operation::Delete { key: &keys[0] });
                        frame(worker + 1, n, &operations)
                    });
                    engine.run(&frames.collect::<Vec<_>>());
                    engine.end()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let done: u64 = ended.iter().map(|(results, _)| results[0]).sum();
    assert_eq!(done, WORKERS * FRAMES * 9);
    assert!(ended.iter().all(|(results, _)| results[1] == 0));
    drop(engines);
    let settings =
        StoreSettings { shards: SHARDS, folder: Some(folder.path().into()), ..Default::default() };
    let mut store = Store::open(&settings).unwrap();
    let space = store.database("default").unwrap().keys();
    let mut seen = 0;
    for (at, shard) in store.shards().iter().enumerate() {
        let mut here = 0;
        for row in shard.shard().scan(&Scan { space, ..Scan::default() }) {
            assert_eq!((row.key, shard.shard().owner(space, row.key)), (row.value, at));
            here += 1;
        }
        assert!(here > 0, "both shards have keys");
        seen += here;
    }
    assert_eq!(seen, WORKERS * FRAMES * 7, "one of eight keys was deleted");
}

#[test]
fn bad_datagrams_do_nothing_and_are_counted() {
    let good = frame(9, 1, &[put(b"a", b"1"), put(b"b", b"2")]);
    let mut payloads: Vec<Vec<u8>> = (0..good.len()).map(|end| good[..end].to_vec()).collect();
    let cut = payloads.len() as u64;
    for bit in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        payloads.push(flipped);
    }
    let flipped = good.len() as u64 * 8;
    payloads.push(b"GET / HTTP/1.1\r\nHost: somewhere.example\r\n\r\n".to_vec());
    let (results, counters) = run("kv", &payloads);
    assert_eq!(results, [0, 0, 0]);
    assert_eq!(counters["torn"] + counters["foreign"] + counters["malformed"], cut + flipped + 1);
    assert!(counters["foreign"] > 40 && counters["torn"] > cut, "{counters:?}");
    assert_eq!((counters["frames"], counters["senders"]), (0, 0));

    let operation = put(b"a", b"1");
    let asked = frame(9, 1, &[operation]);
    let mut replies = ReplyBuilder::new(1000);
    let mut reply = Vec::new();
    let parsed = Frame::parse(&asked).unwrap();
    replies.push(&parsed, (0, &operation), (Status::Done, b""), |_| {});
    replies.finish(&parsed, |bytes| reply = bytes.to_vec());
    let get = |sender, sequence| frame(sender, sequence, &[Operation::Get { key: b"a" }]);
    let (results, counters) = run("kv", &[reply, get(9, 2), get(10, 1000)]);
    assert_eq!((results[0], counters["replies"], counters["gets_refused"]), (0, 1, 2));
    // One was met near the beginning of its sequence, the other in the middle.
    assert_eq!((counters["skipped"], counters["joined"]), (1, 1));
}

#[test]
fn sequences_tell_what_was_lost_and_what_came_twice() {
    let folder = tempfile::tempdir().unwrap();
    let at = |sequence: u64| frame(7, sequence, &[put(&sequence.to_be_bytes(), b"")]);
    let other = frame(8, 1, &[put(b"other", b"")]);
    let order = [1, 2, 5, 4, 5, 1, 100, 3];
    let mut payloads: Vec<Vec<u8>> = order.iter().map(|&sequence| at(sequence)).collect();
    payloads.push(other);
    let (results, counters) = run(&program(folder.path(), ""), &payloads);
    let of = |name: &str| counters[name];
    assert_eq!(results[0], 6);
    assert_eq!((of("replayed"), of("late"), of("stale"), of("senders")), (2, 1, 1, 2));
    assert_eq!(of("skipped"), 2 + 94);
    let keys: Vec<Vec<u8>> =
        content(folder.path(), 1, "default").into_iter().map(|(key, _)| key).collect();
    let numbers = [1_u64, 2, 4, 5, 100].map(|n| n.to_be_bytes().to_vec());
    let mut expected: Vec<Vec<u8>> = numbers.to_vec();
    expected.push(b"other".to_vec());
    assert_eq!(keys, expected);
}

#[test]
fn text_grammars_run_to_the_first_wrong_command() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display();
    let (results, counters) = run(
        &format!("kv:resp,dir={dir}"),
        &[
            b"*3\r\n$3\r\nSET\r\n$1\r\n\0\r\n$2\r\n\r\n\r\nMSET b 1 c 2\r\nDEL c none\r\n".to_vec(),
            b"SET d 1 PXAT 9999999999999\r\nGET d\r\nFLUSHALL\r\n".to_vec(),
            b"SET e 1\r\n*1000000000\r\n$1\r\n".to_vec(),
            b"SET f 1\r\nSET g 1".to_vec(),
        ],
    );
    assert_eq!(results[..2], [8, 0]);
    assert_eq!((counters["frames"], counters["malformed"], counters["missing"]), (2, 2, 1));
    assert_eq!((counters["gets_refused"], counters["unsupported"]), (1, 1));
    let keys: Vec<Vec<u8>> =
        content(folder.path(), 1, "default").into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [&b"\0"[..], b"b", b"d", b"e", b"f"]);

    let (results, counters) = run(
        "kv:cheetah",
        &[
            b"INSERT one\nINSERT:3 two\nEDIT 1 uno\nPAIR_SET xff00 1\nPAIR_SET plain 2\n".to_vec(),
            b"PAIR_DEL xff00\nDELETE 2\nDELETE 2\nREAD 1\nPAIR_SCAN *\nSYSTEM_STATS\n".to_vec(),
            b"INSERT kept\nPAIR_SET xzz 1\nINSERT lost\n".to_vec(),
            Vec::new(),
        ],
    );
    assert_eq!(results[..2], [9, 0]);
    assert_eq!((counters["frames"], counters["malformed"], counters["missing"]), (2, 1, 1));
    assert_eq!((counters["gets_refused"], counters["unsupported"]), (1, 2));
}

#[test]
fn what_is_left_of_a_text_that_was_cut_is_not_executed() {
    let texts = ["INSERT one", "INSERT two", "INSERT three"];
    let frames: Vec<Vec<u8>> =
        texts.iter().map(|text| common::udp_frame((1, 9_000), text.as_bytes())).collect();
    let (_folder, path) = common::save_cut(&frames, &[1]);
    for mode in common::modes() {
        let source = common::open(&SourceSpec::Pcap(PcapSpec::new(&path)));
        let report = start(common::with_engines(source, "kv:cheetah", mode)).unwrap().join();
        common::assert_sound(&report, "a capture");
        let results = &report.results[0];
        assert_eq!(results.results.r[..2], [2, 0], "{mode:?}");
        let counters = &results.engines[0].counters;
        assert_eq!((counters["frames"], counters["torn"]), (2, 1), "{counters:?}");
    }
}

#[test]
fn messages_in_several_spans_are_put_together() {
    let program = Program::parse("kv").unwrap();
    let engines = Engines::load([&program]).unwrap();
    let mut worker = Worker::new(&engines, &program);
    let whole = frame(1, 1, &[put(b"key", &[5; 900])]);
    for cut in [1, 31, 32, 33, 500] {
        let next = frame(1, 1 + cut, &[put(b"key", &[5; 900])]);
        let (mut front, mut back) = (next.clone(), Vec::new());
        back.extend(front.drain(cut as usize..));
        worker.0.run(&mut SpanBatch::of_chain(&mut [&mut front, &mut back]));
    }
    worker.run(&[whole]);
    let (results, counters) = worker.end();
    assert_eq!((results[0], counters["frames"], counters["torn"]), (5, 5, 0), "{counters:?}");
    assert_eq!(counters["stale"], 1);
}

#[test]
fn a_full_memory_refuses_and_counts() {
    let payloads: Vec<Vec<u8>> =
        (1..=1000_u64).map(|n| frame(1, n, &[put(&n.to_be_bytes(), &[n as u8; 40_000])])).collect();
    let (results, counters) = run("kv,memory=16MiB", &payloads);
    assert!(results[0] > 100 && results[1] > 100, "{results:?}");
    assert_eq!((results[0] + results[1], counters["full"]), (1000, results[1]));
}

#[test]
fn a_store_has_one_owner_and_one_shape() {
    let folder = tempfile::tempdir().unwrap();
    let text = program(folder.path(), "");
    let one = Program::parse(&text).unwrap();
    let engines = Engines::load([&one, &one]).unwrap();
    // Its own process's lock holds as well.
    let error = Engines::load([&one]).unwrap_err();
    assert!(matches!(error, OpError::Store { .. }), "{error}");
    assert!(error.to_string().contains("is open in process"), "{error}");
    // Trying it touches no folder.
    Engines::trial([&one]).unwrap();
    let other = Program::parse(&program(folder.path(), ",shards=2")).unwrap();
    drop(engines);
    let error = Engines::load([&one, &other]).unwrap_err();
    assert!(error.to_string().contains("are one store"), "{error}");
    let error = Engines::load([&other]).unwrap_err();
    assert!(error.to_string().contains("made with 1 shards"), "{error}");
}

#[test]
fn settings_are_checked_and_come_back() {
    for text in ["kv", "kv:resp", "kv:cheetah,dir=/a/b,fsync=always,memory=20000000,shards=9,db=x"]
    {
        assert_eq!(Program::parse(text).unwrap().to_string(), text);
    }
    let same = "kv:frame,fsync=group:1000:1MiB,memory=1GiB,shards=1,db=default";
    assert_eq!(Program::parse(same).unwrap().to_string(), "kv");
    for (text, why) in [
        ("kv:json", "json"),
        ("kv,shards=0", "shards=1 to shards=1024"),
        ("kv,memory=1MiB", "memory=16MiB and more"),
        ("kv,fsync=often", "fsync=always"),
        ("kv,db=../evil", "db=NAME"),
        ("kv,db=a/b", "db=NAME"),
        ("kv,dir=", "dir=PATH"),
        ("kv,path=/x", "kv has no setting \"path\""),
        ("kv,kv", "fifth accumulator"),
    ] {
        let error = Program::parse(text).expect_err(text).to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}
