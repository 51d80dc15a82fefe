//! The op `pvrt`: frames from every source to files, over several runs and beside what is no frame.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Random, modes, open, run_live, save, send_gently, udp_frame, with_engines};
use pfs_dataplane::netns::{NetNs, VethOptions};
use pfs_dataplane::ops::pvrt::pfs_pvrt::wire::{
    BodyWriter, Cipher, Destination, Framer, HeldSpace, Key, Pack, Payload, Transfer, TransferSpec,
    Transfers, body, window_digest,
};
use pfs_dataplane::ops::pvrt::pfs_pvrt::{Piece, Ref, Transform, Window};
use pfs_dataplane::ops::{Engines, OpError};
use pfs_dataplane::pcpu::{Compiled, Isa, Options, Program, SpanBatch};
use pfs_dataplane::receivers::memory::MemorySpec;
use pfs_dataplane::receivers::pcap::PcapSpec;
use pfs_dataplane::receivers::udp::{UdpReceiver, UdpSpec};
use pfs_dataplane::receivers::{Receiver, SourceSpec};
use pfs_dataplane::run::{RunReport, start};
use pfs_dataplane::transmitters::af_packet::{AfPacketTransmitter, AfPacketTxSpec};
use pfs_dataplane::transmitters::udp::{UdpSender, UdpSinkSpec};

const WINDOW: u32 = 16_384;
const SECRET: [u8; 32] = [0x5a; 32];

/// A folder with a described transfer, and the file's frames: windows of references in packs, others
/// as they are, others packed by zstd in parts.
struct Case {
    folder: tempfile::TempDir,
    file: Vec<u8>,
    frames: Vec<Vec<u8>>,
    /// Bytes, windows, digest of all.
    results: [u64; 3],
}

impl Case {
    fn new(id: u32, sealed: bool) -> Self {
        let mut random = Random(0x1234_5678_9abc_def1 + u64::from(id));
        let blob: Vec<u8> = (0..200_000).map(|_| random.below(256) as u8).collect();
        let size = 20 * WINDOW as usize + 777;
        let spec = TransferSpec { id, size: size as u64, window_bytes: WINDOW, anchor: 0 };
        let key = sealed.then(|| Arc::new(Key::new(Cipher::ChaCha20Poly1305, &SECRET)));
        let mut case = Self {
            folder: tempfile::tempdir().unwrap(),
            file: Vec::new(),
            frames: Vec::new(),
            results: [spec.size, spec.windows(), 0],
        };
        let mut framer = Framer::new(id, 1_400, key);
        let (mut pack, mut writer) = (Pack::new(framer.step().into()), BodyWriter::new(3));
        for at in 0..spec.windows() as u32 {
            let window = window(at, spec.window_len(at), &blob, &mut random, &mut case.file);
            let content = &case.file[spec.begin(at) as usize..];
            let check = body::check(content);
            case.results[2] = case.results[2].wrapping_add(window_digest(id, at, check));
            let mut body = Vec::new();
            writer.write(&window, spec.from(at), check, &mut body).unwrap();
            if at % 3 == 0 {
                assert!(pack.push(at, &body));
                continue;
            }
            let payload =
                if at % 3 == 1 { Payload::Part(&body) } else { Payload::Direct(content, check) };
            for fragment in 0..framer.fragments(&payload) {
                let mut frame = Vec::new();
                framer.fragment(at, &payload, fragment, &mut frame);
                case.frames.push(frame);
            }
        }
        let mut frame = Vec::new();
        framer.pack(&pack, &mut frame);
        case.frames.push(frame);
        case.describe(spec, sealed, &blob);
        case
    }

