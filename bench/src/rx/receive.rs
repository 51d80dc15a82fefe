//! The receiver's process: ours, run as a peer is, so that its processor time is counted alike.
//!
//! It says `ready`, then answers each line on its standard input with one line of JSON, a
//! [`Look`], and at the input's end prints the run's report.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver as Inbox, Sender as Outbox, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;
use nix::sys::signal::{SigHandler, Signal, signal};
use pfs_dataplane::books::Books;
use pfs_dataplane::counters::{ReceiverCounters, WorkerCounters};
use pfs_dataplane::packet::Rule;
use pfs_dataplane::pin;
use pfs_dataplane::receivers::{Batch, Framing, Receive, Receiver, SourceSpec};
use pfs_dataplane::run::{ReceiverSlot, RunReport, Running, Workers, start};
use pfs_rings::{RegionView, WaitStrategy};
use serde::{Deserialize, Serialize};

use super::sender::monotonic_ns;
use crate::spec::spec;

/// EtherType of the frames that are not UDP: no protocol of the kernel listens to it.
const ETHER_TYPE: u16 = 0x88b5;
/// Longest sleep of an idle receiver, as in a run.
const NAP: Duration = Duration::from_millis(5);
/// Empty polls before it sleeps, as in a run.
const SPINS: u32 = 64;
/// Bytes of Ethernet and, where there are, of IPv4 and UDP headers before a payload.
const ETHERNET: usize = 14;

/// How our receiver is to run, as its process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ours {
    /// The source.
    pub source: SourceSpec,
    /// The program.
    pub program: String,
    /// Whether the thread spins.
    pub spin: bool,
    /// Whether to look at the times in the frames instead of running the program.
    #[serde(default)]
    pub waits: bool,
}

/// What a receiver knows at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Look {
    /// Its books since it began.
    pub(super) books: Books,
    /// Nanoseconds from a frame's time to its poll, and how many took them, since the last look;
    /// empty where the program runs.
    pub(super) waits: Vec<(u64, u64)>,
}

/// Runs until the standard input ends.
#[must_use]
pub fn receive(what: &str, core: u32) -> ExitCode {
    // A terminal's interrupt goes to all its processes; this one ends when its parent says.
    // SAFETY: ignoring a signal runs no code of ours.
    let ignored = unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) };
    let outcome = ignored
        .map_err(|error| error.to_string())
        .and_then(|_| serde_json::from_str(what).map_err(|error| error.to_string()))
        .and_then(
            |ours: Ours| if ours.waits { look_at_waits(&ours, core) } else { run(&ours, core) },
        );
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("receive: {error}");
            ExitCode::FAILURE
        }
    }
}

fn rule() -> Rule {
    let mut rule = Rule::all("all");
    rule.matches.ethertype = Some(ETHER_TYPE);
    rule
}

fn open(ours: &Ours) -> Result<(Receiver, Rule), String> {
    let udp = matches!(ours.source, SourceSpec::Udp(_));
    let rule = if udp { Rule::all("all") } else { rule() };
    let opened = ours.source.open(1, &[rule.to_xdp()]).map_err(|error| error.to_string())?;
    Ok((opened.into_iter().next().ok_or("no receiver")?, rule))
}

fn say<T: Serialize>(what: &T) -> Result<(), String> {
    let line = serde_json::to_string(what).map_err(|error| error.to_string())?;
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| error.to_string())
}

fn ready() {
    println!("ready");
    let _ = io::stdout().flush();
}

/// The run itself, as `pfs run` has it.
fn run(ours: &Ours, core: u32) -> Result<(), String> {
    let (source, rule) = open(ours)?;
    let slot = ReceiverSlot { name: "rx".into(), core, source };
    let mut spec = spec(vec![slot], rule, &ours.program, Workers::RunToCompletion)?;
    if ours.spin {
        spec.wait = WaitStrategy::Spin;
    }
    let running = start(spec).map_err(|error| error.to_string())?;
    ready();
    for line in io::stdin().lock().lines() {
        line.map_err(|error| error.to_string())?;
        say(&Look { books: running.snapshot().books(), waits: Vec::new() })?;
    }
    say(&finish(running))
}

