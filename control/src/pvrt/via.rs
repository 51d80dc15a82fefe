//! Other ways for frames than the kernel's UDP: straight onto a link, as UDP datagrams, and off it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};

use pfs_dataplane::link::Link;
use pfs_dataplane::ops::pvrt::LinkSource;
use pfs_dataplane::receivers::{Framing, SourceSpec};
use pfs_dataplane::transmitters::af_packet::AfPacketTxSpec;
#[cfg(feature = "af-xdp")]
use pfs_dataplane::transmitters::af_xdp::AfXdpTxSpec;
use pfs_dataplane::transmitters::frames::{
    BadMac, Mac, SHORTEST, UDP_HEADERS, UdpAddresses, write_udp,
};
use pfs_dataplane::transmitters::{SinkSpec, Transmit, Transmitter};
use pfs_pvrt::transfer::frames::{FrameSink, FrameSource};
use pfs_pvrt::transfer::{OpenSource, TransferError};

use crate::plan;

/// Frames handed to the transmitter at a time.
const BURST: usize = 64;

const NO_AF_XDP: &str =
    "this build has no af_xdp; `just build` builds it where its tools are installed";

/// A link to send frames on.
#[derive(Clone, Debug)]
pub(crate) struct Via {
    sink: SinkSpec,
    interface: String,
    /// The next hop's address; none: as the kernel knows it.
    next: Option<Mac>,
}

impl Via {
    /// Reads `af_xdp:IFACE` or `af_packet:IFACE`, with `,to=MAC` behind where the kernel does not
    /// know the next hop.
    ///
    /// # Errors
    /// What is wrong, in one sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (backend, rest) =
            text.split_once(':').ok_or("write af_xdp:IFACE or af_packet:IFACE")?;
        let (interface, next) = match rest.split_once(",to=") {
            Some((interface, next)) => {
                (interface, Some(next.parse().map_err(|error: BadMac| error.to_string())?))
            }
            None => (rest, None),
        };
        let sink = match backend {
            "af_packet" => SinkSpec::AfPacket(AfPacketTxSpec::new(interface)),
            #[cfg(feature = "af-xdp")]
            "af_xdp" => SinkSpec::AfXdp(AfXdpTxSpec::new(interface)),
            #[cfg(not(feature = "af-xdp"))]
            "af_xdp" => return Err(NO_AF_XDP.into()),
            other => return Err(format!("`{other}` is neither af_xdp nor af_packet")),
        };
        Ok(Self { sink, interface: interface.to_owned(), next })
    }

    /// Opens it for frames to `to`.
    ///
    /// # Errors
    /// When the link is down, the next hop unknown, or `to` has no IPv4 address.
    pub(crate) fn open(&self, to: SocketAddr) -> Result<LinkSink, TransferError> {
        let failed =
            |why: String| TransferError::Frames(format!("sending on {}: {why}", self.interface));
        let IpAddr::V4(dst) = to.ip().to_canonical() else {
            return Err(failed("IPv6 goes over --via udp only".into()));
        };
        let link = Link::find_up(&self.interface).map_err(|error| failed(error.to_string()))?;
        // The kernel chooses the address and keeps the port, so that nobody else has it.
        let own = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
            .and_then(|own| own.connect(to).map(|()| own));
        let own = own.map_err(|error| failed(error.to_string()))?;
        let src = match own.local_addr().map_err(|error| failed(error.to_string()))? {
            SocketAddr::V4(src) => src,
            SocketAddr::V6(_) => return Err(failed("no IPv4 address".into())),
        };
        let unknown =
            || format!("the kernel knows no next hop to {dst}; ping it first, or add ,to=MAC");
        let next = self
            .next
            .or_else(|| next_hop(&self.interface, dst))
            .ok_or_else(|| failed(unknown()))?;
        let addresses = UdpAddresses {
            src_mac: Mac(link.mac),
            dst_mac: next,
            src,
            dst: SocketAddrV4::new(dst, to.port()),
        };
        let tx = self.sink.open(Framing::Ethernet).map_err(|error| failed(error.to_string()))?;
        Ok(LinkSink { tx, addresses, most: link.mtu as usize - 28, _own: own, bytes: Vec::new() })
    }
}

/// Wraps frames in Ethernet, IPv4 and UDP.
#[derive(Debug)]
pub(crate) struct LinkSink {
    tx: Transmitter,
    addresses: UdpAddresses,
    most: usize,
    _own: UdpSocket,
    bytes: Vec<u8>,
}

