//! Packets, runs over them, and what the engine says by itself.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use pfs_dataplane::ops::Engines;
use pfs_dataplane::ops::ids::{Columns, IdSinkSpec, IdSinks, NamedIdSink};
use pfs_dataplane::ops::token::pfs_token::{Encoder, Vocabulary};
use pfs_dataplane::packet::Rule;
use pfs_dataplane::receivers::memory::{MemoryReceiver, MemorySpec};
use pfs_dataplane::receivers::{Framing, Receiver};
use pfs_dataplane::run::{PayloadSinks, RunReport, RunSpec, WorkerKit, start};
use pfs_dataplane::transmitters::Transmit;
use pfs_dataplane::transmitters::pcap::{PcapSinkSpec, PcapWriter};

use crate::common::{Mode, all, spec};

pub(crate) const VOCAB: &str = "r50k_base";

static VOCABULARY: LazyLock<Arc<Vocabulary>> =
    LazyLock::new(|| Arc::new(Vocabulary::open(VOCAB).unwrap()));

/// What the engine makes of a whole text.
pub(crate) fn encode(text: &[u8]) -> Vec<u32> {
    let mut ids = Vec::new();
    Encoder::new(Arc::clone(&VOCABULARY)).encode_into(text, &mut ids).unwrap();
    ids
}

/// The bytes that ids stand for.
pub(crate) fn decode(ids: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    VOCABULARY.decode_into(ids, &mut bytes).unwrap();
    bytes
}

/// Real text in many languages.
pub(crate) fn text() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/text/mixed.txt");
    std::fs::read(path).unwrap()
}

/// Source and destination ports; the addresses are always the same two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow(pub(crate) u16, pub(crate) u16);

impl Flow {
    pub(crate) const fn back(self) -> Self {
        Self(self.1, self.0)
    }
}

/// An Ethernet frame with an IPv4 packet from the lower port's host to the other's.
fn ipv4(flow: Flow, protocol: u8, fragment: u16, transport: &[u8]) -> Vec<u8> {
    let (low, high) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    let (source, destination) = if flow.0 < flow.1 { (low, high) } else { (high, low) };
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    frame.extend_from_slice(&(20 + transport.len() as u16).to_be_bytes());
    frame.extend_from_slice(&[0, 7]);
    frame.extend_from_slice(&fragment.to_be_bytes());
    frame.extend_from_slice(&[64, protocol, 0, 0]);
    frame.extend_from_slice(&source.octets());
    frame.extend_from_slice(&destination.octets());
    frame.extend_from_slice(transport);
    frame.resize(frame.len().max(60), 0xee);
    frame
}

pub(crate) fn udp(flow: Flow, payload: &[u8]) -> Vec<u8> {
    let mut header = [flow.0.to_be_bytes(), flow.1.to_be_bytes()].concat();
    header.extend_from_slice(&(8 + payload.len() as u16).to_be_bytes());
    header.extend_from_slice(&[0, 0]);
    ipv4(flow, 17, 0, &[&header, payload].concat())
}

/// A fragment of a UDP datagram: the first (`offset` 0, with its header) or a later one.
pub(crate) fn fragment(flow: Flow, offset: u16, payload: &[u8]) -> Vec<u8> {
    let mut transport = Vec::new();
    if offset == 0 {
        transport = [flow.0.to_be_bytes(), flow.1.to_be_bytes()].concat();
        transport.extend_from_slice(&[4, 0, 0, 0]);
    }
    transport.extend_from_slice(payload);
    ipv4(flow, 17, 0x2000 | offset, &transport)
}

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;

pub(crate) fn tcp(flow: Flow, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = [flow.0.to_be_bytes(), flow.1.to_be_bytes()].concat();
    header.extend_from_slice(&sequence.to_be_bytes());
    // With a time-stamp option, so that the header is not the shortest.
    header.extend_from_slice(&[0, 0, 0, 0, 8 << 4, flags | 16, 0, 9, 0, 0, 0, 0]);
    header.extend_from_slice(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    ipv4(flow, 6, 0, &[&header, payload].concat())
}

/// A source that offers `frames` once.
pub(crate) fn source(frames: &[Vec<u8>]) -> Receiver {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pcap");
    let mut writer =
        PcapWriter::create(&PcapSinkSpec { path: path.clone() }, Framing::Ethernet).unwrap();
    for frame in frames {
        writer.write(frame, frame.len() as u32, 1_700_000_000_000_000_000).unwrap();
    }
    writer.flush().unwrap();
    Receiver::Memory(MemoryReceiver::open(&MemorySpec::capture(&path, 1)).unwrap())
}

/// A run of `program` over `frames` with its ids going `to`.
pub(crate) fn with_sink(
    source: Receiver,
    program: &str,
    mode: Mode,
    to: Option<IdSinkSpec>,
) -> RunSpec {
    let rules: Vec<Rule> = all(program);
    let mut spec = spec(source, &rules, mode);
    let engines = Engines::load(spec.programs.iter().map(|program| &program.program)).unwrap();
    let named: Vec<_> = to.into_iter().map(|to| NamedIdSink { name: "ids".into(), to }).collect();
    let of_rule = vec![(!named.is_empty()).then_some(0)];
    spec.kits = vec![WorkerKit {
        engines: vec![engines.make(&spec.programs[0].program)],
        payload: PayloadSinks::default(),
        ids: IdSinks::open(&named, of_rule).unwrap(),
    }];
    spec
}

/// Runs `program` over `frames`; every packet is consumed.
pub(crate) fn run(
    frames: &[Vec<u8>],
    program: &str,
    mode: Mode,
    to: Option<IdSinkSpec>,
) -> RunReport {
    let report = start(with_sink(source(frames), program, mode, to)).unwrap().join();
    let books = report.books;
    assert_eq!((books.consumed, books.residual), (frames.len() as u64, 0), "{report:?}");
    report
}

/// The same with the ids in columns, which are read back.
pub(crate) fn columns(frames: &[Vec<u8>], program: &str, mode: Mode) -> (RunReport, Columns) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ids.u32");
    let report = run(frames, program, mode, Some(IdSinkSpec::U32 { path: path.clone() }));
    assert_eq!(report.errors, [""; 0]);
    let columns = Columns::open(&path).unwrap();
    let sink = &report.workers[0].sinks[0];
    assert_eq!(
        (sink.packets, sink.bytes),
        (columns.records().len() as u64, columns.ids().len() as u64 * 4)
    );
    (report, columns)
}

/// A counter of the token op.
pub(crate) fn counter(report: &RunReport, name: &str) -> u64 {
    report.results[0].engines[0].counters[name]
}

/// Tokens and digest.
pub(crate) fn found(report: &RunReport) -> [u64; 2] {
    let r = report.results[0].results.r;
    [r[0], r[1]]
}
