//! Any backend: chosen once per batch, by a match that the compiler sees through.

use std::collections::BTreeMap;
use std::time::Duration;

use pfs_ebpf::rules::XdpRule;
use pfs_rings::{Desc, PageWish, RegionView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use socket2::Socket;

use super::af_packet::{AfPacketReceiver, AfPacketSpec};
use super::af_xdp::AfXdpSpec;
#[cfg(feature = "af-xdp")]
use super::af_xdp::{AfXdp, AfXdpReceiver};
#[cfg(feature = "dpdk")]
use super::dpdk::DpdkReceiver;
use super::memory::{MemoryContent, MemoryReceiver, MemorySpec};
use super::pcap::{PcapReceiver, PcapSpec};
use super::udp::{UdpReceiver, UdpSpec};
use super::{Batch, Framing, Granted, Receive, ReceiveError};
use crate::counters::SourceCounters;
use crate::dpdk::DpdkSpec;
use crate::link::Link;

/// A source as a plan describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceSpec {
    /// A packet socket with a TPACKET_V3 ring.
    AfPacket(AfPacketSpec),
    /// AF_XDP sockets behind the XDP program, one for each queue.
    AfXdp(AfXdpSpec),
    /// A port that a poll-mode driver of DPDK serves.
    Dpdk(DpdkSpec),
    /// A UDP socket; needs no privilege.
    Udp(UdpSpec),
    /// A capture file.
    Pcap(PcapSpec),
    /// Generated frames, or a capture held in memory.
    Memory(MemorySpec),
}

