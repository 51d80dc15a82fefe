//! The packet path takes nothing from the heap: a run of ten times the packets, and thousands of
//! batches more, allocates as often as the shorter one.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pfs_dataplane::ops::Engines;
use pfs_dataplane::ops::kv::pfs_kv::frame::{Builder, Operation};
use pfs_dataplane::packet::{Rule, RuleSet};
use pfs_dataplane::pcpu::{BATCH, Compiled, Isa, Options, Program, SpanBatch, optimize};
use pfs_dataplane::pin;
use pfs_dataplane::receivers::memory::{MemoryReceiver, MemorySpec};
use pfs_dataplane::receivers::pcap::{PcapReceiver, PcapSpec};
use pfs_dataplane::receivers::{Framing, Receiver};
use pfs_dataplane::run::{LaneMemory, ReceiverSlot, RunSpec, WorkerKit, Workers, start};
use pfs_dataplane::transmitters::Transmit;
use pfs_dataplane::transmitters::frames::GenerateSpec;
use pfs_dataplane::transmitters::pcap::{PcapSinkSpec, PcapWriter};
use pfs_rings::WaitStrategy;

/// Counts what all threads ask of the heap.
struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise is `System`'s condition.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above; `at` is from `System`.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

const PACKETS: u64 = 20_000;
/// Starting and joining threads allocates once or twice more or less by who comes first.
const CHANCE: u64 = 4;
/// Several steps, one with a table; engines that keep nothing and that keep streams.
const PROGRAMS: [&str; 3] =
    ["xor:1,crc32c,hist8,fnv64", "token:r50k_base", "token:r50k_base,mode=flow"];

fn memory(packets: u64) -> Receiver {
    let generate = GenerateSpec { frames: 600, ..GenerateSpec::of_size("imix".parse().unwrap()) };
    let spec = MemorySpec { restore: true, ..MemorySpec::generated(generate, Some(packets)) };
    Receiver::Memory(MemoryReceiver::open(&spec).unwrap())
}

/// A capture of [`PACKETS`] packets, read once or ten times.
fn pcap(path: &Path, packets: u64) -> Receiver {
    let mut spec = PcapSpec::new(path);
    spec.loops = packets / PACKETS;
    Receiver::Pcap(PcapReceiver::open(&spec).unwrap())
}

fn write_capture(path: &Path) {
    let generate = GenerateSpec::of_size("imix".parse().unwrap());
    let sink = PcapSinkSpec { path: path.to_owned() };
    let mut writer = PcapWriter::create(&sink, Framing::Ethernet).unwrap();
    for index in 0..PACKETS {
        let mut frame = vec![0; generate.frame_size.len_of(index)];
        generate.write(index, &mut frame);
        writer.write(&frame, frame.len() as u32, index * 1000).unwrap();
    }
    writer.flush().unwrap();
}

fn spec(source: Receiver, workers: Workers, program: &str) -> RunSpec {
    let rules = [
        Rule { action: pfs_dataplane::packet::Action::Pass, ..port("passed", 12345) },
        Rule::all("all"),
    ];
    let program = optimize(&Program::parse(program).unwrap(), false);
    let engines = Engines::load([&program.program]).unwrap();
    let engines = vec![engines.make(&program.program), engines.make(&program.program)];
    RunSpec {
        receivers: vec![ReceiverSlot { name: "source".into(), core: cores()[0], source }],
        rules: RuleSet::compile(&rules).unwrap(),
        names: vec!["passed".into(), "all".into()],
        programs: vec![program.clone(), program],
        workers,
        kits: vec![WorkerKit { engines, ..WorkerKit::default() }],
        memory: LaneMemory::default(),
        wait: WaitStrategy::Adaptive,
        isa: Isa::detect(),
        sampled: u32::MAX / 4 * 3,
        stage_cycles: true,
    }
}

fn port(name: &str, port: u16) -> Rule {
    let mut rule = Rule::all(name);
    rule.matches.protocol = Some(17);
    rule.matches.destination_ports = Some(pfs_ebpf::rules::PortRange::one(port));
    rule
}

