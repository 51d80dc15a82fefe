//! Answers to what smoke sends: the way that a leg gives them, and who takes them at its end.

use std::fs;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;
use pfs_dataplane::transmitters::af_packet::AfPacketTxSpec;
use pfs_dataplane::transmitters::pcap::PcapSinkSpec;
use pfs_dataplane::transmitters::replies::{ReplySpec, UdpReplySpec};

use super::capture::Capture;
use super::leg::Backend;
use crate::plan::{Plan, ReplySink};

/// Name of the sink.
const SINK: &str = "replies";
/// How long a socket stays silent before a run that has ended has no more for it.
const SILENCE: Duration = Duration::from_millis(200);

/// What comes back during a leg.
#[derive(Debug)]
pub(super) enum Replies {
    /// In a file, when the leg has ended.
    File(PathBuf),
    /// To sockets, each read by a thread of its own.
    Sockets { ended: Arc<AtomicBool>, threads: Vec<JoinHandle<Vec<Vec<u8>>>>, whole: bool },
}

/// Bytes that a socket holds of answers that nobody has read yet: all of a leg's.
const BUFFER: usize = 32 << 20;

/// What came back.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) payloads: Vec<Vec<u8>>,
    /// Whether none can have been lost at the end that reads: without CAP_NET_ADMIN its socket
    /// holds some 200 KiB, and a reader that is not let run loses the rest.
    pub(super) whole: bool,
}

impl Default for Answers {
    fn default() -> Self {
        Self { payloads: Vec::new(), whole: true }
    }
}

impl Replies {
    /// Lets `plan` answer in the way that `backend` has; `sockets` are those that answers come to.
    pub(super) fn ask(
        plan: &mut Plan,
        backend: Backend,
        file: &Path,
        sockets: Vec<UdpSocket>,
    ) -> Self {
        let to = match backend {
            Backend::Memory | Backend::Pcap => {
                ReplySpec::Pcap(PcapSinkSpec { path: file.to_owned() })
            }
            Backend::Udp => ReplySpec::Udp(UdpReplySpec::default()),
            _ => ReplySpec::AfPacket(AfPacketTxSpec::new("rx0")),
        };
        let in_file = matches!(to, ReplySpec::Pcap(_));
        plan.sinks.replies = vec![ReplySink { name: SINK.into(), to }];
        plan.rules.iter_mut().for_each(|rule| rule.replies = Some(SINK.into()));
        if in_file {
            return Self::File(file.to_owned());
        }
        let ended = Arc::<AtomicBool>::default();
        let whole = sockets.iter().all(|socket| setsockopt(socket, RcvBufForce, &BUFFER).is_ok());
        let read = |socket| {
            let ended = Arc::clone(&ended);
            thread::spawn(move || read(&socket, &ended))
        };
        let threads = sockets.into_iter().map(read).collect();
        Self::Sockets { ended, threads, whole }
    }

    /// All payloads that came, once the run has ended.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn take(self) -> Result<Answers, String> {
        match self {
            Self::File(path) => {
                let capture = Capture::load(&path).map_err(|failure| failure.to_string());
                // Where it cannot be removed, the next leg replaces it.
                let _ = fs::remove_file(&path);
                capture.map(|capture| Answers { payloads: capture.payloads, whole: true })
            }
            Self::Sockets { ended, threads, whole } => {
                ended.store(true, Relaxed);
                let mut all = Vec::new();
                for thread in threads {
                    all.extend(thread.join().map_err(|_| "who reads replies panicked")?);
                }
                Ok(Answers { payloads: all, whole })
            }
        }
    }
}

/// Reads datagrams until the run has ended and none comes any more.
fn read(socket: &UdpSocket, ended: &AtomicBool) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut bytes = vec![0; 1 << 16];
    if socket.set_read_timeout(Some(SILENCE)).is_err() {
        return all;
    }
    loop {
        // Looked at before the socket: what came before the end is then read.
        let last = ended.load(Relaxed);
        match socket.recv(&mut bytes) {
            Ok(len) => all.push(bytes[..len].to_vec()),
            Err(error) if last && error.kind() != ErrorKind::Interrupted => return all,
            Err(_) => {}
        }
    }
}
