//! The op `kv` on packets: frames in memory through a receiver and the op into a store, without any
//! socket; millions of operations per second of this process's CPU time.

use std::path::{Path, PathBuf};

use nix::sys::resource::{UsageWho, getrusage};
use pfs_dataplane::ops::Engines;
use pfs_dataplane::packet::Rule;
use pfs_dataplane::pcpu::Program;
use pfs_dataplane::receivers::memory::{MemoryReceiver, MemorySpec};
use pfs_dataplane::receivers::{Framing, Receiver};
use pfs_dataplane::run::{ReceiverSlot, WorkerKit, Workers, start};
use pfs_dataplane::transmitters::Transmit;
use pfs_dataplane::transmitters::frames::{CaptureFrames, UDP_HEADERS, UdpAddresses, write_udp};
use pfs_dataplane::transmitters::pcap::{PcapSinkSpec, PcapWriter};
use pfs_dataplane::transmitters::replies::{ReplySink, ReplySpec};
use pfs_kv::frame::{Builder, Frame, Operation, Status};

use super::workload::{Figures, Workload, touch};
use crate::host::two_cores;
use crate::spec::spec;

const PROGRAM: &str = "kv,memory=4GiB";
/// Most bytes of a datagram's payload.
const DATAGRAM: usize = 1400;

/// Frames of one sender, on their way into a capture.
struct Load {
    writer: PcapWriter,
    builder: Builder,
    sender: u64,
    sequence: u64,
    count: u64,
}

impl Load {
    fn new(path: &Path, sender: u64) -> Result<Self, String> {
        let spec = PcapSinkSpec { path: path.to_owned() };
        let writer =
            PcapWriter::create(&spec, Framing::Ethernet).map_err(|error| error.to_string())?;
        Ok(Self { writer, builder: Builder::new(DATAGRAM), sender, sequence: 0, count: 0 })
    }

    fn push(&mut self, operation: &Operation<'_>) -> Result<(), String> {
        self.count += 1;
        if self.builder.push(operation) {
            return Ok(());
        }
        self.send()?;
        if self.builder.push(operation) { Ok(()) } else { Err("an operation fits no frame".into()) }
    }

    fn send(&mut self) -> Result<(), String> {
        self.sequence += 1;
        let payload = self.builder.finish(self.sender, self.sequence, 0, false);
        let mut frame = vec![0; (UDP_HEADERS + payload.len()).max(60)];
        frame[UDP_HEADERS..][..payload.len()].copy_from_slice(payload);
        write_udp(&mut frame, payload.len(), &UdpAddresses::default());
        self.builder.clear();
        self.writer.send(&[&frame]).map(drop).map_err(|error| error.to_string())
    }

    /// Ends the capture; the number of operations.
    fn end(mut self) -> Result<u64, String> {
        if self.builder.count() > 0 {
            self.send()?;
        }
        self.writer.flush().map_err(|error| error.to_string())?;
        Ok(self.count)
    }
}

/// What all runs are given.
struct Bench {
    engines: Engines,
    capture: PathBuf,
}

/// Measures puts and gets of `work`; files lie in `folder`.
///
/// # Errors
/// When an answer is wrong, or a run does not start.
pub(super) fn measure(work: &Workload, folder: &Path) -> Result<Figures, String> {
    let folder = tempfile::tempdir_in(folder).map_err(|error| error.to_string())?;
    let program = Program::parse(PROGRAM).map_err(|error| error.to_string())?;
    let engines = Engines::load([&program]).map_err(|error| error.to_string())?;
    let bench = Bench { engines, capture: folder.path().join("operations.pcap") };
    let mut figures = Figures::new();
    let mut note = |name: &str, (rate, cycles): (f64, f64)| {
        figures.push((format!("packet_{name}"), rate));
        figures.push((format!("packet_{name}_cycles"), cycles));
    };
    for (sender, name) in [(1, "new"), (2, "put")] {
        let mut load = Load::new(&bench.capture, sender)?;
        for (key, value) in work.keys.iter().zip(work.values.iter()) {
            load.push(&Operation::Put { key, value, expires: None })?;
        }
        note(name, bench.run(load.end()?, None)?);
    }
    // Answers are built and then thrown away; the same gets once more, and every answer read.
    note("get", bench.run(bench.gets(work, 3)?, Some(Path::new("/dev/null")))?);
    let replies = folder.path().join("replies.pcap");
    bench.run(bench.gets(work, 4)?, Some(&replies))?;
    check(&replies, work)?;
    Ok(figures)
}

