//! One trial: start a receiver, send, look at its processor time, stop it, read its account.

use std::fs::{self, File};
use std::io::Read;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pfs_dataplane::books::Books;
use pfs_dataplane::run::RunReport;
use serde::Serialize;

use super::contender::{Contender, Ours, Peer, What};
use crate::host::{cpu_ns, run_on};
use crate::veth::{Sender, TO, link_drops};

/// How long a receiver may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(15);
/// After the last frame, how long what is on the way may take: a packet ring's last block is
/// handed over only when its time is up.
const DRAIN: Duration = Duration::from_millis(250);

/// Cores of a trial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cores {
    /// The receiver's.
    pub(super) receiver: u32,
    /// The sender's.
    pub(super) sender: u32,
}

/// What one trial gave.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Trial {
    /// Frames that the sender put on the wire.
    pub(super) sent: u64,
    /// Seconds of sending.
    pub(super) seconds: f64,
    /// Frames that the receiver says it has got.
    pub(super) delivered: u64,
    /// Frames that it says it has lost.
    pub(super) lost: u64,
    /// Frames that the pair dropped, those that an AF_XDP socket refused counted once more.
    pub(super) link_drops: u64,
    /// Frames in nobody's account: sent, and neither delivered, nor lost by the receiver or the
    /// pair, whichever counts more. A peer that does not count its losses has them here.
    pub(super) unaccounted: i64,
    /// Share of a core that the receiver's process used while frames were sent.
    pub(super) cpu: f64,
    /// Our receiver's books.
    pub(super) books: Option<Books>,
    /// Whether what our receiver computed is right; for peers always.
    pub(super) right: bool,
    /// What the kernel said was attached.
    pub(super) attached: Option<String>,
}

impl Trial {
    /// Thousands of frames delivered a second of sending.
    #[must_use]
    pub(super) fn kpps(&self) -> f64 {
        self.delivered as f64 / self.seconds / 1e3
    }
}

/// Runs one trial of `time`. The calling thread is in the pair's namespace.
///
/// # Errors
/// When the receiver does not start, is not attached as its row says, or does not report.
pub(super) fn trial(
    contender: &Contender,
    sender: &mut Sender,
    time: Duration,
    cores: Cores,
) -> Result<Trial, String> {
    let receiver = Process::start(contender, cores)?;
    let attached = attached()?;
    if attached.as_deref() != contender.attached {
        return Err(format!("attached is {attached:?}, wanted {:?}", contender.attached));
    }
    run_on(&[cores.sender])?;
    let drops = link_drops();
    let position = sender.position();
    let before = receiver.cpu()?;
    let from = Instant::now();
    let sent = sender.send(time, None).map_err(|error| error.to_string())?;
    let (used, wall) = (receiver.cpu()? - before, from.elapsed());
    thread::sleep(DRAIN);
    let account = receiver.stop()?;
    let link_drops = link_drops() - drops;
    // What an AF_XDP socket has no room for, the pair counts once more.
    let known = account.delivered + account.lost.max(link_drops);
    Ok(Trial {
        sent: sent.frames,
        seconds: sent.seconds,
        delivered: account.delivered,
        lost: account.lost,
        link_drops,
        unaccounted: sent.frames.cast_signed() - known.cast_signed(),
        cpu: used as f64 / wall.as_nanos() as f64,
        right: account.is_right(sent.frames, sender, position),
        books: account.books,
        attached,
    })
}

/// How an XDP program is attached to the receiver's end now.
///
/// # Errors
/// When the kernel does not tell.
pub(super) fn attached() -> Result<Option<String>, String> {
    let found = pfs_ebpf::attached_program(TO).map_err(|error| error.to_string())?;
    Ok(found.map(|program| program.mode.to_string()))
}

/// What a receiver says at its end.
struct Account {
    delivered: u64,
    lost: u64,
    books: Option<Books>,
    /// Digest, and payload bytes.
    computed: Option<(Option<u64>, u64)>,
}

impl Account {
    /// Whether our receiver's figures fit what was sent: exactly where nothing was lost.
    fn is_right(&self, sent: u64, sender: &Sender, from: usize) -> bool {
        let (Some(books), Some((digest, bytes))) = (self.books, self.computed) else {
            return true;
        };
        let digest_fits = match digest {
            Some(digest) if books.consumed == sent => digest == sender.digest_from(from, sent),
            _ => true,
        };
        books.residual == 0 && bytes == books.consumed * sender.payload_bytes() && digest_fits
    }
}

