//! A server from its settings: sockets, loops, their end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

use super::connection::Protocol;
use super::engine::Engine;
use super::event_loop::{Common, EventLoop, Waker};
use super::listen::listeners;
use super::service::StoreService;
use super::{Limits, Secret, ServeError, ServerCounters};
use crate::Store;

/// What a server is to be.
#[derive(Clone, Debug, Default)]
pub struct Serve {
    /// Where RESP is spoken; port 0 takes a free one.
    pub resp: Option<SocketAddr>,
    /// Where the line grammar is spoken; port 0 takes a free one.
    pub cheetah: Option<SocketAddr>,
    /// The password that clients must know; without one only this machine's addresses are listened on.
    pub auth: Option<Secret>,
    /// What clients may take.
    pub limits: Limits,
    /// The kernel's id of the core for the loop; `None`: wherever the kernel puts it.
    pub core: Option<u32>,
}

/// A server that serves.
#[derive(Debug)]
pub struct Server {
    resp: Option<SocketAddr>,
    cheetah: Option<SocketAddr>,
    common: Arc<Common>,
    waker: Waker,
    thread: JoinHandle<Result<(), ServeError>>,
}

/// Files that the process needs besides its connections.
const OTHER_FILES: u64 = 64;

impl Serve {
    /// Starts to serve `store` on a thread of its own.
    ///
    /// # Errors
    /// [`ServeError`] when there is nothing to listen on, other machines could reach a server without a
    /// password, or the system refuses an address, files or a core.
    pub fn start(self, store: Store) -> Result<Server, ServeError> {
        self.check()?;
        let asked = self.limits.connections;
        let connections = allow_files(asked)?;
        let limits = Limits { connections, ..self.limits };
        let (resp, mut sockets) = listen(self.resp, Protocol::Resp)?;
        let (cheetah, more) = listen(self.cheetah, Protocol::Cheetah)?;
        sockets.extend(more);
        let common = Arc::new(Common::new(limits, 1));
        let waker = Waker::new()?;
        let engine = Engine::new(store);
        let syncs = waker.clone();
        engine.wake_with(move || syncs.wake());
        let service = StoreService::new(engine, common.clone(), self.auth);
        let mut event_loop = EventLoop::new(service, common.clone(), waker.clone(), sockets)?;
        let core = self.core;
        let (pinned, is_pinned) = std::sync::mpsc::channel();
        let run = move || {
            let done = core.map_or(Ok(()), pin);
            let failed = done.is_err();
            // Whoever started it is waiting for this.
            let _ = pinned.send(done);
            if failed { Ok(()) } else { event_loop.run() }
        };
        let thread = std::thread::Builder::new().name("kv-loop".into()).spawn(run);
        let thread = thread.map_err(ServeError::io("starting a thread"))?;
        is_pinned.recv().map_err(|_| ServeError::Panicked)??;
        if connections < asked {
            common.journal.note(format!(
                "{connections} connections are taken, not {asked}: `ulimit -Hn` allows no more"
            ));
        }
        common.journal.note(format!("serving {}", shown(resp, cheetah)));
        Ok(Server { resp, cheetah, common, waker, thread })
    }

    /// Serves `store` until `stop` is set, which is looked at ten times a second; `started` is told the server
    /// once it listens.
    ///
    /// # Errors
    /// As [`Serve::start`], and when the loop fails.
    pub fn run(
        self,
        store: Store,
        stop: &AtomicBool,
        started: impl FnOnce(&Server),
    ) -> Result<ServerCounters, ServeError> {
        let server = self.start(store)?;
        started(&server);
        while server.is_running() && !stop.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(100));
        }
        server.stop()
    }

    fn check(&self) -> Result<(), ServeError> {
        let addresses = [self.resp, self.cheetah];
        if addresses == [None, None] {
            return Err(ServeError::NoAddress);
        }
        let open = addresses.into_iter().flatten().find(|address| !address.ip().is_loopback());
        match open {
            Some(address) if self.auth.is_none() => Err(ServeError::Unprotected(address)),
            _ => Ok(()),
        }
    }
}

impl Server {
    /// Where RESP is spoken.
    #[must_use]
    pub fn resp(&self) -> Option<SocketAddr> {
        self.resp
    }

    /// Where the line grammar is spoken.
    #[must_use]
    pub fn cheetah(&self) -> Option<SocketAddr> {
        self.cheetah
    }

    /// Connections that are taken: what was asked for, or fewer when the process may not open so many files.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.common.limits.connections
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> ServerCounters {
        self.common.counters.read()
    }

    /// Whether it still serves; when not, [`Server::stop`] says why.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Writes the replies that can go, closes all connections and ends the loop.
    ///
    /// # Errors
    /// [`ServeError`] when the loop had failed before.
    pub fn stop(self) -> Result<ServerCounters, ServeError> {
        self.common.stop.store(true, Ordering::Release);
        self.waker.wake();
        self.thread.join().map_err(|_| ServeError::Panicked)??;
        Ok(self.common.counters.read())
    }
}

fn shown(resp: Option<SocketAddr>, cheetah: Option<SocketAddr>) -> String {
    let one = |name: &str, address: Option<SocketAddr>| address.map(|a| format!("{name} on {a}"));
    let all: Vec<_> = [one("RESP", resp), one("lines", cheetah)].into_iter().flatten().collect();
    all.join(", ")
}

type Sockets = Vec<(std::net::TcpListener, Protocol)>;

fn listen(
    address: Option<SocketAddr>,
    protocol: Protocol,
) -> Result<(Option<SocketAddr>, Sockets), ServeError> {
    let Some(address) = address else { return Ok((None, Vec::new())) };
    let (address, sockets) = listeners(address, 1)?;
    Ok((Some(address), sockets.into_iter().map(|socket| (socket, protocol)).collect()))
}

/// Lets this process open the files that `connections` need, as far as the system does; gives the connections
/// that can be had.
fn allow_files(connections: usize) -> Result<usize, ServeError> {
    let need = connections as u64 + OTHER_FILES;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(ServeError::io("getrlimit"))?;
    if hard < 2 * OTHER_FILES {
        return Err(ServeError::OpenFiles { connections, need, have: hard });
    }
    let have = need.min(hard);
    if soft < have {
        setrlimit(Resource::RLIMIT_NOFILE, have, hard).map_err(ServeError::io("setrlimit"))?;
    }
    Ok(connections.min((have - OTHER_FILES) as usize))
}

/// Pins the calling thread to `core`.
fn pin(core: u32) -> Result<(), ServeError> {
    let failed = |error: nix::Error| ServeError::Pin { core, source: error.into() };
    let mut set = CpuSet::new();
    set.set(core as usize).map_err(failed)?;
    sched_setaffinity(Pid::from_raw(0), &set).map_err(failed)
}