    fn describe(&self, spec: TransferSpec, sealed: bool, blob: &[u8]) {
        let TransferSpec { id, size, window_bytes, .. } = spec;
        let hash = blake3_of(&self.file);
        fs::write(self.path("blob"), blob).unwrap();
        fs::write(self.path("secret"), "5a".repeat(32)).unwrap();
        let key = if sealed { r#""cipher":"chacha20-poly1305","key_file":"secret","# } else { "" };
        let text = format!(
            r#"{{"transfer":{id},"file":"out","size":{size},"window_bytes":{window_bytes},{key}
                 "blake3":"{hash}","space":[{{"base":0,"file":"blob"}}]}}"#
        );
        fs::write(self.path("one.transfer"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self) -> String {
        format!("pvrt:{}", self.folder.path().display())
    }

    /// Its frames in another order, some twice.
    fn shuffled(&self, random: &mut Random) -> Vec<Vec<u8>> {
        let mut frames = self.frames.clone();
        for at in 0..self.frames.len() / 4 {
            frames.push(self.frames[at * 3].clone());
        }
        for at in (1..frames.len()).rev() {
            frames.swap(at, random.below(at as u64 + 1) as usize);
        }
        frames
    }

    fn hold(&self, report: &RunReport, what: &str) {
        common::assert_sound(report, what);
        assert_eq!(report.results[0].results.r[..3], self.results, "{what}");
        assert!(fs::read(self.path("out")).unwrap() == self.file, "{what}");
        fs::remove_file(self.path("out")).unwrap();
    }
}

fn blake3_of(file: &[u8]) -> String {
    // The file's own hash, by the same library as the engine's; the file is compared as well.
    blake3::hash(file).to_hex().to_string()
}

/// Window `at`, whose bytes are appended to `file`.
fn window(at: u32, len: u32, blob: &[u8], random: &mut Random, file: &mut Vec<u8>) -> Window {
    let mut window = Window::default();
    if at.is_multiple_of(3) {
        let offset = random.below(blob.len() as u64 - u64::from(len));
        let bytes = &blob[offset as usize..][..len as usize];
        file.extend(bytes.iter().map(|byte| byte ^ at as u8));
        let transform = Transform::Xor(at as u8);
        window.pieces.push(Piece::Ref(Ref { offset, len, transform }));
    } else {
        let begin = file.len();
        file.extend((0..len).map(|_| b'a' + random.below(16) as u8));
        window.raw = file[begin..].to_vec();
        window.pieces.push(Piece::Raw(len));
    }
    window
}

/// Runs payloads through one worker of `program`; results and counters.
fn compiled(
    program: &Program,
    engines: &Engines,
    frames: &[Vec<u8>],
) -> ([u64; 3], BTreeMap<String, u64>) {
    let made = engines.make(program);
    let mut compiled = Compiled::with_engines(program, Isa::detect(), Options::default(), made);
    for part in frames.chunks(64) {
        let mut part: Vec<Vec<u8>> = part.to_vec();
        let mut spans: Vec<&mut [u8]> = part.iter_mut().map(Vec::as_mut_slice).collect();
        compiled.run(&mut SpanBatch::of_messages(&mut spans));
        compiled.tick(0, None);
    }
    compiled.finish(0, None);
    let report = compiled.engine_reports().remove(0);
    let [bytes, windows, digest, _] = compiled.results().r;
    ([bytes, windows, digest], report.counters)
}

fn ethernet(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];
    frame.extend_from_slice(payload);
    frame.resize(frame.len().max(60), 0);
    frame
}

#[test]
fn captures_and_memory_give_the_file() {
    let mut random = Random(77);
    for sealed in [false, true] {
        let case = Case::new(7, sealed);
        for mode in modes() {
            let payloads = case.shuffled(&mut random);
            let udp = payloads.iter().map(|payload| udp_frame((40_000, 9_000), payload)).collect();
            let raw: Vec<Vec<u8>> = payloads.iter().map(|payload| ethernet(payload)).collect();
            for (kind, frames) in [("UDP", udp), ("0x88B5", raw)] {
                let (_folder, path) = save(&frames);
                for from in [
                    SourceSpec::Pcap(PcapSpec::new(&path)),
                    SourceSpec::Memory(MemorySpec::capture(&path, 1)),
                ] {
                    let spec = with_engines(open(&from), &case.program(), mode);
                    let report = start(spec).unwrap().join();
                    let what = format!("{kind} by {}, {mode:?}, {sealed}", from.backend());
                    case.hold(&report, &what);
                }
            }
        }
    }
}

