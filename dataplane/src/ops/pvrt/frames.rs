//! Frames of transfers straight from receivers: what `pfs recv --from` puts files together from.
//!
//! A transfer's receiver says which frame came when, and takes objects up and lets go of them while
//! frames arrive. A program's results say neither, so that this polls the receivers itself and gives
//! what UDP carries to the thread that has the [`Lane`](pfs_pvrt::wire::Lane): the same that the op
//! runs.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use pfs_ebpf::rules::{IpPrefix, PortRange};
use pfs_pvrt::transfer::TransferError;
use pfs_pvrt::transfer::frames::FrameSource;
use pfs_pvrt::wire::Header;
use pfs_rings::{Desc, RegionView};
use socket2::SockRef;

use crate::packet::{Classifier, PROTOCOL_UDP, Rule, RuleMatch, RuleSet, Verdict};
use crate::receivers::{BATCH, Batch, Receive, ReceiveError, Receiver, SourceSpec};

/// Batches that one call takes of each receiver at most: its caller has other things to do, too.
const ROUNDS: usize = 16;
/// How long one of several receivers is waited for before the others are looked at.
const TURN: Duration = Duration::from_millis(1);
/// Bytes of a region for each byte of frames that it can hold: the rest is room that frames shorter
/// than their buffers leave, and what is on loan.
const SPARE: u64 = 4;

/// Datagrams to one UDP port, past the kernel's UDP.
#[derive(Debug)]
pub struct LinkSource {
    inlets: Vec<Inlet>,
    port: u16,
    room: u64,
    /// Keeps the port: nobody else gets it, and the kernel refuses nothing that comes to it.
    _own: UdpSocket,
}

/// A receiver, and what makes payload of its frames.
#[derive(Debug)]
struct Inlet {
    receiver: Receiver,
    classifier: Classifier,
    view: RegionView,
    batch: Batch,
    /// Frames to be given back.
    back: Vec<u32>,
    /// A payload of several buffers.
    joined: Vec<u8>,
}

impl LinkSource {
    /// Takes datagrams to `at` (port 0: any that is free) from `link`, of any sender or of `only`.
    /// Everything else on the link goes the kernel's way.
    ///
    /// # Errors
    /// When the port is taken or the link cannot be opened.
    pub fn open(
        link: &SourceSpec,
        at: SocketAddr,
        only: Option<IpAddr>,
    ) -> Result<Self, TransferError> {
        let failed = |error: &dyn std::fmt::Display| {
            TransferError::Frames(format!("receiving from {}: {error}", link.backend()))
        };
        let own = UdpSocket::bind(at).map_err(|error| {
            TransferError::Frames(format!("taking UDP port {} of {}: {error}", at.port(), at.ip()))
        })?;
        // A packet socket's frames come to it as well; the less of them it keeps, the better.
        let _ = SockRef::from(&own).set_recv_buffer_size(0);
        let port = own.local_addr().map_err(|error| failed(&error))?.port();
        let rule = rule(SocketAddr::new(at.ip(), port), only).map_err(|error| failed(&error))?;
        let threads = link.threads().map_err(|error| failed(&error))?;
        let receivers = link.open(threads, &[rule.to_xdp()]).map_err(|error| failed(&error))?;
        let room = receivers.iter().map(|receiver| receiver.granted().region_bytes / SPARE);
        let room = room.sum();
        let rules = RuleSet::compile(&[rule]).map_err(|error| failed(&error))?;
        let inlets = receivers.into_iter().map(|receiver| Inlet::new(receiver, rules.clone()));
        Ok(Self { inlets: inlets.collect(), port, room, _own: own })
    }

    fn poll(&mut self, each: &mut dyn FnMut(&[u8], usize)) -> Result<usize, TransferError> {
        let mut bytes = 0;
        for inlet in &mut self.inlets {
            for _ in 0..ROUNDS {
                match inlet.poll(each).map_err(broken)? {
                    None => break,
                    Some(some) => bytes += some,
                }
            }
        }
        Ok(bytes)
    }
}

