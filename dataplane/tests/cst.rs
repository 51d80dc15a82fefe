//! The op `cst`: source files from every source to syntax trees, each as a live parse has it.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod common;

use std::net::Ipv4Addr;
use std::path::Path;

use common::{
    Mode, Random, compiled, modes, open, run_live, save, send_gently, udp_frame, with_engines,
};
use pfs_dataplane::netns::{NetNs, VethOptions};
use pfs_dataplane::ops::cst::Piece;
use pfs_dataplane::ops::cst::pfs_cst::digest;
use pfs_dataplane::ops::cst::pfs_cst::flat::{Flat, Flattener};
use pfs_dataplane::ops::cst::pfs_cst::languages::Registry;
use pfs_dataplane::ops::cst::pfs_cst::parse::{Limits, Parser};
use pfs_dataplane::ops::cst::pfs_cst::tiers::{Access, Config, Store};
use pfs_dataplane::ops::{Engines, OpError};
use pfs_dataplane::pcpu::Program;
use pfs_dataplane::receivers::memory::MemorySpec;
use pfs_dataplane::receivers::pcap::PcapSpec;
use pfs_dataplane::receivers::udp::{UdpReceiver, UdpSpec};
use pfs_dataplane::receivers::{Receiver, SourceSpec};
use pfs_dataplane::run::start;
use pfs_dataplane::transmitters::af_packet::{AfPacketTransmitter, AfPacketTxSpec};
use pfs_dataplane::transmitters::udp::{UdpSender, UdpSinkSpec};

/// A file with the columns that a live parse gives.
struct Source {
    name: String,
    bytes: Vec<u8>,
    live: Flat,
}

fn parsed(lang: &str, bytes: &[u8]) -> (Flat, u64) {
    let grammar = Registry::shared().get(lang).unwrap();
    let tree = Parser::new(&grammar).unwrap().parse(bytes, None, Limits::default()).unwrap();
    let flat = Flattener::new(&grammar).flatten(&tree, bytes).unwrap();
    let digest = digest::tree(&grammar, &flat);
    (flat, digest)
}

/// This crate's own sources, and what files, nodes and digest of all are.
fn sources() -> (Vec<Source>, [u64; 3]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops/cst");
    let (mut sources, mut results) = (Vec::new(), [0u64; 3]);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (live, digest) = parsed("rust", &bytes);
        results[0] += 1;
        results[1] += live.len() as u64;
        results[2] = results[2].wrapping_add(digest);
        sources.push(Source { name, bytes, live });
    }
    sources.push(Source { name: "empty.c".into(), bytes: Vec::new(), live: Flat::default() });
    let (live, digest) = parsed("c", b"");
    results = [results[0] + 1, results[1] + live.len() as u64, results[2].wrapping_add(digest)];
    sources.last_mut().unwrap().live = live;
    (sources, results)
}

/// The sources' pieces in another order, some twice.
fn payloads(sources: &[Source], random: &mut Random) -> Vec<Vec<u8>> {
    let pieces = (1..).zip(sources).map(|(id, it)| Piece::cut(id, &it.name, &it.bytes, 1400));
    let mut payloads: Vec<Vec<u8>> = pieces.flatten().collect();
    for at in 0..payloads.len() / 5 {
        payloads.push(payloads[at * 4].clone());
    }
    for at in (1..payloads.len()).rev() {
        payloads.swap(at, random.below(at as u64 + 1) as usize);
    }
    payloads
}

/// Every tree in `folder` is the one of the live parse, and its source is there.
fn hold(folder: &Path, sources: &[Source]) {
    let store = Store::open(folder, Config { access: Access::Read, ..Config::default() }).unwrap();
    assert_eq!(store.len(), sources.len());
    for source in sources {
        let stored = store.cold(&source.name, |cold| cold.thaw()).unwrap().unwrap();
        assert!(stored == source.live, "{}", source.name);
        assert!(*store.source(&source.name).unwrap() == source.bytes[..], "{}", source.name);
    }
}

#[test]
fn pieces_from_captures_and_memory_give_the_trees() {
    let (sources, results) = sources();
    let mut random = Random(7);
    for mode in modes() {
        let frames: Vec<Vec<u8>> = payloads(&sources, &mut random)
            .iter()
            .map(|payload| udp_frame((40_000, 9_000), payload))
            .collect();
        let (_folder, path) = save(&frames);
        for from in [
            SourceSpec::Pcap(PcapSpec::new(&path)),
            SourceSpec::Memory(MemorySpec::capture(&path, 1)),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let trees = folder.path().join("trees");
            let program = format!("cst,mode=pieces,dir={}", trees.display());
            let report = start(with_engines(open(&from), &program, mode)).unwrap().join();
            let what = format!("{}, {mode:?}", from.backend());
            common::assert_sound(&report, &what);
            assert_eq!(report.results[0].results.r[..3], results, "{what}");
            drop(report);
            hold(&trees, &sources);
        }
    }
}