impl SourceSpec {
    /// The backend's name in plans.
    #[must_use]
    pub const fn backend(&self) -> &'static str {
        match self {
            Self::AfPacket(_) => "af_packet",
            Self::AfXdp(_) => "af_xdp",
            Self::Dpdk(_) => "dpdk",
            Self::Udp(_) => "udp",
            Self::Pcap(_) => "pcap",
            Self::Memory(_) => "memory",
        }
    }

    /// Whether the source ends only when it is told to.
    #[must_use]
    pub const fn is_endless(&self) -> bool {
        match self {
            Self::AfPacket(_) | Self::AfXdp(_) | Self::Dpdk(_) | Self::Udp(_) => true,
            Self::Pcap(spec) => spec.loops == 0,
            Self::Memory(spec) => match spec.content {
                MemoryContent::Generated(_) => spec.packets.is_none(),
                MemoryContent::Capture { loops, .. } => loops == 0 && spec.packets.is_none(),
            },
        }
    }

    /// Whether packets can come more than once, each time as the last program left them.
    #[must_use]
    pub const fn repeats_as_left(&self) -> bool {
        match self {
            Self::AfPacket(_) | Self::AfXdp(_) | Self::Dpdk(_) | Self::Udp(_) => false,
            Self::Pcap(spec) => spec.loops != 1 && !spec.restore,
            Self::Memory(spec) => !spec.restore,
        }
    }

    /// Wishes for `pages` where the source's own settings leave them open. Packet sockets have
    /// the kernel's memory.
    pub fn wish_pages(&mut self, pages: PageWish) {
        let own = match self {
            Self::Dpdk(spec) => &mut spec.pages,
            Self::Udp(spec) => &mut spec.pages,
            Self::Pcap(spec) => &mut spec.pages,
            Self::Memory(spec) => &mut spec.pages,
            Self::AfXdp(_) | Self::AfPacket(_) => return,
        };
        if *own == PageWish::Auto {
            *own = pages;
        }
    }

    /// Packets after which the source ends, where its settings tell.
    #[must_use]
    pub const fn packets(&self) -> Option<u64> {
        match self {
            Self::Memory(spec) => spec.packets,
            _ => None,
        }
    }

    /// How many receiver threads the source needs when the plan names no cores for them.
    ///
    /// # Errors
    /// When its interface cannot be asked.
    pub fn threads(&self) -> Result<usize, ReceiveError> {
        match self {
            Self::AfXdp(spec) => Ok(spec.queue_list(Link::find(&spec.interface)?.rx_queues)?.len()),
            Self::Dpdk(spec) => Ok(usize::from(spec.queues)),
            Self::AfPacket(_) | Self::Udp(_) | Self::Pcap(_) | Self::Memory(_) => Ok(1),
        }
    }

    /// Looks whether the source can be opened with `threads` threads, without opening it: files
    /// and interfaces are there, and the number of threads is one that the backend can serve.
    ///
    /// # Errors
    /// What is missing, and what mends it.
    pub fn check(&self, threads: usize) -> Result<(), ReceiveError> {
        match self {
            Self::AfPacket(spec) => {
                Link::find(&spec.interface)?;
                shared(threads, spec.fanout.is_some(), "fanout", &spec.interface)
            }
            Self::AfXdp(spec) => {
                spec.check()?;
                one_each(threads, self.threads()?, &spec.interface)
            }
            Self::Dpdk(spec) => {
                spec.check()?;
                one_each(threads, self.threads()?, &spec.device)
            }
            Self::Udp(spec) => {
                shared(threads, spec.reuse_port, "reuse_port", &spec.listen.to_string())
            }
            Self::Pcap(PcapSpec { path, .. })
            | Self::Memory(MemorySpec { content: MemoryContent::Capture { path, .. }, .. }) => {
                std::fs::metadata(path).map_err(|source| ReceiveError::Io {
                    doing: format!("looking at {}", path.display()),
                    source,
                    fix: String::new(),
                })?;
                alone(threads, &path.display().to_string())
            }
            Self::Memory(_) => alone(threads, "memory"),
        }
    }

    /// Opens the source for `threads` threads, one receiver each. Needs the backend's
    /// privileges; the receivers do not. `rules` are what an XDP program selects by.
    ///
    /// # Errors
    /// As [`Self::check`], and what the kernel refuses.
    pub fn open(&self, threads: usize, rules: &[XdpRule]) -> Result<Vec<Receiver>, ReceiveError> {
        self.check(threads)?;
        let each = |open: &dyn Fn() -> Result<Receiver, ReceiveError>| {
            (0..threads).map(|_| open()).collect::<Result<Vec<_>, _>>()
        };
        match self {
            Self::AfPacket(spec) => each(&|| AfPacketReceiver::open(spec).map(Receiver::AfPacket)),
            Self::AfXdp(spec) => open_af_xdp(spec, rules),
            Self::Dpdk(spec) => open_dpdk(spec),
            Self::Udp(spec) => each(&|| UdpReceiver::open(spec).map(Receiver::Udp)),
            Self::Pcap(spec) => each(&|| PcapReceiver::open(spec).map(Receiver::Pcap)),
            Self::Memory(spec) => each(&|| MemoryReceiver::open(spec).map(Receiver::Memory)),
        }
    }
}

#[cfg(feature = "af-xdp")]
fn open_af_xdp(spec: &AfXdpSpec, rules: &[XdpRule]) -> Result<Vec<Receiver>, ReceiveError> {
    let opened = AfXdp::open(spec, rules)?;
    Ok(opened.receivers.into_iter().map(Receiver::AfXdp).collect())
}

#[cfg(not(feature = "af-xdp"))]
fn open_af_xdp(_: &AfXdpSpec, _: &[XdpRule]) -> Result<Vec<Receiver>, ReceiveError> {
    Err(ReceiveError::Unsupported {
        what: "this build has no af_xdp".into(),
        fix: "build it with --features af-xdp; `just build` does where clang, libclang, libelf, zlib and m4 are installed".into(),
    })
}

#[cfg(feature = "dpdk")]
fn open_dpdk(spec: &DpdkSpec) -> Result<Vec<Receiver>, ReceiveError> {
    Ok(DpdkReceiver::open(spec)?.into_iter().map(Receiver::Dpdk).collect())
}

#[cfg(not(feature = "dpdk"))]
fn open_dpdk(_: &DpdkSpec) -> Result<Vec<Receiver>, ReceiveError> {
    Err(ReceiveError::Unsupported {
        what: "this build has no dpdk".into(),
        fix: "build it with --features dpdk; `just build` does where libdpdk-dev is installed"
            .into(),
    })
}

