//! Replies: payloads back to who sent a request, in bursts, and without ever waiting.
//!
//! A request's own headers say where its reply goes: on a link the reply has them turned round, out of
//! a socket it goes to the address that the datagram came from. What has no room in the outgoing
//! queue is dropped and counted, so that a worker is never held up by who does not listen.

mod headers;
mod sockets;
mod spec;

use socket2::Socket;

pub use spec::{AfXdpReplySpec, ReplySpec, UdpReplySpec};

use self::headers::Headers;
use self::sockets::Sockets;
use super::af_packet::AfPacketTransmitter;
use super::pcap::PcapWriter;
use super::{Transmit, TransmitError, Transmitter};
use crate::link::Link;
use crate::pcpu::EngineSpan;
use crate::receivers::Framing;
use crate::receivers::udp::PEER;

/// Replies that go out together.
const BURST: usize = 64;
/// Bytes of a burst that are kept ready.
const BURST_BYTES: usize = BURST * 2048;

/// What a capture file takes of a frame, Ethernet header not counted: what IPv4 can have.
const FILE_MTU: usize = 65_535;

/// The way back to a sender.
#[derive(Clone, Copy, Debug)]
pub struct Route(Way);

#[derive(Clone, Copy, Debug)]
#[allow(clippy::large_enum_variant, reason = "both are copied into a burst at once")]
enum Way {
    Link(Headers),
    Peer { source: u16, peer: [u8; PEER] },
}

/// Replies that lie ready.
#[derive(Debug)]
struct Burst {
    bytes: Vec<u8>,
    frames: Vec<Ready>,
}

/// One of them: its bytes' place, and for a socket which and where to.
#[derive(Debug)]
struct Ready {
    start: usize,
    end: usize,
    source: u16,
    peer: [u8; PEER],
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one for each worker and rule")]
enum Out {
    Link { transmitter: Transmitter, mtu: usize, broken: bool },
    Sockets { sockets: Sockets, datagram_bytes: usize },
}

/// What became of replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplyCounters {
    /// Handed to the kernel.
    pub sent: u64,
    /// Dropped because the outgoing queue was full.
    pub dropped: u64,
    /// Refused by the kernel, or the interface is gone.
    pub failed: u64,
}

/// Where one worker's replies go out.
#[derive(Debug)]
pub struct ReplySink {
    out: Out,
    burst: Burst,
    counters: ReplyCounters,
}

impl ReplySink {
    /// Opens the way out that `spec` describes, for the worker of this number. `sockets` are those of
    /// the run's receivers, in their order, none for what is no socket.
    ///
    /// # Errors
    /// When the interface cannot be opened or is no Ethernet link; when no receiver has a socket.
    pub fn open(
        spec: &ReplySpec,
        worker: u32,
        sockets: Vec<Option<Socket>>,
    ) -> Result<Self, TransmitError> {
        let out = match spec {
            ReplySpec::Udp(UdpReplySpec { datagram_bytes }) => {
                if sockets.iter().all(Option::is_none) {
                    return Err(TransmitError::Unsupported {
                        what: "replies out of the sources' sockets, and no source is udp".into(),
                        fix: "send them by af_packet:INTERFACE".into(),
                    });
                }
                let range = ReplySpec::DATAGRAM_BYTES;
                let datagram_bytes = (*datagram_bytes).clamp(*range.start(), *range.end()) as usize;
                Out::Sockets { sockets: Sockets::new(sockets, BURST), datagram_bytes }
            }
            ReplySpec::AfPacket(spec) => {
                let transmitter = AfPacketTransmitter::open(spec).map(Transmitter::AfPacket)?;
                Out::link(transmitter, &spec.interface)?
            }
            ReplySpec::AfXdp(spec) => Out::link(af_xdp(spec, worker)?, &spec.interface)?,
            ReplySpec::Pcap(spec) => {
                let transmitter = Transmitter::Pcap(PcapWriter::create(spec, Framing::Ethernet)?);
                Out::Link { transmitter, mtu: FILE_MTU, broken: false }
            }
        };
        let burst =
            Burst { bytes: Vec::with_capacity(BURST_BYTES), frames: Vec::with_capacity(BURST) };
        Ok(Self { out, burst, counters: ReplyCounters::default() })
    }

    /// The way back to who sent the message whose first span is `span`; `None` when there is none, or
    /// it does not lead out of here.
    #[must_use]
    pub fn route(&self, span: &EngineSpan<'_>) -> Option<Route> {
        let frame = span.frame?;
        match (&self.out, span.meta.framing) {
            (Out::Link { .. }, Framing::Ethernet) => Headers::back(frame).map(Way::Link),
            (Out::Sockets { sockets, .. }, Framing::Payload) => {
                let source = span.meta.source;
                let peer = *frame.first_chunk()?;
                // An address of family 0 is none.
                let known = sockets.has(source) && peer[..2] != [0, 0];
                known.then_some(Way::Peer { source, peer })
            }
            _ => None,
        }
        .map(Route)
    }

