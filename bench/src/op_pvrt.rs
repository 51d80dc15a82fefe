//! The op `pvrt` in a worker, from frames in memory: windows of references, and windows as they are.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use pfs_dataplane::ops::Engines;
use pfs_dataplane::ops::pvrt::pfs_pvrt::wire::{
    BodyWriter, Cipher, Destination, Framer, HeldSpace, Key, Lane, LaneSettings, Pack, Payload,
    Transfer, TransferSpec, Transfers, body, window_digest,
};
use pfs_dataplane::ops::pvrt::pfs_pvrt::{Piece, Ref, Space, Transform, Window, rebuild};
use pfs_dataplane::packet::Rule;
use pfs_dataplane::receivers::memory::{MemoryReceiver, MemorySpec};
use pfs_dataplane::receivers::{Framing, Receiver};
use pfs_dataplane::run::{ReceiverSlot, WorkerKit, Workers, start};
use pfs_dataplane::transmitters::Transmit;
use pfs_dataplane::transmitters::frames::{UDP_HEADERS, UdpAddresses, write_udp};
use pfs_dataplane::transmitters::pcap::{PcapSinkSpec, PcapWriter};
use serde::Serialize;

use crate::host::{cycles, two_cores};
use crate::interrupt;
use crate::report::{Report, Table, Target};
use crate::spec::spec;
use crate::stats::Spread;

/// Bytes of a window.
const WINDOW: u32 = 65_536;
/// Payload bytes of a datagram.
const DATAGRAM: usize = 1_400;
/// Bytes of the blob that references point into.
const BLOB: usize = 64 << 20;
/// Spans that a worker passes on at a time.
const BATCH: usize = 64;
const ID: u32 = 1;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes of the file that is put together.
    pub bytes: u64,
    /// Runs of each row.
    pub rounds: usize,
}

/// What windows are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// References of so many bytes, several windows in a frame.
    References(u32, Transform),
    /// The bytes themselves.
    Raw,
    /// Bytes packed by zstd, about four to one.
    Packed,
}

/// One row, over all rounds.
#[derive(Clone, Debug, Serialize)]
struct Row {
    what: &'static str,
    sealed: bool,
    frames: usize,
    wire_bytes: usize,
    /// File bytes a second: a lane called directly; the op's step alone; whole runs.
    lane: Spread,
    step: Spread,
    whole: Spread,
    /// Ticks of the time-stamp counter a file byte in the op's step.
    cycles_per_byte: Spread,
    /// File bytes a second of `memcpy` from and to the same places, in the same round.
    memcpy: Spread,
}

/// A row before it is summed up.
struct Job {
    what: &'static str,
    sealed: bool,
    payloads: Vec<Vec<u8>>,
    capture: PathBuf,
    digest: u64,
    samples: [Vec<f64>; 5],
}

/// What all rows are given.
struct Bench {
    spec: TransferSpec,
    blob: Arc<Vec<u8>>,
    _folder: tempfile::TempDir,
    jobs: Vec<Job>,
}

const KINDS: [(&str, Kind); 6] = [
    ("one reference of 64 KiB", Kind::References(65_536, Transform::Identity)),
    ("64 references of 1 KiB", Kind::References(1_024, Transform::Identity)),
    ("64 references of 1 KiB, xored", Kind::References(1_024, Transform::Xor(0x5a))),
    ("64 references of 1 KiB, added to", Kind::References(1_024, Transform::Add(7))),
    ("raw as it is", Kind::Raw),
    ("raw, zstd", Kind::Packed),
];