impl FrameSink for LinkSink {
    fn send(&mut self, frames: &[&[u8]]) -> Result<usize, TransferError> {
        let failed = |error: pfs_dataplane::transmitters::TransmitError| {
            TransferError::Frames(error.to_string())
        };
        let burst = &frames[..frames.len().min(BURST)];
        self.bytes.clear();
        let mut ends = Vec::with_capacity(burst.len());
        for frame in burst {
            let begin = self.bytes.len();
            self.bytes.resize(begin + (UDP_HEADERS + frame.len()).max(SHORTEST), 0);
            self.bytes[begin + UDP_HEADERS..][..frame.len()].copy_from_slice(frame);
            write_udp(&mut self.bytes[begin..], frame.len(), &self.addresses);
            ends.push(self.bytes.len());
        }
        let mut begin = 0;
        let wrapped: Vec<&[u8]> =
            ends.iter().map(|end| &self.bytes[std::mem::replace(&mut begin, *end)..*end]).collect();
        let taken = self.tx.send(&wrapped).map_err(failed)?;
        self.tx.flush().map_err(failed)?;
        Ok(taken)
    }

    fn frame_most(&self) -> usize {
        self.most
    }
}

/// A link to take frames from.
#[derive(Clone, Debug)]
pub(crate) struct LinkFrom(SourceSpec);

impl LinkFrom {
    /// Reads `af_xdp:IFACE` or `af_packet:IFACE`, with the backend's settings behind.
    ///
    /// # Errors
    /// What is wrong, in one sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let spec = plan::source(text)?;
        match &spec {
            SourceSpec::AfPacket(_) => Ok(Self(spec)),
            SourceSpec::AfXdp(_) if cfg!(feature = "af-xdp") => Ok(Self(spec)),
            SourceSpec::AfXdp(_) => Err(NO_AF_XDP.into()),
            other => Err(format!(
                "frames come over af_xdp:IFACE or af_packet:IFACE, not {}; without --from they come \
                 over the kernel's UDP",
                other.backend()
            )),
        }
    }

    /// What opens it for frames to UDP port `port` (0: any) of the address that a sender is
    /// connected to; of that sender alone unless they are `sealed`.
    pub(crate) fn opener(self, port: u16, sealed: bool) -> Box<OpenSource> {
        Box::new(move |peer, local| {
            let at = SocketAddr::new(local.ip().to_canonical(), port);
            let source = LinkSource::open(&self.0, at, (!sealed).then(|| peer.ip()))?;
            Ok(Box::new(source) as Box<dyn FrameSource>)
        })
    }
}

/// The MAC address of the next hop to `to` over `interface`, from the kernel's tables.
fn next_hop(interface: &str, to: Ipv4Addr) -> Option<Mac> {
    let routes = fs::read_to_string("/proc/thread-self/net/route").ok()?;
    let hex = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::swap_bytes);
    let mut best = None;
    for line in routes.lines().skip(1) {
        let mut fields = line.split_whitespace();
        if fields.next()? != interface {
            continue;
        }
        let (net, gateway) = (hex(fields.next()?)?, hex(fields.next()?)?);
        let mask = hex(fields.nth(4)?)?;
        if to.to_bits() & mask == net && best.is_none_or(|(other, _)| mask >= other) {
            best = Some((mask, gateway));
        }
    }
    let hop = match best? {
        (_, 0) => to,
        (_, gateway) => Ipv4Addr::from_bits(gateway),
    };
    let neighbours = fs::read_to_string("/proc/thread-self/net/arp").ok()?;
    neighbours.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [address, _, flags, hardware, _, device] = fields[..] else { return None };
        let there = address.parse() == Ok(hop) && device == interface && flags != "0x0";
        there.then(|| hardware.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_take_frames_from_are_read() {
        assert!(LinkFrom::parse("af_packet:eth0,blocks=8").is_ok());
        assert_eq!(LinkFrom::parse("af_xdp:eth0").is_ok(), cfg!(feature = "af-xdp"));
        for text in ["eth0", "udp:0.0.0.0:1", "memory:64", "af_packet:", "af_packet:eth0,what=1"] {
            assert!(LinkFrom::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn links_are_read() {
        let via = Via::parse("af_packet:eth0,to=02:00:00:00:00:0a").expect("good");
        assert_eq!((via.interface.as_str(), via.next), ("eth0", Some(Mac([2, 0, 0, 0, 0, 10]))));
        for text in
            ["eth0", "wifi:eth0", "af_packet:eth0,to=1", "af_packet:eth0,to=02:00:00:00:00:0a:0b"]
        {
            assert!(Via::parse(text).is_err(), "{text}");
        }
    }
}