/// A receiver's process; killed when dropped.
struct Process<'a> {
    contender: &'a Contender,
    child: Child,
    stdin: Option<ChildStdin>,
    log: tempfile::NamedTempFile,
}

impl<'a> Process<'a> {
    fn start(contender: &'a Contender, cores: Cores) -> Result<Self, String> {
        let log = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
        let mut command = match &contender.what {
            What::Ours(ours) => own(ours, cores)?,
            What::Peer(peer) => of(peer),
        };
        // A child keeps to its parent's cores. DPDK gives each of its threads one by itself.
        let places_itself = matches!(&contender.what, What::Peer(peer) if peer.dpdk);
        let both_cores = [cores.receiver, cores.sender];
        run_on(if places_itself { &both_cores } else { &both_cores[..1] })?;
        let both = || log.reopen().map(Stdio::from).map_err(|error| error.to_string());
        command.stdin(Stdio::piped()).stdout(both()?).stderr(both()?);
        let mut child =
            command.spawn().map_err(|error| format!("starting {command:?}: {error}"))?;
        let stdin = child.stdin.take();
        let mut process = Self { contender, child, stdin, log };
        process.wait_until_ready()?;
        Ok(process)
    }

    fn text(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(self.log.path()) {
            let _ = file.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let word = match &self.contender.what {
            What::Ours(_) => "ready",
            What::Peer(peer) => peer.ready,
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ready =
                if word.is_empty() { packet_sockets() > 0 } else { self.text().contains(word) };
            if ready {
                // Until its threads sleep or spin.
                thread::sleep(Duration::from_millis(100));
                return Ok(());
            }
            if self.child.try_wait().ok().flatten().is_some() || Instant::now() > deadline {
                return Err(format!("it did not start: {}", tail(&self.text())));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn cpu(&self) -> Result<u64, String> {
        cpu_ns(self.child.id()).ok_or_else(|| format!("it ended: {}", tail(&self.text())))
    }

    fn stop(mut self) -> Result<Account, String> {
        match &self.contender.what {
            What::Ours(_) => drop(self.stdin.take()),
            What::Peer(_) => {
                let pid = Pid::from_raw(self.child.id().cast_signed());
                kill(pid, Signal::SIGINT).map_err(|error| error.to_string())?;
            }
        }
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().map_err(|error| error.to_string())?.is_none() {
            if Instant::now() > deadline {
                return Err("it did not end".to_owned());
            }
            thread::sleep(Duration::from_millis(5));
        }
        let text = self.text();
        let account = match &self.contender.what {
            What::Ours(_) => our_account(&text),
            What::Peer(peer) => peer.received.find(&text).map(|delivered| Account {
                delivered,
                lost: peer.lost.find(&text).unwrap_or(0),
                books: None,
                computed: None,
            }),
        };
        account.ok_or_else(|| format!("no account in: {}", tail(&text)))
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        // Ended already, as a rule; then both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn own(ours: &Ours, cores: Cores) -> Result<Command, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let what = serde_json::to_string(ours).map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["receive", "--core", &cores.receiver.to_string(), "--what", &what]);
    Ok(command)
}

fn of(peer: &Peer) -> Command {
    let mut command = Command::new(&peer.command[0]);
    command.args(&peer.command[1..]);
    command
}

fn our_account(text: &str) -> Option<Account> {
    let line = text.lines().find(|line| line.starts_with('{'))?;
    let report: RunReport = serde_json::from_str(line).ok()?;
    let results = &report.results.first()?.results;
    Some(Account {
        delivered: report.books.consumed,
        lost: report.books.dropped(),
        books: Some(report.books),
        computed: Some((results.get("crc32c"), results.bytes)),
    })
}

/// Packet sockets in the calling thread's namespace.
fn packet_sockets() -> usize {
    let text = fs::read_to_string("/proc/thread-self/net/packet").unwrap_or_default();
    text.lines().count().saturating_sub(1)
}

/// The last lines, in one.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(4)..].join(" / ")
}