/// Measures all rows in turn, round by round.
#[must_use]
pub fn run(settings: &Settings) -> Report {
    interrupt::watch();
    let mut report = Report::new("op-pvrt");
    let mut bench = match Bench::new(settings) {
        Ok(bench) => bench,
        Err(error) => {
            report.notes.push(error);
            return report;
        }
    };
    report.right = true;
    // Round 0 warms up and is thrown away.
    for round in 0..=settings.rounds {
        for at in (0..bench.jobs.len()).take_while(|_| !interrupt::asked()) {
            match bench.measure(at) {
                Ok(figures) if round > 0 => {
                    let samples = &mut bench.jobs[at].samples;
                    samples.iter_mut().zip(figures).for_each(|(all, one)| all.push(one));
                }
                Ok(_) => {}
                Err(error) => {
                    report.notes.push(format!("{}: {error}", bench.jobs[at].what));
                    report.right = false;
                }
            }
        }
    }
    let measured = bench.jobs.into_iter().filter(|job| !job.samples[0].is_empty());
    let rows: Vec<Row> = measured.map(Job::sum_up).collect();
    report.tables = vec![table(&rows, settings)];
    report.targets = targets(&rows);
    report.raw = serde_json::to_value(&rows).unwrap_or_default();
    report
}

impl Job {
    fn sum_up(self) -> Row {
        let wire_bytes = self.payloads.iter().map(Vec::len).sum();
        let [lane, step, whole, cycles_per_byte, memcpy] = self.samples.map(Spread::of);
        let (what, sealed, frames) = (self.what, self.sealed, self.payloads.len());
        Row { what, sealed, frames, wire_bytes, lane, step, whole, cycles_per_byte, memcpy }
    }
}

fn key() -> Key {
    Key::new(Cipher::preferred(), &[9; 32])
}

impl Bench {
    fn new(settings: &Settings) -> Result<Self, String> {
        let size = settings.bytes.next_multiple_of(WINDOW.into());
        let spec = TransferSpec { id: ID, size, window_bytes: WINDOW, anchor: 0 };
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let blob: Vec<u8> = (0..BLOB / 8).flat_map(|_| next().to_le_bytes()).collect();
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut jobs = Vec::new();
        for (what, kind) in KINDS {
            for sealed in [false, true] {
                let (payloads, digest) = frames(&spec, kind, sealed, &blob, &mut next)?;
                let capture = folder.path().join(format!("{}.pcap", jobs.len()));
                write(&capture, &payloads).map_err(|error| error.to_string())?;
                let samples = Default::default();
                jobs.push(Job { what, sealed, payloads, capture, digest, samples });
            }
        }
        Ok(Self { spec, blob: Arc::new(blob), _folder: folder, jobs })
    }

    /// Transfers with one that nothing has come of, its memory touched.
    fn transfers(&self, sealed: bool) -> Result<(Arc<Transfers>, Arc<Transfer>), String> {
        let memory = Destination::memory(self.spec.size).map_err(|error| error.to_string())?;
        memory.populate().map_err(|error| error.to_string())?;
        let space = HeldSpace::new(Arc::clone(&self.blob), |blob| Space::blob(blob));
        let transfer =
            Transfer::new(self.spec, space, memory).map_err(|error| error.to_string())?;
        let transfer = if sealed { transfer.with_key(key()) } else { transfer };
        let transfers = Arc::new(Transfers::new());
        let transfer = transfers.register(transfer).map_err(|error| error.to_string())?;
        Ok((transfers, transfer))
    }

    /// File bytes a second of a lane, of the op's step and of the whole run, cycles a byte, memcpy.
    fn measure(&self, at: usize) -> Result<[f64; 5], String> {
        let job = &self.jobs[at];
        let lane = self.lane(job)?;
        let (step, whole, ticks) = self.op(job)?;
        Ok([lane, step, whole, ticks, self.memcpy()])
    }

    /// A lane called as the op calls it.
    fn lane(&self, job: &Job) -> Result<f64, String> {
        let (transfers, transfer) = self.transfers(job.sealed)?;
        let mut lane = Lane::new(transfers, LaneSettings::default());
        let began = Instant::now();
        for batch in job.payloads.chunks(BATCH) {
            lane.batch(batch.iter().map(Vec::as_slice), 0);
        }
        let seconds = began.elapsed().as_secs_f64();
        if !transfer.is_complete() || lane.digest() != job.digest {
            return Err(format!("{:?}", lane.counters()));
        }
        Ok(self.spec.size as f64 / seconds)
    }