#[test]
fn udp_gives_the_file() {
    let case = Case::new(8, true);
    for mode in modes() {
        let listen = (Ipv4Addr::LOCALHOST, 0).into();
        let asked = UdpSpec { frame_bytes: 16384, frames: 1024, gro: true, ..UdpSpec::new(listen) };
        let receiver = UdpReceiver::open(&asked).unwrap();
        let to = UdpSinkSpec::new(receiver.local_addr());
        let mut sink = UdpSender::open(&to).unwrap();
        let spec = with_engines(Receiver::Udp(receiver), &case.program(), mode);
        let report = run_live(spec, || send_gently(&mut sink, &case.shuffled(&mut Random(5))));
        case.hold(&report, &format!("udp, {mode:?}"));
    }
}

#[test]
fn links_give_the_file() {
    let namespace = match NetNs::enter() {
        Ok(namespace) => namespace,
        Err(reason) => return println!("skipped: {reason}"),
    };
    namespace.veth_pair("tx0", "rx0", VethOptions { queues: 1, mtu: 9216 }).unwrap();
    let case = Case::new(9, false);
    for from in common::link_sources("rx0") {
        for mode in modes() {
            let spec = with_engines(open(&from), &case.program(), mode);
            let mut sink = AfPacketTransmitter::open(&AfPacketTxSpec::new("tx0")).unwrap();
            let frames: Vec<Vec<u8>> =
                case.shuffled(&mut Random(6)).iter().map(|payload| ethernet(payload)).collect();
            let report = run_live(spec, || send_gently(&mut sink, &frames));
            case.hold(&report, &format!("{}, {mode:?}", from.backend()));
        }
    }
}

#[test]
fn what_one_run_lost_another_brings() {
    let case = Case::new(3, false);
    let program = Program::parse(&case.program()).unwrap();
    let mut random = Random(99);
    let some: Vec<Vec<u8>> =
        case.frames.iter().filter(|_| random.below(100) < 90).cloned().collect();
    let (first, counters) = compiled(&program, &Engines::load([&program]).unwrap(), &some);
    assert!(first[1] < case.results[1] && counters["files"] == 0, "{counters:?}");
    assert!(!case.path("out").exists() && case.path("out.part").exists());
    let (second, counters) = compiled(&program, &Engines::load([&program]).unwrap(), &case.frames);
    assert_eq!([first[0] + second[0], first[1] + second[1]], case.results[..2]);
    assert_eq!(first[2].wrapping_add(second[2]), case.results[2]);
    assert_eq!((counters["files"], counters["wrong_files"]), (1, 0));
    assert!(counters["late"] > 0 && fs::read(case.path("out")).unwrap() == case.file);
}

