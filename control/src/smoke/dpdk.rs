//! The legs over DPDK's virtual devices: what each needs beside the port that receives.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use pfs_dataplane::dpdk::DpdkSpec;
use pfs_dataplane::netns::{NetNs, VethOptions};
use pfs_dataplane::packet::{self, Fragment, Frame, Network};
use pfs_dataplane::receivers::{Framing, SourceSpec};
use pfs_dataplane::run::start;
use pfs_dataplane::transmitters::af_packet::{AfPacketTransmitter, AfPacketTxSpec};
use pfs_dataplane::transmitters::dpdk::DpdkTransmitter;
use pfs_dataplane::transmitters::{Transmit, TransmitCounters, TransmitError};

use super::capture::Capture;
use super::live::{self, MTU};
use super::place::Place;
use crate::plan::{self, PlanFlags};
use crate::run::prepare;

/// How long a device may take until its link is up and it takes a frame.
const PATIENCE: Duration = Duration::from_secs(5);
/// Huge pages with which EAL is started as on a host that is set up for it.
const ENOUGH: u64 = 128;

/// Virtual devices that bring what they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vdev {
    /// A ring of mbufs, from the port to itself.
    Ring,
    /// The capture's file, read by libpcap.
    Pcap,
    /// A packet socket on one end of a veth pair.
    AfPacket,
    /// An AF_XDP socket there.
    AfXdp,
    /// A tap device; the kernel sends.
    Tap,
    /// Shared memory between two ports.
    Memif,
}

/// The end of a leg that sends, once the port that receives is started.
#[derive(Debug)]
pub(super) struct Peer {
    by: By,
    /// Open until the leg is over: what it sent last may still lie in its device.
    sink: Option<Patient>,
    _namespace: Option<NetNs>,
}

#[derive(Debug)]
enum By {
    Port(Box<DpdkSpec>),
    Interface(&'static str),
    /// The device has the frames itself.
    Nobody,
}

impl Vdev {
    pub(super) const ALL: [Self; 6] =
        [Self::Ring, Self::Pcap, Self::AfPacket, Self::AfXdp, Self::Tap, Self::Memif];

    /// `dpdk-` and the driver's name without its `net_`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ring => "dpdk-ring",
            Self::Pcap => "dpdk-pcap",
            Self::AfPacket => "dpdk-af_packet",
            Self::AfXdp => "dpdk-af_xdp",
            Self::Tap => "dpdk-tap",
            Self::Memif => "dpdk-memif",
        }
    }

    /// Whether its leg makes a namespace and interfaces.
    pub(super) const fn needs_links(self) -> bool {
        matches!(self, Self::AfPacket | Self::AfXdp | Self::Tap)
    }

    /// Whether it brings all frames of `capture` as they are: some of DPDK's drivers have an MTU
    /// of 1,500, and the one of packet sockets has the kernel put IPv4 fragments together.
    pub(super) fn takes(self, capture: &Capture) -> bool {
        match self {
            Self::Ring | Self::Pcap => true,
            Self::AfPacket => !capture.frames.iter().any(|frame| is_fragment(frame)),
            Self::AfXdp | Self::Tap | Self::Memif => {
                capture.frames.iter().all(|frame| frame.len() <= 1514)
            }
        }
    }

    /// The source, and what sends to it. Moves the calling thread into a namespace where the
    /// device needs one.
    ///
    /// # Errors
    /// What could not be made, with the remedy.
    pub(super) fn open(self, capture: &Capture) -> Result<(DpdkSpec, Peer), String> {
        let number = next();
        let path = capture.path.display();
        let (device, namespace, by) = match self {
            Self::Ring => (format!("net_ring{number}"), None, None),
            Self::Pcap => (format!("net_pcap{number},rx_pcap={path}"), None, Some(By::Nobody)),
            Self::AfPacket => (
                format!("net_af_packet{number},iface=rx0,framesz=10240,blocksz=20480,framecnt=256"),
                Some(link(MTU)?),
                Some(By::Interface("tx0")),
            ),
            Self::AfXdp => (
                format!("net_af_xdp{number},iface=rx0"),
                Some(link(1500)?),
                Some(By::Interface("tx0")),
            ),
            Self::Tap => (
                format!("net_tap{number},iface=rx0"),
                Some(NetNs::enter().map_err(|error| error.to_string())?),
                Some(By::Interface("rx0")),
            ),
            Self::Memif => {
                let socket = format!("socket=pfs-{}-{number}", std::process::id());
                let port = |role: &str, at| {
                    format!("net_memif{at},role={role},id=0,{socket},socket-abstract=yes")
                };
                let peer = By::Port(Box::new(spec(&port("client", next()))));
                (port("server", number), None, Some(peer))
            }
        };
        let mut spec = spec(&device);
        if self == Self::AfPacket {
            // A frame of its ring must fit an mbuf.
            spec = DpdkSpec {
                frame_bytes: 10_240,
                rx_slots: 512,
                tx_slots: 512,
                frames: 2560,
                ..spec
            };
        }
        let by = by.unwrap_or_else(|| By::Port(Box::new(spec.clone())));
        Ok((spec, Peer { by, sink: None, _namespace: namespace }))
    }
}

/// The source and what sends to it, on devices that were given.
///
/// # Errors
/// When none were.
pub(super) fn given(place: &Place) -> Result<(DpdkSpec, Peer), String> {
    let Some(pair) = &place.device else { return Err("no device was given".into()) };
    let port = |device: &str| DpdkSpec {
        eal: place.eal.clone().or_else(|| allow([&pair.tx, &pair.rx])),
        mtu: Some(place.mtu as u16),
        promiscuous: true,
        ..DpdkSpec::from_devargs(device)
    };
    let by = By::Port(Box::new(port(&pair.tx)));
    Ok((port(&pair.rx), Peer { by, sink: None, _namespace: None }))
}

