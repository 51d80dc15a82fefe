//! One leg: a capture through a backend, as a plan like any other.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use pfs_dataplane::packet::Rule;
use pfs_dataplane::pcpu::{Compiled, Isa, Program, SpanBatch};
use pfs_dataplane::privilege::{
    self, CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW, CAP_PERFMON, CAP_SYS_ADMIN,
};
use pfs_dataplane::receivers::SourceSpec;
use pfs_dataplane::run::{RuleResults, RunReport, Running, start};
use pfs_dataplane::{books::Books, pin};

use super::capture::Capture;
#[cfg(feature = "dpdk")]
use super::dpdk::{self, Vdev};
use super::live::{self, Sender};
use super::place::Place;
use super::replies::{Answers, Replies};
use super::report::Row;
use super::store::FLOWS;
use super::text::{self, Text};
#[cfg(feature = "dpdk")]
use super::work::Work;
use crate::kv;
use crate::plan::{
    KvServer, LaneMode, Lanes, Limits, Memory, Plan, SCHEMA_VERSION, Sinks, Source, source,
};
use crate::run::prepare;

/// Name of a leg's rule.
const RULE: &str = "all";
/// How long a live leg waits without progress for what was sent to arrive.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a veth pair with packet sockets at its ends needs.
const LINKS: [(u32, &str); 3] = [
    (CAP_SYS_ADMIN, "CAP_SYS_ADMIN (a network namespace)"),
    (CAP_NET_ADMIN, "CAP_NET_ADMIN (a veth pair)"),
    (CAP_NET_RAW, "CAP_NET_RAW (packet sockets)"),
];

/// A backend as smoke uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    Memory,
    Pcap,
    Udp,
    AfPacket,
    AfXdpNative,
    AfXdpGeneric,
    #[cfg(feature = "dpdk")]
    Dpdk(Vdev),
    /// A device of DPDK that was given.
    #[cfg(feature = "dpdk")]
    Device,
}

impl Backend {
    /// Those of a place; memory is there always, for its digests.
    fn at(place: &Place) -> Vec<Self> {
        if !place.is_given() {
            return Self::all();
        }
        let mut given = vec![Self::Memory];
        if place.link.is_some() {
            given.extend([Self::AfPacket, Self::AfXdpNative, Self::AfXdpGeneric]);
        }
        #[cfg(feature = "dpdk")]
        given.extend(place.device.is_some().then_some(Self::Device));
        given
    }

    fn all() -> Vec<Self> {
        let kernel = [
            Self::Memory,
            Self::Pcap,
            Self::Udp,
            Self::AfPacket,
            Self::AfXdpNative,
            Self::AfXdpGeneric,
        ];
        #[cfg(feature = "dpdk")]
        return kernel.into_iter().chain(Vdev::ALL.map(Self::Dpdk)).collect();
        #[cfg(not(feature = "dpdk"))]
        kernel.into()
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pcap => "pcap",
            Self::Udp => "udp",
            Self::AfPacket => "af_packet",
            Self::AfXdpNative => "af_xdp-native",
            Self::AfXdpGeneric => "af_xdp-generic",
            #[cfg(feature = "dpdk")]
            Self::Dpdk(vdev) => vdev.name(),
            #[cfg(feature = "dpdk")]
            Self::Device => "dpdk",
        }
    }

    /// Whether `capture` can come over it: every frame, and answers where it has any.
    #[cfg_attr(
        not(feature = "dpdk"),
        allow(unused_variables, clippy::unused_self, reason = "a device may not")
    )]
    pub(super) fn takes(self, capture: &Capture) -> bool {
        #[cfg(feature = "dpdk")]
        if let Self::Dpdk(vdev) = self {
            return matches!(capture.work, Work::Digests) && vdev.takes(capture);
        }
        true
    }

    /// Packets that may be under way: as many as the smallest buffer on its way holds.
    fn holds(self) -> u64 {
        match self {
            Self::Udp => 256,
            #[cfg(feature = "dpdk")]
            Self::Dpdk(_) | Self::Device => 128,
            _ => 1024,
        }
    }

    /// Whether packets come with headers that tell flows apart.
    pub(super) fn keeps_flows(self) -> bool {
        self != Self::Udp
    }

    /// What it needs and this process lacks.
    fn lack(self) -> Option<String> {
        let caps: &[(u32, &str)] = match self {
            Self::Memory | Self::Pcap | Self::Udp => return None,
            // What it needs its driver says.
            #[cfg(feature = "dpdk")]
            Self::Device => return None,
            Self::AfPacket => &LINKS,
            #[cfg(feature = "dpdk")]
            Self::Dpdk(vdev) if !vdev.needs_links() => return None,
            #[cfg(feature = "dpdk")]
            Self::Dpdk(_) => &LINKS,
            Self::AfXdpNative | Self::AfXdpGeneric => &[
                (CAP_SYS_ADMIN, "CAP_SYS_ADMIN (a network namespace)"),
                (CAP_NET_ADMIN, "CAP_NET_ADMIN (a veth pair and XDP)"),
                (CAP_NET_RAW, "CAP_NET_RAW (AF_XDP sockets)"),
                (CAP_BPF, "CAP_BPF (the XDP program)"),
                (CAP_PERFMON, "CAP_PERFMON (the XDP program's verifier)"),
            ],
        };
        let missing: Vec<&str> =
            caps.iter().filter(|(cap, _)| !privilege::has(*cap)).map(|(_, name)| *name).collect();
        if !missing.is_empty() {
            return Some(format!("lacks {}; run it as root", missing.join(", ")));
        }
        let xdp = [Self::AfXdpNative, Self::AfXdpGeneric].contains(&self);
        if xdp && !cfg!(feature = "af-xdp") {
            return Some("not in this build; `just smoke` builds it where clang, libclang, libelf, zlib and m4 are installed".to_owned());
        }
        None
    }
}

