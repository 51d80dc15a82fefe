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
use super::service::{Known, StoreService};
use super::{Limits, Secret, ServeError, ServerCounters};
use crate::{SharedStore, Store};

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
    /// Loops, each on a thread of its own; 0 is 1. A store has at least as many shards.
    pub loops: usize,
    /// The kernel's id of the core for the first loop, the others on those that follow; `None`: wherever the
    /// kernel puts them.
    pub core: Option<u32>,
    /// What each loop's thread does before it serves, such as giving privileges up. A loop that cannot does not
    /// serve, and the server does not start.
    pub begin: Option<fn() -> std::io::Result<()>>,
}

/// A server that serves.
#[derive(Debug)]
pub struct Server {
    resp: Option<SocketAddr>,
    cheetah: Option<SocketAddr>,
    common: Arc<Common>,
    wakers: Vec<Waker>,
    threads: Vec<JoinHandle<Result<(), ServeError>>>,
}

/// Most loops of a server.
pub const LOOPS_MAX: usize = 64;

/// Files that the process needs besides its connections.
const OTHER_FILES: u64 = 64;

impl Serve {
    /// Starts to serve `store` on threads of its own.
    ///
    /// # Errors
    /// [`ServeError`] when there is nothing to listen on, other machines could reach a server without a
    /// password, the store has too few shards, or the system refuses an address, files or a core.
    pub fn start(self, store: Store) -> Result<Server, ServeError> {
        self.start_over(&SharedStore::from(store), false)
    }

    /// Starts to serve a store that other threads use at the same time. Its loops take the shards for one
    /// burst or one step of a long command, and give them back to who waits. `MSET`, `EXEC`, `FILE_CHECKPOINT` and
    /// values of many megabytes are one burst.
    ///
    /// # Errors
    /// As [`Serve::start`].
    pub fn start_beside(self, store: &SharedStore) -> Result<Server, ServeError> {
        self.start_over(store, true)
    }

    fn start_over(self, store: &SharedStore, lends: bool) -> Result<Server, ServeError> {
        self.check()?;
        let loops = self.loops.max(1);
        let shards = store.shards();
        if loops > shards.min(LOOPS_MAX) {
            return Err(ServeError::Loops { loops, shards, most: LOOPS_MAX });
        }
        let asked = self.limits.connections;
        let connections = allow_files(asked)?;
        let limits = Limits { connections, ..self.limits };
        let (resp, mut sockets) = listen(self.resp, Protocol::Resp, loops)?;
        let (cheetah, more) = listen(self.cheetah, Protocol::Cheetah, loops)?;
        sockets.iter_mut().zip(more).for_each(|(sockets, more)| sockets.extend(more));
        let common = Arc::new(Common::new(limits, loops));
        let wakers = (0..loops).map(|_| Waker::new()).collect::<Result<Vec<_>, _>>()?;
        let mut server = Server { resp, cheetah, common, wakers, threads: Vec::new() };
        let engines = Engine::split(store, lends, &server.wakers, &server.common);
        server.spawn_all(&self, engines, sockets)?;
        if connections < asked {
            server.common.journal.note(format!(
                "{connections} connections are taken, not {asked}: `ulimit -Hn` allows no more"
            ));
        }
        server.common.journal.note(format!("serving {}", shown(resp, cheetah)));
        Ok(server)
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

/// Ends all loops when one of them ends, in whatever way.
struct EndAll {
    common: Arc<Common>,
    wakers: Vec<Waker>,
}

impl Drop for EndAll {
    fn drop(&mut self) {
        self.common.stop.store(true, Ordering::Release);
        self.wakers.iter().for_each(Waker::wake);
    }
}

impl Server {
    /// Starts a loop for each engine; none runs when one of them cannot.
    fn spawn_all(
        &mut self,
        serve: &Serve,
        engines: Vec<Engine>,
        sockets: Sockets,
    ) -> Result<(), ServeError> {
        let known = Known::default();
        let loops = engines.into_iter().zip(sockets).enumerate();
        let loops = loops.map(|(number, (engine, sockets))| {
            let common = Arc::clone(&self.common);
            let secret = serve.auth.clone();
            let service = StoreService::new(engine, Arc::clone(&common), secret, &known);
            EventLoop::new(service, common, self.wakers[number].clone(), sockets)
        });
        for (number, one) in loops.collect::<Result<Vec<_>, _>>()?.into_iter().enumerate() {
            if let Err(error) = self.spawn(number, one, serve) {
                // The others end; why they could is already known.
                self.end();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Starts a loop on a thread of its own, and waits until it is pinned.
    fn spawn(
        &mut self,
        number: usize,
        mut one: EventLoop<StoreService>,
        serve: &Serve,
    ) -> Result<(), ServeError> {
        let (core, begin) = (serve.core.map(|core| core + number as u32), serve.begin);
        let (pinned, is_pinned) = std::sync::mpsc::channel();
        let ends = EndAll { common: Arc::clone(&self.common), wakers: self.wakers.clone() };
        let run = move || {
            let _ends = ends;
            let doing = ServeError::io("preparing a thread of the server");
            let done = core.map_or(Ok(()), pin);
            let done = done.and_then(|()| begin.map_or(Ok(()), |begin| begin().map_err(doing)));
            let failed = done.is_err();
            // Whoever started it is waiting for this.
            let _ = pinned.send(done);
            if failed { Ok(()) } else { one.run() }
        };
        let name = if number == 0 { "kv-loop".to_owned() } else { format!("kv-loop-{number}") };
        let thread = std::thread::Builder::new().name(name).spawn(run);
        self.threads.push(thread.map_err(ServeError::io("starting a thread"))?);
        is_pinned.recv().map_err(|_| ServeError::Panicked)?
    }

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
        !self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Writes the replies that can go, closes all connections and ends the loops.
    ///
    /// # Errors
    /// [`ServeError`] when a loop had failed before.
    pub fn stop(mut self) -> Result<ServerCounters, ServeError> {
        self.end().into_iter().collect::<Result<(), _>>()?;
        Ok(self.common.counters.read())
    }

    /// Ends the loops; how each ended.
    fn end(&mut self) -> Vec<Result<(), ServeError>> {
        self.common.stop.store(true, Ordering::Release);
        self.wakers.iter().for_each(Waker::wake);
        let ends = self.threads.drain(..).map(JoinHandle::join);
        ends.map(|end| end.unwrap_or(Err(ServeError::Panicked))).collect()
    }
}

fn shown(resp: Option<SocketAddr>, cheetah: Option<SocketAddr>) -> String {
    let one = |name: &str, address: Option<SocketAddr>| address.map(|a| format!("{name} on {a}"));
    let all: Vec<_> = [one("RESP", resp), one("lines", cheetah)].into_iter().flatten().collect();
    all.join(", ")
}

/// For each loop the sockets that it listens on.
type Sockets = Vec<Vec<(std::net::TcpListener, Protocol)>>;

fn listen(
    address: Option<SocketAddr>,
    protocol: Protocol,
    loops: usize,
) -> Result<(Option<SocketAddr>, Sockets), ServeError> {
    let Some(address) = address else {
        return Ok((None, (0..loops).map(|_| Vec::new()).collect()));
    };
    let (address, sockets) = listeners(address, loops)?;
    Ok((Some(address), sockets.into_iter().map(|socket| vec![(socket, protocol)]).collect()))
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