#[test]
fn udp_gives_the_trees() {
    let (sources, results) = sources();
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    let asked = UdpSpec { frame_bytes: 16384, frames: 1024, gro: true, ..UdpSpec::new(listen) };
    let receiver = UdpReceiver::open(&asked).unwrap();
    let mut sink = UdpSender::open(&UdpSinkSpec::new(receiver.local_addr())).unwrap();
    let spec = with_engines(Receiver::Udp(receiver), "cst,mode=pieces", Mode::Inline);
    let report = run_live(spec, || send_gently(&mut sink, &payloads(&sources, &mut Random(5))));
    common::assert_sound(&report, "udp");
    assert_eq!(report.results[0].results.r[..3], results);
}

#[test]
fn links_give_the_trees() {
    let namespace = match NetNs::enter() {
        Ok(namespace) => namespace,
        Err(reason) => return println!("skipped: {reason}"),
    };
    namespace.veth_pair("tx0", "rx0", VethOptions { queues: 1, mtu: 9216 }).unwrap();
    let (sources, results) = sources();
    for from in common::link_sources("rx0") {
        let spec = with_engines(open(&from), "cst,mode=pieces", Mode::Inline);
        let mut sink = AfPacketTransmitter::open(&AfPacketTxSpec::new("tx0")).unwrap();
        let frames: Vec<Vec<u8>> = payloads(&sources, &mut Random(6))
            .iter()
            .map(|payload| udp_frame((40_000, 9_000), payload))
            .collect();
        let report = run_live(spec, || send_gently(&mut sink, &frames));
        common::assert_sound(&report, from.backend());
        assert_eq!(report.results[0].results.r[..3], results, "{}", from.backend());
    }
}

#[test]
fn a_payload_may_be_a_file() {
    let (sources, results) = sources();
    let payloads: Vec<Vec<u8>> = sources.iter().map(|it| it.bytes.clone()).collect();
    let rust: Vec<Vec<u8>> = payloads.iter().filter(|it| !it.is_empty()).cloned().collect();
    let (found, counters) = compiled("cst:rust", &rust);
    let (empty, digest) = parsed("c", b"");
    let expected =
        [results[0] - 1, results[1] - empty.len() as u64, results[2].wrapping_sub(digest)];
    assert_eq!(found, expected);
    assert_eq!(counters["with_errors"], 0);
    let texts = [&b"{\"a\": [1]}"[..], b"#!/usr/bin/env python3\nprint(1)\n", b"plain text"];
    let (found, counters) = compiled("cst", &texts.map(<[u8]>::to_vec));
    let json = parsed("json", texts[0]);
    let python = parsed("python", texts[1]);
    assert_eq!(found[..2], [2, (json.0.len() + python.0.len()) as u64]);
    assert_eq!(found[2], json.1.wrapping_add(python.1));
    assert_eq!(counters["unknown"], 1);
}

