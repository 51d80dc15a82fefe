//! A receiver's process: started at the receiver's end of the wire, asked, and ended.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver as Inbox, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pfs_dataplane::run::RunReport;

use super::contender::Peer;
use super::receive::{Look, Ours};
use super::wire::Wire;
use crate::host::{cpu_ns, run_on};

/// How long a receiver may take to start, to answer or to end.
const PATIENCE: Duration = Duration::from_secs(15);
/// Until the threads of one that has started sleep or spin.
const SETTLE: Duration = Duration::from_millis(100);

/// Cores of a trial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cores {
    /// The receiver's.
    pub(super) receiver: u32,
    /// The sender's.
    pub(super) sender: u32,
}

/// A process that is killed when the value goes, and when this process does.
#[derive(Debug)]
struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    log: tempfile::NamedTempFile,
}

impl Process {
    /// Starts `command` on `cores` at the receiver's end; what it says of itself goes to a log,
    /// and its standard output too unless that is `piped`.
    fn start(
        mut command: Command,
        wire: &Wire,
        cores: &[u32],
        piped: bool,
    ) -> Result<(Self, Option<ChildStdout>), String> {
        let log = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
        let to_log = || log.reopen().map(Stdio::from).map_err(|error| error.to_string());
        let out = if piped { Stdio::piped() } else { to_log()? };
        command.stdin(Stdio::piped()).stdout(out).stderr(to_log()?);
        // SAFETY: between fork and exec only one system call is made, which allocates nothing.
        unsafe {
            command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(Into::into));
        }
        // A child keeps to its parent's cores.
        run_on(cores)?;
        let spawned = wire.at_receiver(|| command.spawn());
        let mut child = spawned.map_err(|error| format!("starting {command:?}: {error}"))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        Ok((Self { child, stdin, log }, stdout))
    }

    fn text(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(self.log.path()) {
            let _ = file.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().ok().flatten().is_some()
    }

    fn cpu(&self) -> Result<u64, String> {
        cpu_ns(self.child.id()).ok_or_else(|| format!("it ended: {}", tail(&self.text())))
    }

    fn wait(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().map_err(|error| error.to_string())?.is_none() {
            if Instant::now() > deadline {
                return Err(format!("it did not end within {} s", PATIENCE.as_secs()));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already, as a rule; then both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Our receiver, which can be asked while it runs.
#[derive(Debug)]
pub(super) struct OurReceiver {
    process: Process,
    lines: Inbox<String>,
}

impl OurReceiver {
    /// Starts it and waits until it receives.
    ///
    /// # Errors
    /// What it said instead.
    pub(super) fn start(ours: &Ours, wire: &Wire, cores: Cores) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let what = serde_json::to_string(ours).map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.args(["rx", "receive", "--core", &cores.receiver.to_string(), "--what", &what]);
        let (process, stdout) = Process::start(command, wire, &[cores.receiver], true)?;
        run_on(&[cores.sender])?;
        let stdout = stdout.ok_or("a process without standard output")?;
        let (says, lines) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.take_while(|line| says.send(line.clone()).is_ok()).for_each(drop);
        });
        let mut receiver = Self { process, lines };
        while receiver.line()? != "ready" {}
        thread::sleep(SETTLE);
        Ok(receiver)
    }

    /// What it knows now.
    ///
    /// # Errors
    /// When it ended, or does not answer.
    pub(super) fn look(&mut self) -> Result<Look, String> {
        let stdin = self.process.stdin.as_mut().ok_or("it was told to end")?;
        if writeln!(stdin, "look").is_err() {
            return Err(self.lost());
        }
        let line = self.line()?;
        serde_json::from_str(&line).map_err(|error| format!("{error} in its answer {line:?}"))
    }

    /// Processor time of its threads so far, in nanoseconds.
    ///
    /// # Errors
    /// When it ended.
    pub(super) fn cpu(&self) -> Result<u64, String> {
        self.process.cpu()
    }

    /// Ends it; its whole account, where it ran a program.
    ///
    /// # Errors
    /// When it does not end, or gives none.
    pub(super) fn end(mut self) -> Result<Option<RunReport>, String> {
        drop(self.process.stdin.take());
        self.process.wait()?;
        let last = self.lines.iter().find(|line| line.starts_with('{'));
        last.map(|line| serde_json::from_str(&line).map_err(|error| error.to_string())).transpose()
    }

    fn line(&mut self) -> Result<String, String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => Err("it does not answer".to_owned()),
            Err(RecvTimeoutError::Disconnected) => Err(self.lost()),
        }
    }

    fn lost(&mut self) -> String {
        // What it wrote last is there once it has ended.
        let _ = self.process.wait();
        format!("it ended: {}", tail(&self.process.text()))
    }
}

/// A program of others, which says what it got when it ends.
#[derive(Debug)]
pub(super) struct PeerReceiver<'a> {
    process: Process,
    peer: &'a Peer,
}

impl<'a> PeerReceiver<'a> {
    /// Starts it and waits until it receives.
    ///
    /// # Errors
    /// What it said instead.
    pub(super) fn start(peer: &'a Peer, wire: &Wire, cores: Cores) -> Result<Self, String> {
        let mut command = Command::new(&peer.command[0]);
        command.args(&peer.command[1..]);
        // DPDK gives each of its threads a core by itself.
        let both = [cores.receiver, cores.sender];
        let (process, _) =
            Process::start(command, wire, if peer.dpdk { &both } else { &both[..1] }, false)?;
        run_on(&[cores.sender])?;
        let mut receiver = Self { process, peer };
        receiver.wait_until_ready(wire)?;
        Ok(receiver)
    }

    fn wait_until_ready(&mut self, wire: &Wire) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let word = self.peer.ready;
            let ready = if word.is_empty() {
                wire.at_receiver(packet_sockets) > 0
            } else {
                self.process.text().contains(word)
            };
            if ready {
                thread::sleep(SETTLE);
                return Ok(());
            }
            if self.process.has_ended() || Instant::now() > deadline {
                return Err(format!("it did not start: {}", tail(&self.process.text())));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Processor time of its threads so far, in nanoseconds.
    ///
    /// # Errors
    /// When it ended.
    pub(super) fn cpu(&self) -> Result<u64, String> {
        self.process.cpu()
    }

    /// Ends it: packets received, and those that it says were lost.
    ///
    /// # Errors
    /// When it does not end, or says no number.
    pub(super) fn end(mut self) -> Result<(u64, u64), String> {
        let pid = Pid::from_raw(self.process.child.id().cast_signed());
        kill(pid, Signal::SIGINT).map_err(|error| error.to_string())?;
        self.process.wait()?;
        let text = self.process.text();
        let received = self.peer.received.find(&text);
        let received = received.ok_or_else(|| format!("no count in: {}", tail(&text)))?;
        Ok((received, self.peer.lost.find(&text).unwrap_or(0)))
    }
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
