//! Any sink: chosen once per burst, by a match that the compiler sees through.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::af_packet::{AfPacketTransmitter, AfPacketTxSpec};
#[cfg(feature = "af-xdp")]
use super::af_xdp::{AfXdpTransmitter, AfXdpTxSpec};
#[cfg(feature = "dpdk")]
use super::dpdk::DpdkTransmitter;
use super::pcap::{PcapSinkSpec, PcapWriter};
use super::udp::{UdpSender, UdpSinkSpec};
use super::{Transmit, TransmitCounters, TransmitError};
#[cfg(feature = "dpdk")]
use crate::dpdk::DpdkSpec;
use crate::receivers::Framing;

/// A sink as settings describe it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SinkSpec {
    /// A packet socket with a transmit ring.
    AfPacket(AfPacketTxSpec),
    /// An AF_XDP socket on one queue.
    #[cfg(feature = "af-xdp")]
    AfXdp(AfXdpTxSpec),
    /// A port that a poll-mode driver of DPDK serves.
    #[cfg(feature = "dpdk")]
    Dpdk(DpdkSpec),
    /// A UDP socket; needs no privilege.
    Udp(UdpSinkSpec),
    /// A capture file.
    Pcap(PcapSinkSpec),
}

impl SinkSpec {
    /// The backend's name in settings.
    #[must_use]
    pub const fn backend(&self) -> &'static str {
        match self {
            Self::AfPacket(_) => "af_packet",
            #[cfg(feature = "af-xdp")]
            Self::AfXdp(_) => "af_xdp",
            #[cfg(feature = "dpdk")]
            Self::Dpdk(_) => "dpdk",
            Self::Udp(_) => "udp",
            Self::Pcap(_) => "pcap",
        }
    }

    /// Where it sends: interface, address or file.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::AfPacket(spec) => spec.interface.clone(),
            #[cfg(feature = "af-xdp")]
            Self::AfXdp(spec) => spec.interface.clone(),
            #[cfg(feature = "dpdk")]
            Self::Dpdk(spec) => spec.devargs(),
            Self::Udp(spec) => spec.to.to_string(),
            Self::Pcap(spec) => spec.path.display().to_string(),
        }
    }

    /// Opens the sink for frames that begin as `framing` says.
    ///
    /// # Errors
    /// When it cannot be opened, or does not take such frames: links take Ethernet frames, `udp`
    /// takes payload, `pcap` takes any.
    pub fn open(&self, framing: Framing) -> Result<Transmitter, TransmitError> {
        let wanted = match self {
            Self::Pcap(_) => framing,
            Self::Udp(_) => Framing::Payload,
            _ => Framing::Ethernet,
        };
        if framing != wanted {
            return Err(TransmitError::Unsupported {
                what: format!(
                    "{} takes no frames that begin with {}",
                    self.backend(),
                    begin(framing)
                ),
                fix: format!("it takes {} alone; send these to udp: or pcap:", begin(wanted)),
            });
        }
        Ok(match self {
            Self::AfPacket(spec) => Transmitter::AfPacket(AfPacketTransmitter::open(spec)?),
            #[cfg(feature = "af-xdp")]
            Self::AfXdp(spec) => Transmitter::AfXdp(Box::new(AfXdpTransmitter::open(spec)?)),
            #[cfg(feature = "dpdk")]
            Self::Dpdk(spec) => Transmitter::Dpdk(DpdkTransmitter::open(spec)?),
            Self::Udp(spec) => Transmitter::Udp(UdpSender::open(spec)?),
            Self::Pcap(spec) => Transmitter::Pcap(PcapWriter::create(spec, framing)?),
        })
    }
}

const fn begin(framing: Framing) -> &'static str {
    match framing {
        Framing::Ethernet => "an Ethernet header",
        Framing::Ip => "an IP header",
        Framing::Payload => "payload",
    }
}

/// An opened sink.
#[derive(Debug)]
pub enum Transmitter {
    /// A packet socket.
    AfPacket(AfPacketTransmitter),
    /// An AF_XDP socket.
    #[cfg(feature = "af-xdp")]
    AfXdp(Box<AfXdpTransmitter>),
    /// A queue of a DPDK port.
    #[cfg(feature = "dpdk")]
    Dpdk(DpdkTransmitter),
    /// A UDP socket.
    Udp(UdpSender),
    /// A capture file.
    Pcap(PcapWriter),
}

/// Runs one expression on whichever sink it is.
macro_rules! each {
    ($self:expr, $sink:ident => $call:expr) => {
        match $self {
            Transmitter::AfPacket($sink) => $call,
            #[cfg(feature = "af-xdp")]
            Transmitter::AfXdp($sink) => $call,
            #[cfg(feature = "dpdk")]
            Transmitter::Dpdk($sink) => $call,
            Transmitter::Udp($sink) => $call,
            Transmitter::Pcap($sink) => $call,
        }
    };
}

impl Transmit for Transmitter {
    fn send(&mut self, frames: &[&[u8]]) -> Result<usize, TransmitError> {
        each!(self, sink => sink.send(frames))
    }

    fn flush(&mut self) -> Result<(), TransmitError> {
        each!(self, sink => sink.flush())
    }

    fn counters(&mut self) -> TransmitCounters {
        each!(self, sink => sink.counters())
    }
}
