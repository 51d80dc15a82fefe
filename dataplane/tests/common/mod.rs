//! What the tests of whole runs share: starting one, sending to one, and an oracle.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part of it")]

pub mod oracle;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use pfs_dataplane::ops::Engines;
use pfs_dataplane::packet::{Rule, RuleSet};
use pfs_dataplane::pcpu::{Compiled, Isa, Options, Program, SpanBatch, optimize};
use pfs_dataplane::pin;
use pfs_dataplane::receivers::af_packet::AfPacketSpec;
#[cfg(feature = "af-xdp")]
use pfs_dataplane::receivers::af_xdp::AfXdpSpec;
use pfs_dataplane::receivers::{Receiver, SourceSpec};
use pfs_dataplane::run::{
    LaneMemory, ReceiverSlot, RunReport, RunSpec, Running, WorkerKit, Workers, start,
};
use pfs_dataplane::transmitters::Transmit;
#[cfg(feature = "af-xdp")]
use pfs_ebpf::XdpMode;
use pfs_rings::WaitStrategy;

/// How long a live source may show nothing new before what was sent counts as arrived or lost.
const PATIENCE: Duration = Duration::from_secs(3);

/// Every op that leaves a result, one of each accumulator and the histogram.
pub const PROGRAM: &str = "crc32c,counteq:0,fnv64,len,hist8";

/// A file of `testdata/`.
pub fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(name)
}

/// The sound captures, in order of their names.
pub fn captures() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(testdata("")).expect("testdata is committed");
    let mut paths: Vec<_> = folder
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|end| end == "pcap" || end == "pcapng"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 8, "the captures are committed: {paths:?}");
    paths
}

/// Rounds of a randomized test: `PFS_TEST_ROUNDS`, or `default`.
pub fn rounds(default: u64) -> u64 {
    std::env::var("PFS_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(default)
}

/// Where a test's programs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the receiver's thread.
    Inline,
    /// Behind a lane of so many slots.
    Lane(u32),
}

/// The modes that this host has cores for.
pub fn modes() -> Vec<Mode> {
    let cores = pin::allowed_cores().expect("the kernel tells");
    if cores.len() > 1 {
        return vec![Mode::Inline, Mode::Lane(4096)];
    }
    println!("skipped: lanes need two cores");
    vec![Mode::Inline]
}

/// A rule that runs `program` on every packet.
pub fn all(program: &str) -> Vec<Rule> {
    vec![Rule { program: program.into(), ..Rule::all("all") }]
}

/// A run of `source` by `rules`, not started.
pub fn spec(source: Receiver, rules: &[Rule], mode: Mode) -> RunSpec {
    let cores = pin::allowed_cores().expect("the kernel tells");
    let program = |rule: &Rule| {
        let text = if rule.program.is_empty() { "len" } else { &rule.program };
        optimize(&Program::parse(text).expect("a program"), false)
    };
    RunSpec {
        receivers: vec![ReceiverSlot { name: "test".into(), core: cores[0], source }],
        rules: RuleSet::compile(rules).expect("sound rules"),
        names: rules.iter().map(|rule| rule.name.clone()).collect(),
        programs: rules.iter().map(program).collect(),
        workers: match mode {
            Mode::Inline => Workers::RunToCompletion,
            Mode::Lane(ring_slots) => Workers::Pipeline { cores: vec![cores[1]], ring_slots },
        },
        wait: WaitStrategy::default(),
        isa: Isa::detect(),
        sampled: u32::MAX,
        stage_cycles: false,
        memory: LaneMemory::default(),
        kits: Vec::new(),
    }
}

/// A run of `program` with its engines.
pub fn with_engines(source: Receiver, program: &str, mode: Mode) -> RunSpec {
    let mut spec = spec(source, &all(program), mode);
    let program = &spec.programs[0].program;
    let engines = vec![Engines::load([program]).expect("engines").make(program)];
    spec.kits = vec![WorkerKit { engines, ..WorkerKit::default() }];
    spec
}

/// Runs payloads through one worker of `program`, an engine op; its three results and its counters.
pub fn compiled(program: &str, payloads: &[Vec<u8>]) -> ([u64; 3], BTreeMap<String, u64>) {
    let program = Program::parse(program).expect("a program");
    let made = Engines::load([&program]).expect("engines").make(&program);
    let mut compiled = Compiled::with_engines(&program, Isa::detect(), Options::default(), made);
    for part in payloads.chunks(64) {
        let mut part: Vec<Vec<u8>> = part.to_vec();
        let mut spans: Vec<&mut [u8]> = part.iter_mut().map(Vec::as_mut_slice).collect();
        compiled.run(&mut SpanBatch::of_messages(&mut spans));
    }
    compiled.finish(0, None);
    let report = compiled.engine_reports().remove(0);
    let [first, second, third, _] = compiled.results().r;
    ([first, second, third], report.counters)
}