/// A source with a thread for each of its queues.
fn one_each(threads: usize, queues: usize, what: &str) -> Result<(), ReceiveError> {
    if threads == queues {
        return Ok(());
    }
    Err(ReceiveError::Unsupported {
        what: format!("{threads} cores for {queues} queues of {what}"),
        fix: "name a core for each queue, or fewer queues".into(),
    })
}

/// A source that several threads can share only by a setting.
fn shared(threads: usize, by: bool, setting: &str, what: &str) -> Result<(), ReceiveError> {
    if threads < 2 || by {
        return Ok(());
    }
    Err(ReceiveError::Unsupported {
        what: format!("{threads} cores for one socket on {what}"),
        fix: format!("set {setting}, or name one core"),
    })
}

/// A source that one thread reads.
fn alone(threads: usize, what: &str) -> Result<(), ReceiveError> {
    if threads < 2 {
        return Ok(());
    }
    Err(ReceiveError::Unsupported {
        what: format!("{threads} cores for {what}, which one thread reads"),
        fix: "name one core".into(),
    })
}

/// An opened source.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one per thread, and not moved once it runs")]
pub enum Receiver {
    /// A packet socket.
    AfPacket(AfPacketReceiver),
    /// An AF_XDP socket.
    #[cfg(feature = "af-xdp")]
    AfXdp(AfXdpReceiver),
    /// A queue of a DPDK port.
    #[cfg(feature = "dpdk")]
    Dpdk(DpdkReceiver),
    /// A UDP socket.
    Udp(UdpReceiver),
    /// A capture file.
    Pcap(PcapReceiver),
    /// Frames in memory.
    Memory(MemoryReceiver),
}

impl Receiver {
    /// What a poll-mode driver has counted of its port, by its own names, where it is not 0; empty
    /// for all other backends, and for all queues but the first.
    #[must_use]
    pub fn driver_totals(&self) -> BTreeMap<String, u64> {
        match self {
            #[cfg(feature = "dpdk")]
            Self::Dpdk(source) => source.xstats(),
            _ => BTreeMap::new(),
        }
    }

    /// Its socket once more, to answer through; `None` where it has none that sends.
    ///
    /// # Errors
    /// When the process may open no more files.
    pub fn reply_socket(&self) -> Result<Option<Socket>, ReceiveError> {
        match self {
            Self::Udp(source) => source.reply_socket().map(Some),
            _ => Ok(None),
        }
    }
}

/// Runs one expression on whichever backend it is.
macro_rules! each {
    ($self:expr, $source:ident => $call:expr) => {
        match $self {
            Receiver::AfPacket($source) => $call,
            #[cfg(feature = "af-xdp")]
            Receiver::AfXdp($source) => $call,
            #[cfg(feature = "dpdk")]
            Receiver::Dpdk($source) => $call,
            Receiver::Udp($source) => $call,
            Receiver::Pcap($source) => $call,
            Receiver::Memory($source) => $call,
        }
    };
}

impl Receive for Receiver {
    #[inline]
    fn poll(&mut self, batch: &mut Batch) -> Result<usize, ReceiveError> {
        each!(self, source => source.poll(batch))
    }

    #[inline]
    fn recycle(&mut self, frames: &[u32]) {
        each!(self, source => source.recycle(frames));
    }

    #[inline]
    fn recycle_all(&mut self, descs: &[Desc]) {
        each!(self, source => source.recycle_all(descs));
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), ReceiveError> {
        each!(self, source => source.wait(timeout))
    }

    fn counters(&mut self) -> SourceCounters {
        each!(self, source => source.counters())
    }

    fn granted(&self) -> Granted {
        each!(self, source => source.granted())
    }

    fn region(&self) -> RegionView {
        each!(self, source => source.region())
    }

    fn framing(&self) -> Framing {
        each!(self, source => source.framing())
    }

    fn lossless(&self) -> bool {
        each!(self, source => source.lossless())
    }

    fn finished(&self) -> bool {
        each!(self, source => source.finished())
    }

    fn detach(&mut self) {
        each!(self, source => source.detach());
    }
}