/// What this host can run.
#[derive(Debug)]
pub(super) struct Bench {
    backends: Vec<Backend>,
    left_out: Vec<String>,
    cores: Vec<u32>,
    place: Place,
}

impl Bench {
    pub(super) fn probe(place: &Place) -> Self {
        let (mut backends, mut left_out) = (Vec::new(), Vec::new());
        for backend in Backend::at(place) {
            match backend.lack().or_else(|| refusal(backend, place)) {
                None => backends.push(backend),
                Some(lack) => left_out.push(format!("{}: {lack}", backend.name())),
            }
        }
        let cores = pin::allowed_cores().unwrap_or_default();
        Self { backends, left_out, cores, place: place.clone() }
    }

    pub(super) fn backends(&self) -> impl Iterator<Item = Backend> + '_ {
        self.backends.iter().copied()
    }

    pub(super) fn left_out(&self) -> Vec<String> {
        self.left_out.clone()
    }

    /// One source and one worker; all in the source's threads where there is no core more.
    fn plan(&self, from: SourceSpec, capture: &Capture) -> Result<Plan, String> {
        let threads = from.threads().map_err(|error| error.to_string())?;
        let text = capture.work.text();
        let program = capture.work.program()?;
        let pipeline = self.cores.len() > threads;
        let cores = self.cores.iter().copied();
        Ok(Plan {
            schema_version: SCHEMA_VERSION,
            sources: vec![Source {
                name: "smoke".into(),
                cores: cores.clone().take(threads).collect(),
                from,
            }],
            rules: vec![Rule { program, ids: text.map(|_| text::SINK.into()), ..Rule::all(RULE) }],
            lanes: Lanes {
                mode: if pipeline { LaneMode::Pipeline } else { LaneMode::RunToCompletion },
                worker_cores: cores.skip(threads).take(1).collect(),
                ..Lanes::default()
            },
            memory: Memory::default(),
            sinks: Sinks { ids: text.map(Text::sink).into_iter().collect(), ..Sinks::default() },
            servers: capture.work.load().iter().map(|_| server()).collect(),
            limits: Limits { seconds: Some(60.0), ..Limits::default() },
            granted: None,
            optimizer: Vec::new(),
            environment: None,
        })
    }
}