impl Bench {
    fn gets(&self, work: &Workload, sender: u64) -> Result<u64, String> {
        let mut load = Load::new(&self.capture, sender)?;
        work.asked.iter().try_for_each(|key| load.push(&Operation::Get { key }))?;
        load.end()
    }

    /// Runs the capture's `count` operations in one thread: millions per second of CPU time, and
    /// ticks of the time-stamp counter for each.
    fn run(&self, count: u64, replies: Option<&Path>) -> Result<(f64, f64), String> {
        let memory = MemorySpec::capture(&self.capture, 1);
        let source = MemoryReceiver::open(&memory).map_err(|error| error.to_string())?;
        let [core, _] = two_cores();
        let slot = ReceiverSlot { name: "memory".into(), core, source: Receiver::Memory(source) };
        let mut spec = spec(vec![slot], Rule::all("all"), PROGRAM, Workers::RunToCompletion)?;
        spec.stage_cycles = true;
        let sink = replies.map(|path| {
            let to = ReplySpec::Pcap(PcapSinkSpec { path: path.to_owned() });
            ReplySink::open(&to, 0, Vec::new()).map_err(|error| error.to_string())
        });
        let engines = self.engines.make_answering(&spec.programs[0].program, sink.transpose()?);
        spec.kits = vec![WorkerKit { engines: vec![engines], ..WorkerKit::default() }];
        let before = cpu_seconds()?;
        let report = start(spec).map_err(|error| error.to_string())?.join();
        let seconds = cpu_seconds()? - before;
        let rule = report.results.first().ok_or("no result")?;
        let counters = &rule.engines.first().ok_or("no counters")?.counters;
        let of = |name: &str| counters.get(name).copied().unwrap_or_default();
        let wrong =
            of("missing") + of("no_way_back") + of("replies_dropped") + of("replies_failed");
        let answers = if replies.is_some() { count } else { 0 };
        if rule.results.r[..2] != [count, 0] || wrong > 0 || of("answers") != answers {
            return Err(format!("{count} operations: {:?}, {counters:?}", rule.results.r));
        }
        let cycles: u64 = report.workers.iter().map(|worker| worker.counters.program_cycles).sum();
        Ok((count as f64 / seconds / 1e6, cycles as f64 / count as f64))
    }
}

/// Every get was answered with its value, in order.
fn check(replies: &Path, work: &Workload) -> Result<(), String> {
    let open = CaptureFrames::open(replies, 1).map_err(|error| error.to_string())?;
    let mut source = open.payload_only();
    let (mut sum, mut answers) = (0u64, 0);
    loop {
        let burst = source.next_burst().map_err(|error| error.to_string())?;
        if burst.frames().is_empty() {
            break;
        }
        for payload in burst.frames() {
            let frame = Frame::parse(payload).map_err(|error| error.to_string())?;
            for outcome in frame.outcomes() {
                if outcome.status != Status::Done {
                    return Err(format!("wrong answer from get: {:?}", outcome.status));
                }
                answers += 1;
                sum = sum.wrapping_add(touch(outcome.value));
            }
        }
    }
    if (answers, sum) == (work.asked.len(), work.get_sum) {
        return Ok(());
    }
    Err(format!("wrong answers: {answers} of {}, sum {sum:#x}", work.asked.len()))
}

/// Seconds of CPU time that this process has used.
fn cpu_seconds() -> Result<f64, String> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).map_err(|error| error.to_string())?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}