fn broken(error: ReceiveError) -> TransferError {
    TransferError::Frames(error.to_string())
}

/// UDP to `at`, from anywhere or from `only`.
fn rule(at: SocketAddr, only: Option<IpAddr>) -> Result<Rule, pfs_ebpf::rules::RuleError> {
    let host = |ip: IpAddr| {
        let ip = ip.to_canonical();
        IpPrefix::new(ip, if ip.is_ipv4() { 32 } else { 128 })
    };
    let matches = RuleMatch {
        protocol: Some(PROTOCOL_UDP),
        destination: Some(host(at.ip())?),
        destination_ports: Some(PortRange { first: at.port(), last: at.port() }),
        source: only.map(host).transpose()?,
        ..RuleMatch::default()
    };
    Ok(Rule { matches, ..Rule::all("frames") })
}

impl Inlet {
    fn new(receiver: Receiver, rules: RuleSet) -> Self {
        Self {
            view: receiver.region(),
            classifier: Classifier::new(receiver.framing(), rules),
            receiver,
            batch: Batch::default(),
            back: Vec::with_capacity(BATCH),
            joined: Vec::new(),
        }
    }

    /// Gives the payload of a batch to `each`, and the frames back; returns how many bytes of payload
    /// there were, and nothing when there was no frame.
    fn poll(&mut self, each: &mut dyn FnMut(&[u8], usize)) -> Result<Option<usize>, ReceiveError> {
        self.batch.clear();
        let polled = self.receiver.poll(&mut self.batch);
        if self.batch.is_empty() {
            return polled.map(|_| None);
        }
        // SAFETY: every descriptor was just polled: its frame is on loan to this thread, which has
        // not passed it on; the source's spans do not overlap and lie in its region.
        let verdicts = unsafe { self.classifier.classify(&mut self.batch, &self.view) };
        let mut bytes = 0;
        for (desc, verdict) in self.batch.descs().iter().zip(verdicts) {
            self.back.push(desc.frame);
            // A frame that was cut is none.
            if *verdict == Verdict::Deliver && desc.flags & Desc::ERR == 0 {
                bytes += give(desc, &self.view, &mut self.joined, each);
            }
        }
        self.receiver.recycle(&self.back);
        self.back.clear();
        polled.map(|_| Some(bytes))
    }
}

/// Gives the payload that ends with `desc` to `each`; one that goes on is kept in `joined`. Returns
/// its bytes.
fn give(
    desc: &Desc,
    view: &RegionView,
    joined: &mut Vec<u8>,
    each: &mut dyn FnMut(&[u8], usize),
) -> usize {
    // SAFETY: the descriptor's frame is on loan to this thread until it is given back, after this;
    // the slice ends with this call.
    let Some(bytes) = (unsafe { view.bytes_mut(desc) }) else { return 0 };
    let payload = if desc.is_som() && desc.is_eom() {
        &*bytes
    } else {
        if desc.is_som() {
            joined.clear();
        }
        joined.extend_from_slice(bytes);
        if !desc.is_eom() {
            return 0;
        }
        joined.as_slice()
    };
    // Over veth, datagrams that the sender's kernel was to cut may come uncut: frames of one length.
    let step = Header::parse(payload).map_or(payload.len(), |header| header.frame());
    if !payload.is_empty() {
        each(payload, step);
    }
    payload.len()
}

impl FrameSource for LinkSource {
    fn receive(
        &mut self,
        wait: Duration,
        each: &mut dyn FnMut(&[u8], usize),
    ) -> Result<usize, TransferError> {
        let bytes = self.poll(each)?;
        if bytes > 0 {
            return Ok(bytes);
        }
        let turn = if self.inlets.len() > 1 { wait.min(TURN) } else { wait };
        for inlet in &mut self.inlets {
            inlet.receiver.wait(turn).map_err(broken)?;
        }
        self.poll(each)
    }

    fn room(&self) -> u64 {
        self.room
    }

    fn port(&self) -> u16 {
        self.port
    }
}