/// Why the driver of an interface that was given has no native XDP, in the kernel's words: such a
/// driver has none to be tried.
fn refusal(backend: Backend, place: &Place) -> Option<String> {
    let link = place.link.as_ref().filter(|_| backend == Backend::AfXdpNative)?;
    let from = source(&native(&link.rx)).ok()?;
    let opened = from.threads().and_then(|threads| from.open(threads, &[Rule::all(RULE).to_xdp()]));
    opened.err().map(|error| error.to_string())
}

/// The source on an interface whose driver runs the XDP program itself.
fn native(interface: &str) -> String {
    format!("af_xdp:{interface},mode=native")
}

/// One capture through one backend.
#[derive(Debug)]
pub(super) struct Leg<'a> {
    pub(super) capture: &'a Capture,
    pub(super) backend: Backend,
}

impl Leg<'_> {
    pub(super) fn name(&self) -> String {
        let Capture { name, work, .. } = self.capture;
        format!("{}/{name}/{}", work.kind(), self.backend.name())
    }

    /// Runs the leg in a thread of its own, which may enter a namespace and take it along.
    pub(super) fn run(&self, bench: &Bench) -> Row {
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| self.outcome(bench)).join().unwrap_or_else(|_| Err("panicked".into()))
        });
        match outcome {
            Ok((plan, report, replies)) => self.row(Some(plan), Some(report), &replies, Vec::new()),
            Err(error) => self.row(None, None, &Answers::default(), vec![error]),
        }
    }

    /// The end that receives, and the one that sends where the first has not the packets itself.
    fn ends(&self, place: &Place) -> Result<(SourceSpec, Option<Sender>), String> {
        let path = self.capture.path.display();
        let link = || Sender::link(place.link.as_ref().map(|link| link.tx.as_str()));
        let rx = place.link.as_ref().map_or(live::RX, |link| link.rx.as_str());
        let (from, sender) = match self.backend {
            Backend::Memory => (format!("memory:,content.capture.path={path}"), None),
            Backend::Pcap => (format!("pcap:{path}"), None),
            Backend::Udp => {
                Sender::udp().map(|(to, sender)| (format!("udp:{to}"), Some(sender)))?
            }
            Backend::AfPacket => (format!("af_packet:{rx},promiscuous=true"), Some(link()?)),
            Backend::AfXdpNative => (native(rx), Some(link()?)),
            Backend::AfXdpGeneric => (format!("af_xdp:{rx},mode=generic"), Some(link()?)),
            #[cfg(feature = "dpdk")]
            Backend::Dpdk(vdev) => {
                let (port, peer) = vdev.open(self.capture)?;
                return Ok((SourceSpec::Dpdk(port), Some(Sender::Device(peer))));
            }
            #[cfg(feature = "dpdk")]
            Backend::Device => {
                let (port, peer) = dpdk::given(place)?;
                return Ok((SourceSpec::Dpdk(port), Some(Sender::Device(peer))));
            }
        };
        Ok((source(&from)?, sender))
    }

    /// The plan with what was granted, the run's report, and what was answered.
    fn outcome(&self, bench: &Bench) -> Result<(Plan, RunReport, Answers), String> {
        let (from, mut sender) = self.ends(&bench.place)?;
        let mut asked = bench.plan(from, self.capture)?;
        let mut replies = None;
        if let Some(file) = self.capture.work.replies() {
            let sockets = sender.as_ref().map_or(Ok(Vec::new()), |sender| sender.sockets(FLOWS))?;
            replies = Some(Replies::ask(&mut asked, self.backend, &file, sockets));
        }
        let prepared = prepare(&asked).map_err(|error| error.to_string())?;
        let mut plan = prepared.plan;
        let running = start(prepared.spec).map_err(|error| error.to_string())?;
        let mut live = Ok(());
        if let Some(sender) = &mut sender {
            let paced = Cell::new(true);
            let keep_up = |sent| {
                paced.set(paced.get() && keeps_up(&running, sent, self.backend.holds()));
            };
            let sent = sender.send(self.capture, keep_up).inspect_err(|_| running.stop())?;
            await_arrival(&running, sent);
            live = self.read_live(&plan);
            running.stop();
        }
        let mut report = running.join();
        report.errors.extend(live.err());
        report.errors.extend(prepared.servers.stop().1);
        plan.grant_lanes(report.lanes.as_ref());
        let replies = replies.map_or_else(|| Ok(Answers::default()), Replies::take)?;
        Ok((plan, report, replies))
    }

    /// Holds what the run's own server tells against the model, while the run goes on.
    fn read_live(&self, plan: &Plan) -> Result<(), String> {
        let Some(load) = self.capture.work.load() else { return Ok(()) };
        let granted = plan.granted.iter().flat_map(|granted| &granted.servers);
        let address = granted.filter_map(|server| server.resp).next();
        let address = address.ok_or("no server was granted")?;
        load.content(kv::Place::Server(address)).map_err(|why| format!("the live store: {why}"))
    }

    fn row(
        &self,
        plan: Option<Plan>,
        report: Option<RunReport>,
        replies: &Answers,
        mut errors: Vec<String>,
    ) -> Row {
        let report = report.as_ref();
        let books = report.map_or(Books::default(), |report| report.books);
        errors.extend(report.iter().flat_map(|report| report.errors.clone()));
        if books.residual != 0 {
            errors.push(format!("residual {} in {books:?}", books.residual));
        }
        let there = self.capture.payloads.len() as u64;
        if books.consumed != there {
            errors.push(format!("{} packets of the capture's {there}", books.consumed));
        }
        if books.dropped() != 0 {
            errors.push(format!("lost {} packets: {books:?}", books.dropped()));
        }
        let results = report.map_or_else(Vec::new, |report| report.results.clone());
        let mut note = None;
        if report.is_some() {
            match self.capture.work.check(&results, replies) {
                Ok(found) => note = found,
                Err(error) => errors.push(error),
            }
        }
        let workers = report.iter().flat_map(|report| &report.workers);
        let (bytes, cycles) = workers.fold((0, 0), |(bytes, cycles), worker| {
            (bytes + worker.counters.consumed_bytes, cycles + worker.counters.program_cycles)
        });
        let receiver = report.and_then(|report| report.receivers.first());
        Row {
            name: self.name(),
            backend: self.backend.name().split('-').next().unwrap_or_default().to_owned(),
            mode: receiver.map_or_else(String::new, |receiver| receiver.granted.mode.clone()),
            packets: books.consumed,
            bytes,
            digest: digest(&results),
            residual: books.residual,
            packets_per_second: books.consumed as f64
                / report.map_or(1.0, |report| report.elapsed_s.max(1e-9)),
            cycles_per_packet: cycles as f64 / books.consumed.max(1) as f64,
            books,
            results,
            note,
            ok: errors.is_empty(),
            errors,
            plan,
        }
    }
}