/// Every way to receive from a link that this build has.
pub fn link_sources(interface: &str) -> Vec<SourceSpec> {
    let packet = SourceSpec::AfPacket(AfPacketSpec::new(interface));
    #[cfg(feature = "af-xdp")]
    let xdp = [XdpMode::Native, XdpMode::Generic]
        .map(|mode| SourceSpec::AfXdp(AfXdpSpec { mode, ..AfXdpSpec::new(interface) }));
    #[cfg(not(feature = "af-xdp"))]
    let xdp = [];
    [packet].into_iter().chain(xdp).collect()
}

/// Opens `from` for one thread.
pub fn open(from: &SourceSpec) -> Receiver {
    let rules = [Rule::all("all").to_xdp()];
    from.open(1, &rules).expect("opens").pop().expect("one receiver")
}

/// Runs a source that ends by itself.
pub fn run(source: Receiver, rules: &[Rule], mode: Mode) -> RunReport {
    start(spec(source, rules, mode)).expect("starts").join()
}

/// Runs a live source while `send` sends, until as many packets as it says have arrived.
pub fn run_live(spec: RunSpec, send: impl FnOnce() -> u64) -> RunReport {
    let running = start(spec).expect("starts");
    let sent = send();
    await_offered(&running, sent);
    running.stop();
    running.join()
}

/// Waits until `sent` packets are in the source's count, or none comes any more.
fn await_offered(running: &Running, sent: u64) {
    let (mut seen, mut since) = (0, Instant::now());
    while seen < sent && since.elapsed() < PATIENCE && !running.is_finished() {
        thread::sleep(Duration::from_millis(2));
        let offered = running.snapshot().books().offered;
        if offered > seen {
            (seen, since) = (offered, Instant::now());
        }
    }
}

/// Sends all of `packets`, eight at a time with a pause that loses nothing; returns how many left.
pub fn send_gently(sink: &mut impl Transmit, packets: &[Vec<u8>]) -> u64 {
    for burst in packets.chunks(8) {
        send(sink, burst);
        thread::sleep(Duration::from_micros(300));
    }
    sink.counters().sent
}

/// Sends all of `packets` as fast as the sink takes them.
pub fn send(sink: &mut impl Transmit, packets: &[Vec<u8>]) {
    let slices: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    let mut rest = &slices[..];
    while !rest.is_empty() {
        rest = &rest[sink.send(rest).expect("sends")..];
    }
    sink.flush().expect("sends");
}

/// Asserts that the run went well and that every packet is accounted for.
#[track_caller]
pub fn assert_sound(report: &RunReport, what: &str) {
    assert_eq!(report.errors, Vec::<String>::new(), "{what}");
    assert_eq!(report.books.residual, 0, "{what}: {:?}", report.books);
    assert_eq!(report.books.in_flight, 0, "{what}: {:?}", report.books);
}

/// Numbers for tests that must differ from round to round: xorshift64.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A UDP frame over IPv4 between two made-up hosts, without checksums, which nobody looks at.
pub fn udp_frame(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([0x45, 0]);
    frame.extend((28 + payload.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend(ports.0.to_be_bytes());
    frame.extend(ports.1.to_be_bytes());
    frame.extend((8 + payload.len() as u16).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}

/// A capture of `frames` in a folder that goes with the value.
pub fn save(frames: &[Vec<u8>]) -> (tempfile::TempDir, PathBuf) {
    save_cut(frames, &[])
}

/// The same, where those of `frames` that `cut` names lack their last byte.
pub fn save_cut(frames: &[Vec<u8>], cut: &[usize]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("made.pcap");
    let file = std::fs::File::create(&path).expect("creates");
    let mut writer = pcap_file::pcap::PcapWriter::new(file).expect("writes");
    for (at, frame) in frames.iter().enumerate() {
        let taken = &frame[..frame.len() - usize::from(cut.contains(&at))];
        let packet = pcap_file::pcap::PcapPacket::new(Duration::ZERO, frame.len() as u32, taken);
        writer.write_packet(&packet).expect("writes");
    }
    drop(writer);
    (folder, path)
}