fn cores() -> Vec<u32> {
    pin::allowed_cores().unwrap()
}

/// Heap calls from before the start of a run over `source` to after its end.
fn calls(source: Receiver, workers: Workers, program: &str, packets: u64) -> u64 {
    let spec = spec(source, workers, program);
    let before = CALLS.load(Relaxed);
    let report = start(spec).unwrap().join();
    let calls = CALLS.load(Relaxed) - before;
    assert_eq!((report.books.offered, report.books.residual), (packets, 0), "{report:?}");
    assert!(report.books.filtered > 0 && report.books.consumed > packets / 2, "{report:?}");
    calls
}

/// One test: the counts are of the whole process.
#[test]
fn more_packets_take_no_more_from_the_heap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pcap");
    write_capture(&path);
    let sources: [(&str, &dyn Fn(u64) -> Receiver); 2] =
        [("memory", &memory), ("pcap", &|packets| pcap(&path, packets))];
    let mut modes = vec![Workers::RunToCompletion];
    if let Some(&worker) = cores().get(1) {
        // The smallest ring is full most of the time: the way with waiting is walked too.
        for ring_slots in [64, 4096] {
            modes.push(Workers::Pipeline { cores: vec![worker], ring_slots });
        }
    } else {
        println!("skipped: pipelines need two cores");
    }
    for program in PROGRAMS {
        // Engines take longer over a packet; every batch of theirs is alike.
        let engine = program.starts_with("token");
        let (packets, sources) =
            if engine { (PACKETS / 10, &sources[..1]) } else { (PACKETS, &sources[..]) };
        for (name, open) in sources {
            for workers in &modes {
                // The first run of a mode may set up what the process keeps.
                let [_, few, many] = [packets, packets, 10 * packets]
                    .map(|packets| calls(open(packets), workers.clone(), program, packets));
                let what = format!("{program}, {name}, {workers:?}: {few} calls, then {many}");
                assert!(many.abs_diff(few) <= CHANCE, "{what}");
            }
        }
    }
    for program in ["kv", "kv,shards=3"] {
        operations_take_nothing(program);
    }
}

/// Batches of frames of puts, pair sets and deletes, on a store that holds their keys already.
fn operations_take_nothing(program: &str) {
    let program = Program::parse(program).unwrap();
    let engines = Engines::load([&program]).unwrap().make(&program);
    let mut compiled = Compiled::with_engines(&program, Isa::detect(), Options::default(), engines);
    let mut payloads = [[0; 72]; BATCH];
    let mut builder = Builder::new(72);
    let mut sequence = 0;
    let mut batches = |count: u64| {
        let before = CALLS.load(Relaxed);
        for _ in 0..count {
            for (at, payload) in (0..).zip(&mut payloads) {
                sequence += 1;
                let key = (at * 31_u64).to_le_bytes();
                let value = [sequence as u8; 24];
                builder.clear();
                assert!(builder.push(&match at % 8 {
                    0 => Operation::PairSet { key: &key, abs: at, hidden: false },
                    1 => Operation::Delete { key: &[0; 16] },
                    _ => Operation::Put { key: &key, value: &value, expires: None },
                }));
                let frame = builder.finish(1, sequence, 0, false);
                payload[..frame.len()].copy_from_slice(frame);
                payload[frame.len()..].fill(0);
            }
            let mut at = 0_u64;
            let lengths = [56, 56, 72, 72, 72, 72, 72, 72];
            let mut spans = payloads.each_mut().map(|payload| {
                at += 1;
                &mut payload[..lengths[(at as usize - 1) % 8]]
            });
            compiled.run(&mut SpanBatch::of_messages(&mut spans));
            compiled.tick(0, None);
        }
        CALLS.load(Relaxed) - before
    };
    batches(20);
    let calls = batches(500);
    assert_eq!(calls, 0, "{program}");
    let done = compiled.results().r[0];
    assert_eq!(done, 520 * BATCH as u64, "{program}: all were executed");
}