#[test]
fn a_file_has_its_name_while_the_run_goes_on() {
    let case = Case::new(11, false);
    let program = Program::parse(&case.program()).unwrap();
    let engines = Engines::load([&program]).unwrap();
    let made = engines.make(&program);
    let mut worker = Compiled::with_engines(&program, Isa::detect(), Options::default(), made);
    let mut frames = case.frames.clone();
    let mut spans: Vec<&mut [u8]> = frames.iter_mut().map(Vec::as_mut_slice).collect();
    for burst in spans.chunks_mut(64) {
        worker.run(&mut SpanBatch::of_messages(burst));
    }
    worker.tick(0, None);
    let until = Instant::now() + Duration::from_secs(20);
    while !case.path("out").exists() {
        assert!(Instant::now() < until, "the file has no name");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(fs::read(case.path("out")).unwrap() == case.file);
    assert!(!case.path("out.part").exists() && !case.path("out.part.done").exists());
}

#[test]
fn workers_share_a_file() {
    let case = Case::new(4, true);
    let program = Program::parse(&case.program()).unwrap();
    let engines = Engines::load([&program]).unwrap();
    let ended: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let (program, engines, frames) = (&program, &engines, &case.frames);
                // Windows by worker, as a sender takes its port by the window.
                let mine = move |frame: &&Vec<u8>| frame[12] % 4 == worker;
                let mine: Vec<Vec<u8>> = frames.iter().filter(mine).cloned().collect();
                scope.spawn(move || compiled(program, engines, &mine))
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let sum = |at: usize| ended.iter().map(|(results, _)| results[at]).fold(0, u64::wrapping_add);
    assert_eq!([sum(0), sum(1), sum(2)], case.results);
    assert!(fs::read(case.path("out")).unwrap() == case.file);
}

#[test]
fn other_payloads_are_counted_and_left_alone() {
    let case = Case::new(5, true);
    let program = Program::parse(&case.program()).unwrap();
    let plain = Case::new(5, false);
    let foreign = Case::new(6, true);
    let mut forged = case.frames[0].clone();
    *forged.last_mut().unwrap() ^= 1;
    let bad = [
        Vec::new(),
        b"GET / HTTP/1.1".to_vec(),
        case.frames[0][..500].to_vec(),
        plain.frames[0].clone(),
        foreign.frames[0].clone(),
        forged,
    ];
    let frames = [&bad[..], &case.frames, &bad].concat();
    let (results, counters) = compiled(&program, &Engines::load([&program]).unwrap(), &frames);
    assert_eq!(results, case.results);
    let count = ["malformed", "protection", "foreign", "forged"].map(|name| counters[name]);
    assert_eq!(count, [6, 2, 2, 2], "{counters:?}");
    assert_eq!(counters["frames"], case.frames.len() as u64);
}

#[test]
fn a_frame_may_come_in_several_spans() {
    let case = Case::new(2, false);
    let program = Program::parse(&case.program()).unwrap();
    let made = Engines::load([&program]).unwrap().make(&program);
    let mut compiled = Compiled::with_engines(&program, Isa::detect(), Options::default(), made);
    for frame in &case.frames {
        let mut frame = frame.clone();
        let (front, back) = frame.split_at_mut(40);
        compiled.run(&mut SpanBatch::of_chain(&mut [front, back]));
    }
    compiled.finish(0, None);
    assert_eq!(compiled.results().r[..3], case.results);
}

#[test]
fn a_process_registers_its_own_transfers() {
    let program = Program::parse("pvrt,partials=64,memory=8MiB,idle_ms=100").unwrap();
    let refused = Engines::load([&program]).unwrap_err();
    assert!(matches!(refused, OpError::NoTransfers(_)), "{refused}");
    let transfers = Arc::new(Transfers::new());
    let engines = Engines::load_with([&program], Arc::clone(&transfers)).unwrap();
    let spec = TransferSpec { id: 1, size: 5, window_bytes: 5, anchor: 0 };
    let memory = Destination::memory(5).unwrap();
    let transfer = Transfer::new(spec, HeldSpace::default(), memory).unwrap();
    let transfer = transfers.register(transfer).unwrap();
    let mut frame = Vec::new();
    let payload = Payload::Direct(b"hello", body::check(b"hello"));
    Framer::new(1, 1_400, None).fragment(0, &payload, 0, &mut frame);
    let (results, _) = compiled(&program, &engines, &[frame]);
    assert_eq!(results[..2], [5, 1]);
    assert_eq!(transfer.window(0), Some(&b"hello"[..]));
}

#[test]
fn folders_that_do_not_do_are_refused_with_the_op() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.transfer"), "{}").unwrap();
    for dir in [folder.path(), Path::new("/nonexistent")] {
        let program = Program::parse(&format!("pvrt:{}", dir.display())).unwrap();
        let error = Engines::load([&program]).unwrap_err().to_string();
        assert!(error.starts_with("pvrt:/") && error.contains(dir.to_str().unwrap()), "{error}");
        // A trial touches no folder.
        Engines::trial([&program]).unwrap();
    }
    for text in ["pvrt:", "pvrt,partials=7", "pvrt,memory=1MiB", "pvrt,idle_ms=0", "pvrt,x=1"] {
        assert!(Program::parse(text).is_err(), "{text}");
    }
    for text in ["pvrt", "pvrt:/a/b", "pvrt:/a,partials=9,memory=9437184,idle_ms=7"] {
        assert_eq!(Program::parse(text).unwrap().to_string(), text);
    }
}
