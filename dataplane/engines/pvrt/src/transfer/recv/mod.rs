//! The receiver.

mod data;
mod place;
mod session;
mod shelf;
mod sync;
mod tree;
mod verify;

use std::fmt;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use data::{Data, Watch};
use session::{Event, Parts, Session};
use shelf::Shelf;
use verify::Check;

use super::control::{PATIENCE, Security, accept};
use super::error::TransferError;
use super::frames::{FrameSource, UdpSource};
use super::gauge::Gauge;
use super::link::Link;
use super::message::Message;
use super::send::WINDOW;
use super::tree::{Kind, Staging, Target};
use crate::wire::{Cipher, Lane, LaneSettings, Transfers};

/// Windows that wait to be written before the thread that takes frames waits, too.
const WRITTEN: usize = 64;

/// Opens the way that frames come, for a sender that is connected from one address to another.
pub type OpenSource =
    dyn Fn(SocketAddr, SocketAddr) -> Result<Box<dyn FrameSource>, TransferError> + Send + Sync;

/// How to receive.
pub struct RecvOptions {
    /// How the two ends are sure of each other.
    pub security: Security,
    /// UDP port that frames come to; 0 for any that is free.
    pub udp_port: u16,
    /// Whether files are written to disk before they get their names.
    pub fsync: bool,
    /// Folder of a blob whose objects count as older files: what is in them does not come again.
    pub blob: Option<PathBuf>,
    /// The way that frames come; none: UDP.
    pub source: Option<Box<OpenSource>>,
}

impl RecvOptions {
    /// All but `security` by default.
    #[must_use]
    pub const fn new(security: Security) -> Self {
        Self { security, udp_port: 0, fsync: true, blob: None, source: None }
    }
}

impl fmt::Debug for RecvOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RecvOptions");
        shown
            .field("security", &self.security)
            .field("udp_port", &self.udp_port)
            .finish_non_exhaustive()
    }
}

/// What was received.
#[derive(Clone, Debug, Default)]
pub struct RecvReport {
    /// Who sent.
    pub from: Option<SocketAddr>,
    /// Files.
    pub files: u64,
    /// Folders and links.
    pub others: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Bytes of frames that came.
    pub frames: u64,
    /// Bytes said and heard over the control channel.
    pub control: u64,
    /// Seconds from the first word to the last.
    pub seconds: f64,
}

/// Waits for senders.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    folder: PathBuf,
    options: RecvOptions,
}

impl Server {
    /// Listens at `at`; what comes goes into `folder`.
    ///
    /// # Errors
    /// When the port is taken or the folder cannot be made.
    pub fn bind(
        at: SocketAddr,
        folder: &Path,
        options: RecvOptions,
    ) -> Result<Self, TransferError> {
        drop(Target::open(folder)?);
        let failed = |error| TransferError::io(format!("listening at {at}"), error);
        let listener = TcpListener::bind(at).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self { listener, folder: folder.to_owned(), options })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn local(&self) -> Result<SocketAddr, TransferError> {
        self.listener.local_addr().map_err(|error| TransferError::io("listening", error))
    }

