//! The op `token` in a worker, beside its engine called directly on the same payloads.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use pfs_dataplane::ops::Engines;
use pfs_dataplane::ops::token::Digest;
use pfs_dataplane::ops::token::pfs_token::{Encoder, Vocabulary};
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

/// Spans that a worker passes on at a time.
const BATCH: usize = 64;
/// Frames in memory, at least: the source waits for one that is on loan.
const FRAMES: usize = 4096;
/// Least share of the engine's own rate that the op is to reach.
const SHARE: f64 = 0.9;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Text that payloads are cut from.
    pub text: PathBuf,
    /// Vocabulary.
    pub vocab: String,
    /// Bytes of a payload.
    pub payload: usize,
    /// Bytes of text in each run, at least.
    pub bytes: u64,
    /// Runs of each row.
    pub rounds: usize,
}

/// The two ways that are held against each other.
const ALONE: &str = "engine alone, batches of 64";
const BEHIND_LANE: &str = "op, in a worker behind a lane";

/// One way, over all rounds.
#[derive(Clone, Debug, Serialize)]
struct Row {
    way: &'static str,
    bytes_per_second: Spread,
    cycles_per_byte: Spread,
}

/// A run's figures: bytes a second, ticks a byte.
type Figures = (f64, f64);
/// One run of a way.
type Way<'a> = &'a dyn Fn() -> Result<Figures, String>;

/// What all ways are given.
struct Bench {
    settings: Settings,
    payloads: Vec<Vec<u8>>,
    loops: u64,
    capture: PathBuf,
    vocab: Arc<Vocabulary>,
    /// Tokens and digest of one loop.
    expected: [u64; 2],
    _folder: tempfile::TempDir,
}

/// Measures all ways in turn, round by round.
#[must_use]
pub fn run(settings: &Settings) -> Report {
    interrupt::watch();
    let mut report = Report::new("op-token");
    let bench = match Bench::new(settings) {
        Ok(bench) => bench,
        Err(error) => {
            report.notes.push(error);
            return report;
        }
    };
    let ways: [(&'static str, Way<'_>); 4] = [
        (ALONE, &|| bench.engine()),
        (BEHIND_LANE, &|| bench.op("", false)),
        ("op, in the receiver's thread", &|| bench.op("", true)),
        ("op, mode=flow, behind a lane", &|| bench.op(",mode=flow", false)),
    ];
    let mut figures = vec![(Vec::new(), Vec::new()); ways.len()];
    report.right = true;
    // Round 0 warms up and is thrown away.
    for round in 0..=settings.rounds {
        let turns = ways.iter().zip(&mut figures).take_while(|_| !interrupt::asked());
        for ((name, way), (rates, ticks)) in turns {
            match way() {
                Ok((rate, tick)) if round > 0 => {
                    rates.push(rate);
                    ticks.push(tick);
                }
                Ok(_) => {}
                Err(error) => {
                    report.notes.push(format!("{name}: {error}"));
                    report.right = false;
                }
            }
        }
    }
    let rows: Vec<Row> = ways
        .iter()
        .zip(figures)
        .filter(|(_, (rates, _))| !rates.is_empty())
        .map(|((way, _), (rates, ticks))| Row {
            way,
            bytes_per_second: Spread::of(rates),
            cycles_per_byte: Spread::of(ticks),
        })
        .collect();
    report.tables = vec![bench.table(&rows)];
    report.targets = target(&rows).into_iter().collect();
    report.raw = serde_json::to_value(&rows).unwrap_or_default();
    report
}

/// `None` where one of the two was not measured.
fn target(rows: &[Row]) -> Option<Target> {
    let rate = |way: &str| {
        let row = rows.iter().find(|row| row.way == way);
        row.map(|row| row.bytes_per_second.median)
    };
    let share = rate(BEHIND_LANE)? / rate(ALONE)?.max(1.0);
    Some(Target::at_least(
        "op `token` in the worker ÷ engine alone",
        format!("≥ {SHARE} × with payloads from memory"),
        format!("{share:.2} ×"),
        share,
        SHARE,
    ))
}

impl Bench {
    fn new(settings: &Settings) -> Result<Self, String> {
        let text = std::fs::read(&settings.text)
            .map_err(|error| format!("reading {}: {error}", settings.text.display()))?;
        let once = text.chunks(settings.payload.max(1));
        let times = FRAMES.div_ceil(once.len().max(1));
        let payloads: Vec<Vec<u8>> =
            (0..times).flat_map(|_| once.clone().map(<[u8]>::to_vec)).collect();
        let vocab =
            Vocabulary::open(&settings.vocab).map(Arc::new).map_err(|error| error.to_string())?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let capture = folder.path().join("text.pcap");
        write(&capture, &payloads).map_err(|error| error.to_string())?;
        let mut expected = [0u64; 2];
        let mut encoder = Encoder::new(Arc::clone(&vocab));
        for payload in &payloads {
            let mut ids = Vec::new();
            encoder.encode_into(payload, &mut ids).map_err(|error| error.to_string())?;
            expected[0] += ids.len() as u64;
            expected[1] = expected[1].wrapping_add(Digest::of(&ids));
        }
        let each = payloads.iter().map(Vec::len).sum::<usize>() as u64;
        let loops = settings.bytes.div_ceil(each.max(1)).max(1);
        let settings = settings.clone();
        Ok(Self { settings, payloads, loops, capture, vocab, expected, _folder: folder })
    }