    /// Most bytes of payload that a reply on `route` can have.
    #[must_use]
    pub fn room(&self, route: &Route) -> usize {
        match (&self.out, &route.0) {
            (Out::Link { mtu, .. }, Way::Link(headers)) => mtu.saturating_sub(headers.within_mtu()),
            (Out::Sockets { datagram_bytes, .. }, _) => *datagram_bytes,
            (Out::Link { .. }, Way::Peer { .. }) => 0,
        }
    }

    /// Adds a reply of at most [`Self::room`] bytes to the burst; a full burst goes first.
    pub fn push(&mut self, route: &Route, payload: &[u8]) {
        let full = self.burst.frames.len() == BURST
            || self.burst.bytes.len() + payload.len() + 128 > BURST_BYTES;
        if full && !self.burst.frames.is_empty() {
            self.send();
        }
        let start = self.burst.bytes.len();
        let (source, peer) = match &route.0 {
            Way::Link(headers) => {
                headers.write(payload, &mut self.burst.bytes);
                (0, [0; PEER])
            }
            Way::Peer { source, peer } => {
                self.burst.bytes.extend_from_slice(payload);
                (*source, *peer)
            }
        };
        self.burst.frames.push(Ready { start, end: self.burst.bytes.len(), source, peer });
    }

    /// Sends what was added, as far as there is room now.
    pub fn send(&mut self) {
        if self.burst.frames.is_empty() {
            return;
        }
        let counters = &mut self.counters;
        match &mut self.out {
            Out::Sockets { sockets, .. } => {
                let sent = sockets.send(&self.burst);
                counters.sent += sent.sent;
                counters.dropped += sent.dropped;
                counters.failed += sent.failed;
            }
            Out::Link { transmitter, broken, .. } => {
                send_frames(transmitter, &self.burst, broken, counters);
            }
        }
        self.burst.bytes.clear();
        self.burst.frames.clear();
    }

    /// Sends what is left and, of a capture file, makes what it holds durable.
    pub fn close(&mut self) {
        self.send();
        if let Out::Link { transmitter: Transmitter::Pcap(writer), .. } = &mut self.out
            && let Err(error) = writer.flush()
        {
            tracing::error!(%error, "writing replies");
            self.counters.failed += self.counters.sent;
        }
    }

    /// What became of replies since this was last asked.
    pub fn take_counters(&mut self) -> ReplyCounters {
        std::mem::take(&mut self.counters)
    }
}

fn send_frames(
    transmitter: &mut Transmitter,
    burst: &Burst,
    broken: &mut bool,
    counters: &mut ReplyCounters,
) {
    let mut frames = [&[][..]; BURST];
    for (frame, ready) in frames.iter_mut().zip(&burst.frames) {
        *frame = &burst.bytes[ready.start..ready.end];
    }
    let frames = &frames[..burst.frames.len()];
    let before = transmitter.counters().accepted;
    match transmitter.send(frames) {
        Ok(taken) => {
            counters.sent += taken as u64;
            counters.dropped += (frames.len() - taken) as u64;
            *broken = false;
        }
        Err(error) => {
            let taken = transmitter.counters().accepted - before;
            counters.sent += taken;
            counters.failed += frames.len() as u64 - taken;
            // Said once, not for each burst: the interface may stay away.
            if !std::mem::replace(broken, true) {
                tracing::warn!(%error, "sending replies");
            }
        }
    }
}

impl Out {
    fn link(transmitter: Transmitter, interface: &str) -> Result<Self, TransmitError> {
        let mtu = Link::find(interface)?.mtu as usize;
        Ok(Self::Link { transmitter, mtu, broken: false })
    }
}

#[cfg(feature = "af-xdp")]
fn af_xdp(spec: &AfXdpReplySpec, worker: u32) -> Result<Transmitter, TransmitError> {
    use super::af_xdp::{AfXdpTransmitter, AfXdpTxSpec};
    let queue = spec.queue.saturating_add(worker);
    let zero_copy = spec.zero_copy;
    let spec = AfXdpTxSpec { queue, zero_copy, ..AfXdpTxSpec::new(&spec.interface) };
    Ok(Transmitter::AfXdp(Box::new(AfXdpTransmitter::open(&spec)?)))
}

#[cfg(not(feature = "af-xdp"))]
fn af_xdp(_: &AfXdpReplySpec, _: u32) -> Result<Transmitter, TransmitError> {
    Err(TransmitError::Unsupported {
        what: "this build has no af_xdp".into(),
        fix: "send replies by af_packet, or build with --features af-xdp".into(),
    })
}