    /// A run of the op from a source in memory, in the receiver's thread: one core.
    fn op(&self, job: &Job) -> Result<(f64, f64, f64), String> {
        let memory = MemorySpec::capture(&job.capture, 1);
        let source = MemoryReceiver::open(&memory).map_err(|error| error.to_string())?;
        let [core, _] = two_cores();
        let slot = ReceiverSlot { name: "memory".into(), core, source: Receiver::Memory(source) };
        let mut spec = spec(vec![slot], Rule::all("all"), "pvrt", Workers::RunToCompletion)?;
        let program = &spec.programs[0].program;
        let (transfers, transfer) = self.transfers(job.sealed)?;
        let engines =
            Engines::load_with([program], transfers).map_err(|error| error.to_string())?;
        let engines = vec![engines.make(program)];
        spec.kits = vec![WorkerKit { engines, ..WorkerKit::default() }];
        let report = start(spec).map_err(|error| error.to_string())?.join();
        let rule = report.results.first().ok_or("no result")?;
        let [bytes, windows, digest, _] = rule.results.r;
        let expected = [self.spec.size, self.spec.windows(), job.digest];
        if [bytes, windows, digest] != expected || !transfer.is_complete() {
            return Err(format!(
                "{bytes} bytes, {windows} windows, {digest:#x}: not {expected:x?}"
            ));
        }
        if report.books.residual != 0 {
            return Err(format!("{:?}", report.books));
        }
        let step = rule.steps.first().ok_or("no step")?;
        let wire: usize = job.payloads.iter().map(Vec::len).sum();
        let ticks = step.cycles_per_byte() * wire as f64;
        let size = self.spec.size as f64;
        let seconds = ticks / ticks_per_second();
        Ok((size / seconds, size / report.elapsed_s, ticks / size))
    }

    /// What a copy of as many bytes from the blob into touched memory takes.
    fn memcpy(&self) -> f64 {
        let mut out = vec![1_u8; BLOB];
        let began = Instant::now();
        out.copy_from_slice(&self.blob);
        let seconds = began.elapsed().as_secs_f64();
        std::hint::black_box(&out);
        BLOB as f64 / seconds
    }
}

/// Ticks of the time-stamp counter a second.
fn ticks_per_second() -> f64 {
    static RATE: std::sync::OnceLock<f64> = std::sync::OnceLock::new();
    *RATE.get_or_init(|| {
        let (began, before) = (Instant::now(), cycles());
        std::thread::sleep(std::time::Duration::from_millis(100));
        cycles().wrapping_sub(before) as f64 / began.elapsed().as_secs_f64()
    })
}

/// The frames of a file of windows of `kind`, and the sum of its windows' digests.
fn frames(
    spec: &TransferSpec,
    kind: Kind,
    sealed: bool,
    blob: &[u8],
    next: &mut impl FnMut() -> u64,
) -> Result<(Vec<Vec<u8>>, u64), String> {
    let key = sealed.then(|| Arc::new(key()));
    let mut framer = Framer::new(ID, DATAGRAM, key);
    let mut writer = BodyWriter::new(if kind == Kind::Packed { 3 } else { 0 });
    let mut pack = Pack::new(framer.step().into());
    let (mut frames, mut digest) = (Vec::new(), 0_u64);
    let mut content = vec![0; WINDOW as usize];
    for at in 0..spec.windows() as u32 {
        let window = window(kind, blob, next);
        rebuild::window(&Space::blob(blob), &window.pieces, &window.raw, &mut content)
            .map_err(|error| error.to_string())?;
        let check = body::check(&content);
        digest = digest.wrapping_add(window_digest(ID, at, check));
        let mut body = Vec::new();
        let written = writer.write(&window, spec.from(at), check, &mut body);
        written.map_err(|error| error.to_string())?;
        if matches!(kind, Kind::References(..)) {
            if !pack.push(at, &body) {
                let mut frame = Vec::new();
                framer.pack(&pack, &mut frame);
                frames.push(frame);
                pack.clear();
                pack.push(at, &body);
            }
            continue;
        }
        let payload =
            if kind == Kind::Raw { Payload::Direct(&content, check) } else { Payload::Part(&body) };
        for fragment in 0..framer.fragments(&payload) {
            let mut frame = Vec::new();
            framer.fragment(at, &payload, fragment, &mut frame);
            frames.push(frame);
        }
    }
    if !pack.is_empty() {
        let mut frame = Vec::new();
        framer.pack(&pack, &mut frame);
        frames.push(frame);
    }
    Ok((frames, digest))
}