/// EAL's arguments for devices on the PCI bus, which it takes no others of; `None` without any.
fn allow(devices: [&String; 2]) -> Option<String> {
    let pci = devices.into_iter().filter(|device| DpdkSpec::new(device).is_pci());
    let words: Vec<String> = pci.map(|device| format!("-a {device}")).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Whether an Ethernet frame, tagged or not, has an IPv4 fragment.
fn is_fragment(frame: &[u8]) -> bool {
    let len = frame.len() as u32;
    let parsed = packet::parse(Framing::Ethernet, Frame::new(frame, len, len));
    parsed.is_ok_and(|parsed| parsed.network == Network::Ipv4 && parsed.fragment != Fragment::Whole)
}

/// A number that no other device of this process has.
fn next() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Relaxed)
}

fn link(mtu: u32) -> Result<NetNs, String> {
    let namespace = NetNs::enter().map_err(|error| error.to_string())?;
    let pair = namespace.veth_pair("tx0", "rx0", VethOptions { queues: 1, mtu });
    pair.map_err(|error| error.to_string())?;
    Ok(namespace)
}

/// The settings of a leg's port.
pub(super) fn spec(devargs: &str) -> DpdkSpec {
    DpdkSpec {
        eal: (free_pages() < ENOUGH).then(|| "--no-huge -m 256".to_owned()),
        // The other devices have that of their interface, or no other than 1,500.
        mtu: devargs.starts_with("net_ring").then_some(MTU as u16),
        ..DpdkSpec::from_devargs(devargs)
    }
}

/// Huge pages that are free; asked once, for EAL starts once.
fn free_pages() -> u64 {
    static FREE: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    let file = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
    *FREE.get_or_init(|| {
        std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    })
}

impl Peer {
    /// Sends all of `capture`; gives how many packets come.
    ///
    /// # Errors
    /// When the sender cannot be opened, or its device takes nothing.
    pub(super) fn send(&mut self, capture: &Capture, keep_up: impl Fn(u64)) -> Result<u64, String> {
        match &self.by {
            By::Nobody => return Ok(capture.frames.len() as u64),
            By::Interface(name) => {
                let sink = AfPacketTransmitter::open(&AfPacketTxSpec::new(*name));
                let mut sink = sink.map_err(|error| error.to_string())?;
                live::send(&mut sink, &capture.frames, keep_up)
            }
            By::Port(spec) => {
                let sink = DpdkTransmitter::open(spec).map_err(|error| error.to_string())?;
                if spec.is_pci() && !sink.await_link(PATIENCE) {
                    return Err(format!("{}: the link is down", spec.device));
                }
                live::send(
                    self.sink.insert(Patient { sink, since: None }),
                    &capture.frames,
                    keep_up,
                )
            }
        }
        .map_err(|error| format!("sending {}: {error}", capture.name))
    }
}

/// Waits for a device whose link comes up later, for a while.
#[derive(Debug)]
struct Patient {
    sink: DpdkTransmitter,
    since: Option<Instant>,
}

impl Transmit for Patient {
    fn send(&mut self, frames: &[&[u8]]) -> Result<usize, TransmitError> {
        let taken = self.sink.send(frames)?;
        if taken > 0 {
            self.since = None;
            return Ok(taken);
        }
        if self.since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            return Err(TransmitError::Unsupported {
                what: "the device took no frame for five seconds".into(),
                fix: String::new(),
            });
        }
        thread::sleep(Duration::from_millis(5));
        Ok(0)
    }

    fn flush(&mut self) -> Result<(), TransmitError> {
        self.sink.flush()
    }

    fn counters(&mut self) -> TransmitCounters {
        self.sink.counters()
    }
}

/// Packets of the leg over net_null, and bytes of each.
const NULLS: u64 = 1_000_000;
const NULL_BYTES: u64 = 64;

/// The leg of the device that makes packets out of nothing: there is no capture, but every packet
/// must be accounted for and have its bytes. Gives how many there were.
///
/// # Errors
/// What went wrong.
pub(super) fn null() -> Result<u64, String> {
    let flags = PlanFlags {
        from: vec!["memory:64".into()],
        prog: Some("len,crc32c".into()),
        seconds: Some(60.0),
        ..PlanFlags::default()
    };
    let mut plan = plan::make(&flags).map_err(|error| error.to_string())?;
    let device = format!("net_null{},size={NULL_BYTES}", next());
    plan.sources[0].from =
        SourceSpec::Dpdk(DpdkSpec { framing: Framing::Payload, mtu: None, ..spec(&device) });
    let prepared = prepare(&plan).map_err(|error| error.to_string())?;
    let running = start(prepared.spec).map_err(|error| error.to_string())?;
    let deadline = Instant::now() + 4 * PATIENCE;
    while running.snapshot().books().consumed < NULLS && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    running.stop();
    let report = running.join();
    let (books, workers) = (report.books, &report.workers);
    let bytes: u64 = workers.iter().map(|worker| worker.counters.consumed_bytes).sum();
    if !report.errors.is_empty() {
        return Err(report.errors.join("; "));
    }
    if books.residual != 0 || bytes != books.consumed * NULL_BYTES || books.consumed < NULLS {
        return Err(format!("{bytes} bytes of {books:?}"));
    }
    Ok(books.consumed)
}