    fn bytes(&self) -> f64 {
        self.payloads.iter().map(Vec::len).sum::<usize>() as f64 * self.loops as f64
    }

    /// The engine, as the op calls it and no more.
    fn engine(&self) -> Result<Figures, String> {
        let mut encoder = Encoder::new(Arc::clone(&self.vocab));
        let (mut ids, mut ends) = (Vec::new(), Vec::new());
        let texts: Vec<&[u8]> = self.payloads.iter().map(Vec::as_slice).collect();
        let mut tokens = 0;
        let (began, before) = (Instant::now(), cycles());
        for _ in 0..self.loops {
            for batch in texts.chunks(BATCH) {
                ids.clear();
                ends.clear();
                encoder.encode_batch(batch, &mut ids, &mut ends).map_err(|e| e.to_string())?;
                tokens += ids.len() as u64;
            }
        }
        let (seconds, ticks) = (began.elapsed().as_secs_f64(), cycles().wrapping_sub(before));
        if tokens != self.expected[0] * self.loops {
            return Err(format!("{tokens} tokens"));
        }
        Ok((self.bytes() / seconds, ticks as f64 / self.bytes()))
    }

    /// A run of the op with `options`, from a source in memory.
    fn op(&self, options: &str, inline: bool) -> Result<Figures, String> {
        let memory = MemorySpec::capture(&self.capture, self.loops);
        let source = MemoryReceiver::open(&memory).map_err(|error| error.to_string())?;
        let [core, worker] = two_cores();
        let slot = ReceiverSlot { name: "memory".into(), core, source: Receiver::Memory(source) };
        let workers = if inline {
            Workers::RunToCompletion
        } else {
            Workers::Pipeline { cores: vec![worker], ring_slots: 4096 }
        };
        let program = format!("token:{}{options}", self.settings.vocab);
        let mut spec = spec(vec![slot], Rule::all("all"), &program, workers)?;
        let program = &spec.programs[0].program;
        let engines = Engines::load([program]).map_err(|error| error.to_string())?;
        let engines = vec![engines.make(program)];
        spec.kits = vec![WorkerKit { engines, ..WorkerKit::default() }];
        let report = start(spec).map_err(|error| error.to_string())?.join();
        let rule = report.results.first().ok_or("no result")?;
        let [tokens, digest, ..] = rule.results.r;
        let expected = self.expected.map(|one| one.wrapping_mul(self.loops));
        if options.is_empty() && [tokens, digest] != expected {
            return Err(format!("tokens and digest {tokens}, {digest:#x}: not {expected:x?}"));
        }
        if report.books.residual != 0 || tokens == 0 {
            return Err(format!("{:?}", report.books));
        }
        let step = rule.steps.first().ok_or("no step")?;
        Ok((self.bytes() / report.elapsed_s, step.cycles_per_byte()))
    }

    fn table(&self, rows: &[Row]) -> Table {
        let tokens = self.expected[0] as f64;
        let title = format!(
            "`token:{}` on {}-byte payloads of {} ({:.2} bytes a token); rates of whole runs, start and stop included:",
            self.settings.vocab,
            self.settings.payload,
            self.settings.text.display(),
            self.bytes() / self.loops as f64 / tokens.max(1.0)
        );
        let mut table = Table::new(title, &["way", "MB/s", "cycles/byte in the op"]);
        for row in rows {
            let mega = row.bytes_per_second.samples.iter().map(|rate| rate / 1e6).collect();
            table.row(vec![
                row.way.to_owned(),
                Spread::of(mega).text(0),
                row.cycles_per_byte.text(2),
            ]);
        }
        table
    }
}

fn write(
    path: &std::path::Path,
    payloads: &[Vec<u8>],
) -> Result<(), pfs_dataplane::transmitters::TransmitError> {
    let mut writer =
        PcapWriter::create(&PcapSinkSpec { path: path.to_owned() }, Framing::Ethernet)?;
    for (at, payload) in (0..).zip(payloads) {
        let mut frame = vec![0; (UDP_HEADERS + payload.len()).max(60)];
        frame[UDP_HEADERS..][..payload.len()].copy_from_slice(payload);
        write_udp(&mut frame, payload.len(), &UdpAddresses::default().flow(at % 8));
        writer.send(&[&frame])?;
    }
    writer.flush()
}