fn window(kind: Kind, blob: &[u8], next: &mut impl FnMut() -> u64) -> Window {
    let mut window = Window::default();
    match kind {
        Kind::References(len, transform) => {
            for _ in 0..WINDOW / len {
                let offset = next() % (blob.len() as u64 - u64::from(len));
                window.pieces.push(Piece::Ref(Ref { offset, len, transform }));
            }
        }
        Kind::Raw | Kind::Packed => {
            window.pieces.push(Piece::Raw(WINDOW));
            while window.raw.len() < WINDOW as usize {
                let word = next();
                if kind == Kind::Raw {
                    window.raw.extend_from_slice(&word.to_le_bytes());
                } else {
                    // Words of a small vocabulary, as text has.
                    window.raw.extend_from_slice(format!("item{} ", word % 500).as_bytes());
                }
            }
            window.raw.truncate(WINDOW as usize);
        }
    }
    window
}

fn targets(rows: &[Row]) -> Vec<Target> {
    let slowest = |wanted: fn(&Row) -> bool| {
        let plain = rows.iter().filter(|row| !row.sealed && wanted(row));
        plain.map(|row| row.whole.median / 1e9).fold(f64::INFINITY, f64::min)
    };
    let references = slowest(|row| row.what.contains("reference"));
    let raw = slowest(|row| row.what == "raw as it is");
    // Infinite where an interrupt left no row.
    let target = |(what, measured, least): (&str, f64, f64)| {
        let text = format!("≥ {least} GB/s of file bytes on one core");
        let target = Target::at_least(what, text, format!("{measured:.1} GB/s"), measured, least);
        measured.is_finite().then_some(target)
    };
    let asked = [
        ("op `pvrt`, windows of references", references, 3.0),
        ("op `pvrt`, windows as they are", raw, 1.0),
    ];
    asked.into_iter().filter_map(target).collect()
}

fn table(rows: &[Row], settings: &Settings) -> Table {
    let title = format!(
        "`pvrt` on {DATAGRAM}-byte datagrams from memory, one core, {} MB of file in windows of 64 KiB, a blob of {} MiB; GB/s of file bytes:",
        settings.bytes / 1_000_000,
        BLOB >> 20
    );
    let head = [
        "windows",
        "frames are",
        "wire ÷ file",
        "lane alone",
        "op's step",
        "whole run",
        "cycles/byte in the step",
        "memcpy",
    ];
    let mut table = Table::new(title, &head);
    let giga = |spread: &Spread| {
        Spread::of(spread.samples.iter().map(|rate| rate / 1e9).collect()).text(2)
    };
    for row in rows {
        table.row(vec![
            row.what.to_owned(),
            if row.sealed { "sealed" } else { "plain" }.to_owned(),
            format!("{:.4}", row.wire_bytes as f64 / settings.bytes as f64),
            giga(&row.lane),
            giga(&row.step),
            giga(&row.whole),
            row.cycles_per_byte.text(3),
            giga(&row.memcpy),
        ]);
    }
    table
}

fn write(
    path: &std::path::Path,
    payloads: &[Vec<u8>],
) -> Result<(), pfs_dataplane::transmitters::TransmitError> {
    let mut writer =
        PcapWriter::create(&PcapSinkSpec { path: path.to_owned() }, Framing::Ethernet)?;
    for payload in payloads {
        let mut frame = vec![0; (UDP_HEADERS + payload.len()).max(60)];
        frame[UDP_HEADERS..][..payload.len()].copy_from_slice(payload);
        write_udp(&mut frame, payload.len(), &UdpAddresses::default());
        writer.send(&[&frame])?;
    }
    writer.flush()
}