/// A TCP frame of one direction between two made-up hosts.
fn tcp_frame(port: u16, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([0x45, 0]);
    frame.extend((40 + payload.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend(port.to_be_bytes());
    frame.extend(9_000u16.to_be_bytes());
    frame.extend(sequence.to_be_bytes());
    frame.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend(payload);
    frame
}

#[test]
fn a_connection_may_be_a_file() {
    const SYN: u8 = 2;
    const FIN: u8 = 1;
    let (sources, _) = sources();
    let sources: Vec<&Source> = sources.iter().filter(|it| !it.bytes.is_empty()).collect();
    let mut frames = Vec::new();
    for (port, source) in (2_000..).zip(&sources) {
        frames.push(tcp_frame(port, 99, SYN, b""));
        for (number, part) in source.bytes.chunks(1000).enumerate() {
            // The second connection loses a segment, the third one's end is not there.
            if port != 2_001 || number != 1 {
                frames.push(tcp_frame(port, 100 + number as u32 * 1000, 16, part));
            }
        }
        if port != 2_002 {
            frames.push(tcp_frame(port, 100 + source.bytes.len() as u32, FIN | 16, b""));
        }
    }
    let (_folder, path) = save(&frames);
    let source = open(&SourceSpec::Pcap(PcapSpec::new(&path)));
    let report = start(with_engines(source, "cst:rust,mode=flow", Mode::Inline)).unwrap().join();
    common::assert_sound(&report, "flow");
    let mut results = [0u64; 3];
    for (at, source) in sources.iter().enumerate().filter(|(at, _)| *at != 1 && *at != 2) {
        let (live, digest) = parsed("rust", &source.bytes);
        assert!(live == source.live, "{at}");
        results = [results[0] + 1, results[1] + live.len() as u64, results[2].wrapping_add(digest)];
    }
    assert_eq!(report.results[0].results.r[..3], results);
    let counters = &report.results[0].engines[0].counters;
    assert_eq!(counters["incomplete"], 2, "{counters:?}");
}

#[test]
fn a_packet_that_was_cut_is_no_file() {
    let texts = [&b"fn a() {}\n"[..], b"fn b() {}\n", b"fn c() {}\n"];
    let frames: Vec<Vec<u8>> =
        (1..).zip(texts).map(|(port, text)| udp_frame((port, 9_000), text)).collect();
    let (_folder, path) = common::save_cut(&frames, &[1]);
    let (first, last) = (parsed("rust", texts[0]), parsed("rust", texts[2]));
    let nodes = (first.0.len() + last.0.len()) as u64;
    for program in ["cst:rust", "cst:rust,mode=flow"] {
        for mode in modes() {
            let source = open(&SourceSpec::Pcap(PcapSpec::new(&path)));
            let report = start(with_engines(source, program, mode)).unwrap().join();
            let what = format!("{program}, {mode:?}");
            common::assert_sound(&report, &what);
            let results = &report.results[0];
            assert_eq!(results.results.r[..3], [2, nodes, first.1.wrapping_add(last.1)], "{what}");
            assert_eq!(results.engines[0].counters["incomplete"], 1, "{what}");
        }
    }
}

#[test]
fn a_connection_whose_last_segment_was_cut_is_no_file() {
    let frames = [tcp_frame(1, 99, 2, b""), tcp_frame(1, 100, 17, b"fn a() {}\n")];
    for (cut, files) in [(&[][..], 1), (&[1][..], 0)] {
        let (_folder, path) = common::save_cut(&frames, cut);
        let source = open(&SourceSpec::Pcap(PcapSpec::new(&path)));
        let spec = with_engines(source, "cst:rust,mode=flow", Mode::Inline);
        let report = start(spec).unwrap().join();
        common::assert_sound(&report, "flow");
        let counters = &report.results[0].engines[0].counters;
        assert_eq!((counters["files"], counters["incomplete"]), (files, 1 - files), "{cut:?}");
    }
}

#[test]
fn what_is_no_whole_file_is_counted() {
    let source = b"fn a() {}\n".repeat(500);
    let pieces = Piece::cut(1, "a.rs", &source, 1400);
    let mut wrong = pieces.clone();
    *wrong[1].last_mut().unwrap() ^= 1;
    let foreign = [b"GET / HTTP/1.1".to_vec(), pieces[0][..40].to_vec(), Vec::new()];
    let bad = [&foreign[..], &wrong, &Piece::cut(2, "b.rs", &source, 1400)[1..]].concat();
    let (results, counters) = compiled("cst,mode=pieces", &bad);
    assert_eq!(results, [0; 3]);
    let count = ["foreign", "damaged", "incomplete"].map(|name| counters[name]);
    assert_eq!(count, [3, 1, 1], "{counters:?}");
    let (_, counters) = compiled("cst,mode=pieces,max_bytes=4000", &pieces);
    assert_eq!((counters["too_long"], counters["files"]), (1, 0), "{counters:?}");
    let long: Vec<Vec<u8>> = (0..300u64)
        .flat_map(|id| Piece::cut(id, "c.rs", &source, 5000).into_iter().take(1))
        .collect();
    let (_, counters) = compiled("cst,mode=pieces,memory=1MiB", &long);
    assert!(counters["no_memory"] > 0, "{counters:?}");
    let (_, counters) = compiled("cst,mode=pieces,flows=8", &long);
    assert_eq!(counters["incomplete"], 300, "{counters:?}");
    let nested = b"[".repeat(3_000_000);
    let (results, counters) = compiled("cst:json,parse_ms=1", &[nested]);
    assert_eq!((results[0], counters["parse_timeouts"]), (0, 1), "{counters:?}");
}

#[test]
fn the_program_says_what_it_can_have() {
    for text in [
        "cst",
        "cst:rust",
        "cst:c,mode=flow,dir=/a/b,max_bytes=9,flows=7,idle_s=6,memory=1048576,parse_ms=5",
        "cst,mode=pieces",
    ] {
        assert_eq!(Program::parse(text).unwrap().to_string(), text);
    }
    for text in ["cst:", "cst,mode=x", "cst,dir=", "cst,memory=1", "cst,parse_ms=0", "cst,x=1"] {
        assert!(Program::parse(text).is_err(), "{text}");
    }
    let program = Program::parse("cst:latin").unwrap();
    let refused = Engines::load([&program]).unwrap_err();
    assert!(matches!(refused, OpError::Language { .. }), "{refused}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x"), "something else").unwrap();
    let program = Program::parse(&format!("cst,dir={}", folder.path().display())).unwrap();
    let refused = Engines::load([&program]).unwrap_err();
    assert!(matches!(refused, OpError::Trees { .. }), "{refused}");
    // A trial touches no folder.
    Engines::trial([&program]).unwrap();
}