/// A server over the store of a leg's rule.
fn server() -> KvServer {
    let resp = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    KvServer { rule: RULE.into(), resp, cheetah: None, auth: None, core: None }
}

/// Waits until no more than `most` of the packets sent are still to be run, so that a host that is busy,
/// or a program that is slow, is no reason to lose any. Whether it came to that: packets that are
/// lost all the same are not waited for again.
fn keeps_up(running: &Running, sent: u64, most: u64) -> bool {
    let began = Instant::now();
    while sent > most && sent.saturating_sub(running.snapshot().books().consumed) > most {
        if began.elapsed() > PATIENCE || running.is_finished() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Waits until the program has run on as many packets as were sent, or none comes any more.
fn await_arrival(running: &Running, sent: u64) {
    let (mut seen, mut since) = (0, Instant::now());
    while seen < sent && since.elapsed() < PATIENCE && !running.is_finished() {
        std::thread::sleep(Duration::from_millis(5));
        let consumed = running.snapshot().books().consumed;
        if consumed > seen {
            (seen, since) = (consumed, Instant::now());
        }
    }
}

/// FNV-1a-64 of the accumulators as little-endian words, in hexadecimal.
fn digest(results: &[RuleResults]) -> String {
    let mut words: Vec<u8> =
        results.iter().flat_map(|rule| rule.results.r).flat_map(u64::to_le_bytes).collect();
    let Ok(program) = Program::parse("fnv64") else { return String::new() };
    let mut fnv = Compiled::new(&program, Isa::detect());
    fnv.run(&mut SpanBatch::of_messages(&mut [words.as_mut_slice()]));
    format!("{:016x}", fnv.results().r[0])
}
