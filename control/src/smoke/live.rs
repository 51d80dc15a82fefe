//! The other end of a live leg: sends a capture at a pace that loses nothing.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use pfs_dataplane::netns::{NetNs, VethOptions, ip};
use pfs_dataplane::transmitters::af_packet::{AfPacketTransmitter, AfPacketTxSpec};
use pfs_dataplane::transmitters::frames::UdpAddresses;
use pfs_dataplane::transmitters::udp::{UdpSender, UdpSinkSpec};
use pfs_dataplane::transmitters::{Transmit, TransmitError};

use super::capture::Capture;

/// Frames sent at a time, and the pause after them: a digest over all packets allows no loss,
/// and a UDP socket's buffer without privilege is some 200 KiB.
const BURST: usize = 8;
const PAUSE: Duration = Duration::from_micros(300);
/// Fits the largest frame of the captures.
pub(super) const MTU: u32 = 9216;

/// The ends of a veth pair that a leg makes.
const TX: &str = "tx0";
pub(super) const RX: &str = "rx0";

/// Where a live leg's packets come from.
#[derive(Debug)]
pub(super) enum Sender {
    /// Whole frames into an interface: one that was given, or one end of a veth pair, in a
    /// namespace that the calling thread is in.
    Link { transmitter: Box<AfPacketTransmitter>, _namespace: Option<NetNs> },
    /// Payloads to a socket on loopback.
    Udp(Box<UdpSender>),
    /// What a device of DPDK needs.
    #[cfg(feature = "dpdk")]
    Device(super::dpdk::Peer),
}

impl Sender {
    /// Sends on `given`; without it, moves the calling thread into a namespace with the veth pair
    /// `tx0`–`rx0`, and sends on `tx0`.
    ///
    /// # Errors
    /// What could not be made, with the remedy.
    pub(super) fn link(given: Option<&str>) -> Result<Self, String> {
        let namespace = if given.is_some() { None } else { Some(pair()?) };
        let transmitter = AfPacketTransmitter::open(&AfPacketTxSpec::new(given.unwrap_or(TX)))
            .map_err(|error| error.to_string())?;
        Ok(Self::Link { transmitter: Box::new(transmitter), _namespace: namespace })
    }

    /// Sockets that answers to `flows` flows come to: for a link, the kernel's, at the end that sends.
    ///
    /// # Errors
    /// What could not be made.
    pub(super) fn sockets(&self, flows: u32) -> Result<Vec<UdpSocket>, String> {
        let sender = match self {
            Self::Udp(sender) => sender,
            Self::Link { .. } => return link_sockets(flows),
            #[cfg(feature = "dpdk")]
            Self::Device(_) => return Ok(Vec::new()),
        };
        let socket = sender.try_clone_socket();
        socket.map(|socket| vec![socket]).map_err(|error| format!("a socket for answers: {error}"))
    }

    /// A sender to a free UDP port on loopback, and that port's address and settings as a source.
    ///
    /// # Errors
    /// What could not be made.
    pub(super) fn udp() -> Result<(String, Self), String> {
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        let to: SocketAddr = free.map_err(|error| format!("finding a free UDP port: {error}"))?;
        let sender = UdpSender::open(&UdpSinkSpec::new(to)).map_err(|error| error.to_string())?;
        Ok((format!("{to},frame_bytes=16384,frames=1024"), Self::Udp(Box::new(sender))))
    }

    /// Sends all of `capture`; returns how many packets left. `keep_up` is told after each burst how
    /// many that is so far, and returns when more may come.
    ///
    /// # Errors
    /// When the sink is gone.
    pub(super) fn send(&mut self, capture: &Capture, keep_up: impl Fn(u64)) -> Result<u64, String> {
        match self {
            Self::Link { transmitter, .. } => send(transmitter.as_mut(), &capture.frames, keep_up),
            Self::Udp(sender) => send(sender.as_mut(), &capture.payloads, keep_up),
            #[cfg(feature = "dpdk")]
            Self::Device(peer) => return peer.send(capture, keep_up),
        }
        .map_err(|error| format!("sending {}: {error}", capture.name))
    }
}

/// A namespace with a veth pair, for the calling thread.
fn pair() -> Result<NetNs, String> {
    let namespace = NetNs::enter().map_err(|error| error.to_string())?;
    let options = VethOptions { queues: 1, mtu: MTU };
    namespace.veth_pair(TX, RX, options).map_err(|error| error.to_string())?;
    Ok(namespace)
}

/// Gives `tx0` the addresses that frames say they come from, and listens there.
fn link_sockets(flows: u32) -> Result<Vec<UdpSocket>, String> {
    let from = UdpAddresses::default();
    let commands = [
        format!("link set dev tx0 address {}", from.src_mac),
        format!("addr add {}/32 dev tx0", from.src.ip()),
        format!("route add {}/32 dev tx0", from.dst.ip()),
    ];
    for command in commands {
        ip(&command).map_err(|error| error.to_string())?;
    }
    let bind = |flow| {
        let at = from.flow(flow).src;
        UdpSocket::bind(at).map_err(|error| format!("listening on {at} for answers: {error}"))
    };
    (0..flows).map(bind).collect()
}

pub(super) fn send(
    sink: &mut impl Transmit,
    packets: &[Vec<u8>],
    keep_up: impl Fn(u64),
) -> Result<u64, TransmitError> {
    let mut all = 0;
    for burst in packets.chunks(BURST) {
        let frames: Vec<&[u8]> = burst.iter().map(Vec::as_slice).collect();
        let mut sent = 0;
        while sent < frames.len() {
            sent += sink.send(&frames[sent..])?;
        }
        sink.flush()?;
        all += burst.len() as u64;
        keep_up(all);
        thread::sleep(PAUSE);
    }
    Ok(sink.counters().sent)
}