fn finish(running: Running) -> RunReport {
    running.stop();
    running.join()
}

/// A receiver alone: polls, looks at each frame's time, gives it back.
fn look_at_waits(ours: &Ours, core: u32) -> Result<(), String> {
    let (source, _) = open(ours)?;
    let (ask, asked) = channel();
    let (answer, answers) = channel();
    let spin = ours.spin;
    let thread = thread::spawn(move || {
        pin::pin(core).map_err(|error| error.to_string())?;
        Waits::new(source, spin)?.run(&asked, &answer)
    });
    ready();
    for line in io::stdin().lock().lines() {
        line.map_err(|error| error.to_string())?;
        if ask.send(()).is_err() {
            break;
        }
        match answers.recv() {
            Ok(look) => say(&look)?,
            Err(_) => break,
        }
    }
    drop(ask);
    thread.join().map_err(|_| "the receiver's thread failed".to_owned())?
}

struct Waits {
    source: Receiver,
    view: RegionView,
    /// Bytes before a frame's payload.
    headers: usize,
    spin: bool,
    polled: u64,
    histogram: Histogram<u64>,
}

impl Waits {
    fn new(source: Receiver, spin: bool) -> Result<Self, String> {
        let headers = if source.framing() == Framing::Ethernet { ETHERNET } else { 0 };
        // Three digits, up to a minute.
        let histogram =
            Histogram::new_with_bounds(1, 60_000_000_000, 3).map_err(|error| error.to_string())?;
        let view = source.region();
        Ok(Self { source, view, headers, spin, polled: 0, histogram })
    }

    fn run(mut self, asked: &Inbox<()>, answer: &Outbox<Look>) -> Result<(), String> {
        let mut batch = Batch::default();
        let mut tokens = Vec::new();
        let mut idle = 0;
        loop {
            batch.clear();
            self.source.poll(&mut batch).map_err(|error| error.to_string())?;
            if !batch.is_empty() {
                self.look(&batch);
                tokens.clear();
                tokens.extend(batch.descs().iter().map(|desc| desc.frame));
                self.source.recycle(&tokens);
                idle = 0;
                continue;
            }
            match asked.try_recv() {
                Ok(()) => answer.send(self.answer()).map_err(|error| error.to_string())?,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
            idle += 1;
            if idle > SPINS && !self.spin {
                self.source.wait(NAP).map_err(|error| error.to_string())?;
            }
        }
    }

    /// Every frame of a batch has waited until now.
    fn look(&mut self, batch: &Batch) {
        let now = monotonic_ns();
        for desc in batch.descs() {
            self.polled += u64::from(desc.is_eom());
            if !desc.is_som() {
                continue;
            }
            // SAFETY: the frame was just polled and is on loan to this thread, which gives it back
            // only after this.
            let Some(frame) = (unsafe { self.view.bytes_mut(desc) }) else { continue };
            let stamp = frame.get(self.headers..self.headers + 8);
            if let Some(stamp) = stamp.and_then(|stamp| <[u8; 8]>::try_from(stamp).ok()) {
                self.histogram.saturating_record(now.saturating_sub(u64::from_le_bytes(stamp)));
            }
        }
    }

    fn answer(&mut self) -> Look {
        let receivers = ReceiverCounters { delivered: self.polled, ..Default::default() };
        let workers = WorkerCounters { consumed: self.polled, ..Default::default() };
        let books = Books::close(&self.source.counters(), &receivers, &workers, 0);
        let waits = self
            .histogram
            .iter_recorded()
            .map(|step| (step.value_iterated_to(), step.count_at_value()))
            .collect();
        self.histogram.reset();
        Look { books, waits }
    }
}