    /// Waits for a sender and receives what it sends.
    ///
    /// # Errors
    /// When `gauge` says to stop, the handshake fails, the disk is full, the connection is lost. What
    /// has arrived is kept for the next time.
    pub fn receive(&self, gauge: &Arc<Gauge>) -> Result<RecvReport, TransferError> {
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => self.wait(),
                Err(error) => return Err(TransferError::io("waiting for a sender", error)),
            }
            if gauge.stop.load(Ordering::Relaxed) {
                return Err(TransferError::Stopped);
            }
        };
        stream
            .set_nonblocking(false)
            .map_err(|error| TransferError::io("setting up the connection", error))?;
        self.serve(stream, gauge)
    }

    fn wait(&self) {
        use std::os::fd::AsFd;
        let mut fds = [nix::poll::PollFd::new(self.listener.as_fd(), nix::poll::PollFlags::POLLIN)];
        // Woken early or late, the caller looks again.
        let _ = nix::poll::poll(&mut fds, 200_u8);
    }

    fn serve(&self, stream: TcpStream, gauge: &Arc<Gauge>) -> Result<RecvReport, TransferError> {
        let began = Instant::now();
        let (out, incoming) = accept(stream, &self.options.security)?;
        let (peer, local) = (out.peer(), out.local());
        let (heard, events) = mpsc::channel();
        let own = heard.clone();
        let (link, _listener) =
            Link::start(out, incoming, move |message| heard.send(Event::Heard(message)).is_ok());
        let done = self.session((peer, local), &link, events, own, gauge);
        if let Err(error) = &done {
            link.give_up(error);
        }
        let report = done?;
        let (sent, received) = link.bytes();
        // The sender closes first, so that the last word reaches it.
        Ok(RecvReport {
            from: Some(peer),
            control: sent + received,
            seconds: began.elapsed().as_secs_f64(),
            ..report
        })
    }

    fn session(
        &self,
        (peer, local): (SocketAddr, SocketAddr),
        link: &Link,
        events: Receiver<Event>,
        own: mpsc::Sender<Event>,
        gauge: &Arc<Gauge>,
    ) -> Result<RecvReport, TransferError> {
        let secret = hello(&events, self.options.security.encrypts())?;
        let target = Target::open(&self.folder)?;
        let staging = Arc::new(Staging::open(&target)?);
        staging.sweep()?;
        let shelf = self.options.blob.as_deref().map(Shelf::open).transpose()?;
        let source = self.source(peer, local)?;
        link.say(&Message::Welcome { port: source.port(), room: source.room() })?;
        let transfers = Arc::new(Transfers::new());
        let (check, asked) = mpsc::sync_channel(WRITTEN);
        let stopping = check.clone();
        let stop = Arc::new(AtomicBool::new(false));
        let watch = Watch::default();
        let data = Data {
            source,
            lane: Lane::new(Arc::clone(&transfers), LaneSettings::default()),
            link: link.clone(),
            watch: Arc::clone(&watch),
            check: check.clone(),
            gauge: Arc::clone(gauge),
            stop: Arc::clone(&stop),
        };
        let (deaf, digested) = (own.clone(), own.clone());
        let taking = thread::spawn(move || {
            if let Err(error) = data.run() {
                // Without a session nobody wants to know.
                let _ = deaf.send(Event::Deaf(error));
            }
        });
        let checking = thread::spawn(move || verify::run(&asked, &digested));
        let target = Arc::new(Mutex::new(target));
        let parts = Parts {
            link: link.clone(),
            target: Arc::clone(&target),
            staging: Arc::clone(&staging),
            shelf: shelf.map(Arc::new),
            secret,
            transfers,
            watch,
            check,
            events,
            own,
            gauge: Arc::clone(gauge),
            fsync: self.options.fsync,
        };
        let mut session = Session::new(parts);
        let done = session.run();
        let report = report(&session, gauge);
        drop(session);
        stop.store(true, Ordering::Relaxed);
        // It may be gone already. What they panicked with was printed.
        let _ = stopping.send(Check::Stop);
        let _ = (taking.join(), checking.join());
        done?;
        if let Some(staging) = Arc::into_inner(staging) {
            staging.close(&session::lock(&target))?;
        }
        Ok(report)
    }

    fn source(
        &self,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> Result<Box<dyn FrameSource>, TransferError> {
        if let Some(open) = &self.options.source {
            return open(peer, local);
        }
        let at = SocketAddr::new(local.ip().to_canonical(), self.options.udp_port);
        // A seal says more than an address.
        let only = (!self.options.security.encrypts()).then(|| peer.ip());
        Ok(Box::new(UdpSource::open(at, only)?))
    }
}

fn report(session: &Session, gauge: &Gauge) -> RecvReport {
    let mut report =
        RecvReport { frames: gauge.wire.load(Ordering::Relaxed), ..RecvReport::default() };
    for entry in session.tree().entries() {
        match entry.kind {
            Kind::File { size } => {
                (report.files, report.bytes) = (report.files + 1, report.bytes + size);
            }
            _ => report.others += 1,
        }
    }
    report
}

/// The sender's greeting: the key of its frames.
fn hello(
    events: &Receiver<Event>,
    encrypted: bool,
) -> Result<Option<(Cipher, [u8; 32])>, TransferError> {
    let until = Instant::now() + PATIENCE;
    loop {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match events.recv_timeout(left) {
            Ok(Event::Heard(message)) => {
                let Message::Hello { secret, cipher, window } = message? else {
                    return Err(TransferError::Protocol("it does not greet"));
                };
                if window != WINDOW {
                    return Err(TransferError::Protocol("its windows have another size"));
                }
                return match (encrypted, Cipher::from_number(cipher)) {
                    (true, Some(cipher)) => Ok(Some((cipher, secret))),
                    (false, None) if cipher == 0 => Ok(None),
                    _ => Err(TransferError::Protocol("its frames are sealed otherwise")),
                };
            }
            Ok(_) => {}
            Err(_) => {
                return Err(TransferError::Silent {
                    doing: "waiting to be greeted",
                    seconds: PATIENCE.as_secs(),
                });
            }
        }
    }
}
