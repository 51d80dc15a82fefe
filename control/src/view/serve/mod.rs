//! Views of a run: its control socket, its page, its metrics, all on one thread of their own.
//!
//! Everything that can fail (a port that is taken, a folder that is not ours) is bound before the
//! run starts; the thread begins once there is something to watch. It gives its capabilities up,
//! keeps off the data's cores where there are others, and never waits for a viewer.

mod access;
mod control;
mod http;
mod site;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;
use std::{io, thread};

use pfs_dataplane::{pin, privilege};
use tokio::sync::watch;

use super::places::{ControlSocket, SocketFile};
use super::sample::Watched;
pub(crate) use access::Token;

/// How long viewers may take to read the last document.
const FAREWELL: Duration = Duration::from_millis(500);

/// What a run is to be seen through.
#[derive(Debug, Default)]
pub(crate) struct Views {
    control: Option<ControlSocket>,
    sites: Vec<(TcpListener, Pages, Option<Token>)>,
}

/// What an address serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pages {
    /// The web view, and all that it is made from.
    All,
    /// `/metrics` and `/healthz`.
    Metrics,
}

impl Views {
    /// Listens for viewers on this machine, for a run called `name`.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub(crate) fn control(&mut self, name: &str) -> io::Result<()> {
        self.control = Some(ControlSocket::bind(name)?);
        Ok(())
    }

    /// Listens at `address`; returns the one that it became.
    ///
    /// # Errors
    /// The kernel's answer.
    pub(crate) fn http(
        &mut self,
        address: SocketAddr,
        pages: Pages,
        token: Option<Token>,
    ) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        self.sites.push((listener, pages, token));
        Ok(bound)
    }

    /// Shows `run` until [`Serving::end`].
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub(crate) fn serve(self, run: Watched) -> io::Result<Serving> {
        let run = Arc::new(run);
        let (end, ended) = watch::channel(false);
        let (done, is_done) = mpsc::channel::<()>();
        let (listener, file) = match self.control {
            Some(ControlSocket { listener, file }) => (Some(listener), Some(file)),
            None => (None, None),
        };
        let sites = self.sites;
        if listener.is_some() || !sites.is_empty() {
            let run = Arc::clone(&run);
            thread::Builder::new().name("pfs-view".into()).spawn(move || {
                keep_off(&run);
                if let Err(error) = work(&run, listener, sites, &ended) {
                    tracing::warn!("views have ended: {error}; the run goes on");
                }
                drop(done);
            })?;
        }
        Ok(Serving { run, end, is_done, _file: file })
    }
}

/// Keeps the calling thread off the cores that packets are on, where there are others, and gives
/// up what it does not need.
fn keep_off(run: &Watched) {
    if let Err(error) = privilege::drop_all() {
        tracing::warn!("views keep their capabilities: {error}");
    }
    let data = run.data_cores();
    let spare: Vec<u32> = pin::allowed_cores()
        .unwrap_or_default()
        .into_iter()
        .filter(|core| !data.contains(core))
        .collect();
    if spare.is_empty() {
        return;
    }
    let mut set = nix::sched::CpuSet::new();
    let fits = spare.iter().all(|core| set.set(*core as usize).is_ok());
    if fits && let Err(error) = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set) {
        tracing::debug!("views run on any core: {error}");
    }
}

fn work(
    run: &Arc<Watched>,
    control: Option<std::os::unix::net::UnixListener>,
    sites: Vec<(TcpListener, Pages, Option<Token>)>,
    ended: &watch::Receiver<bool>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        if let Some(listener) = control {
            let listener = tokio::net::UnixListener::from_std(listener)?;
            tasks.spawn(control::serve(listener, Arc::clone(run), ended.clone()));
        }
        for (listener, pages, token) in sites {
            let address = listener.local_addr()?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let site = site::Site::new(Arc::clone(run), pages, token, address);
            tasks.spawn(http::serve(listener, site, ended.clone()));
        }
        while tasks.join_next().await.is_some() {}
        Ok(())
    })
}

/// The views of a run that goes on. Its socket's file goes with it.
#[derive(Debug)]
pub(crate) struct Serving {
    run: Arc<Watched>,
    end: watch::Sender<bool>,
    is_done: Receiver<()>,
    _file: Option<SocketFile>,
}

impl Serving {
    /// Tells viewers the last totals and closes, within a second at most.
    pub(crate) fn end(self) {
        self.run.end();
        let _ = self.end.send(true);
        // Gone means done: nothing is ever sent.
        let _ = self.is_done.recv_timeout(2 * FAREWELL);
    }
}
