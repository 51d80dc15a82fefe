//! The sender: frames of one size at a steady rate, with the time in each where that is wanted.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::thread;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use pfs_dataplane::link::Link;
use pfs_dataplane::transmitters::frames::{
    ETHERNET_HEADER, FrameSize, Mac, UDP_HEADERS, UdpAddresses, write_raw, write_udp,
};
use pfs_dataplane::transmitters::pace::{Clock, HostClock, Pace, Pacer};
use pfs_dataplane::transmitters::{Transmit, TransmitError};

#[cfg(feature = "af-xdp")]
use pfs_dataplane::transmitters::af_xdp::{AfXdpTransmitter as Tx, AfXdpTxSpec as TxSpec};

#[cfg(not(feature = "af-xdp"))]
use pfs_dataplane::transmitters::af_packet::{AfPacketTransmitter as Tx, AfPacketTxSpec as TxSpec};

use super::wire::{FROM_ADDRESS, TO_ADDRESS, Wire};

/// How the sender puts frames on the wire.
pub(super) const SENDER: &str =
    if cfg!(feature = "af-xdp") { "AF_XDP, copy" } else { "AF_PACKET ring" };
/// UDP port that frames for a socket go to.
pub(super) const PORT: u16 = 9000;
/// Different frames, sent in turn; a multiple of every mix's period.
const FRAMES: usize = 192;
/// Frames handed to the transmitter at a time.
const BURST: usize = 64;
/// How long a full transmitter is left alone.
const FULL_NAP: Duration = Duration::from_micros(20);

/// What frames are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dress {
    /// EtherType 0x88B5, which no protocol of the kernel listens to.
    Raw,
    /// UDP over IPv4 to [`PORT`].
    Udp,
}

/// What one stretch of sending did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sent {
    /// Frames that left.
    pub(super) frames: u64,
    /// Seconds that it took.
    pub(super) seconds: f64,
    /// Whether the rate asked for was not kept: the sender was the limit.
    pub(super) short: bool,
}

/// Sends on one interface.
#[derive(Debug)]
pub(super) struct Sender {
    tx: Tx,
    frames: Vec<Vec<u8>>,
    headers: usize,
    next: usize,
}

impl Sender {
    /// A sender of frames of `size` from the wire's one end to the other.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub(super) fn open(wire: &Wire, size: FrameSize, dress: Dress) -> Result<Self, String> {
        let tx = Tx::open(&TxSpec::new(wire.from.as_str())).map_err(|error| error.to_string())?;
        let link = Link::find(&wire.from).map_err(|error| error.to_string())?;
        let from = Mac(link.mac);
        let frame =
            |number: usize| frame(number, size.len_of(number as u64), dress, from, wire.to_mac);
        let headers = if dress == Dress::Raw { ETHERNET_HEADER } else { UDP_HEADERS };
        Ok(Self { tx, frames: (0..FRAMES).map(frame).collect(), headers, next: 0 })
    }

    /// Which of the different frames comes next, for [`Self::answer`].
    pub(super) const fn position(&self) -> usize {
        self.next
    }

    /// What `crc32c` gives for the payloads of `frames` frames from `position` on, and their
    /// payload bytes: by another implementation than the receiver's.
    pub(super) fn answer(&self, position: usize, frames: u64) -> (u64, u64) {
        let count = FRAMES as u64;
        (0..count).fold((0, 0), |(digest, bytes): (u64, u64), nth| {
            let times = frames / count + u64::from(nth < frames % count);
            let payload = &self.frames[(position + nth as usize) % FRAMES][self.headers..];
            let one = u64::from(crc32c::crc32c(payload));
            (digest.wrapping_add(one.wrapping_mul(times)), bytes + payload.len() as u64 * times)
        })
    }

    /// Sends for `time`, as fast as it goes or at `rate` frames a second, and waits until all
    /// have left. With `stamps`, each payload begins with the time at which its burst is handed to
    /// the kernel, in nanoseconds of the monotonic clock, little-endian; the frames' digests are
    /// then those of no [`Self::answer`].
    ///
    /// # Errors
    /// When the link is gone, or the rate is none.
    pub(super) fn send(
        &mut self,
        time: Duration,
        rate: Option<f64>,
        stamps: bool,
    ) -> Result<Sent, String> {
        let text = |error: TransmitError| error.to_string();
        let before = self.tx.counters().sent;
        let pace = rate.map_or(Pace::TopSpeed, Pace::Pps);
        let mut pacer = Pacer::new(pace, BURST).map_err(|error| error.to_string())?;
        let clock = HostClock::default();
        let end = time.as_nanos() as u64;
        let mut due = Vec::with_capacity(BURST);
        loop {
            while due.len() < BURST {
                due.push(pacer.schedule(0, 0));
            }
            let now = clock.now_ns();
            if now >= end || pacer.due(due[0]) >= end {
                break;
            }
            let next = pacer.next_at(&due).min(end);
            if now < next {
                clock.wait_until(next);
                continue;
            }
            let count = pacer.admit(&due, now);
            let taken = self.burst(count, stamps).map_err(text)?;
            due.drain(..taken);
            if taken == 0 && count > 0 {
                thread::sleep(FULL_NAP);
            }
        }
        self.tx.flush().map_err(text)?;
        let seconds = clock.now_ns() as f64 / 1e9;
        let frames = self.tx.counters().sent - before;
        let wanted = rate.map_or(0.0, |rate| rate * time.as_secs_f64());
        // What a burst's end cuts off is no failure to keep the rate.
        let short = rate.is_some() && (frames as f64) < wanted * 0.99 - BURST as f64;
        Ok(Sent { frames, seconds: seconds.max(time.as_secs_f64()), short })
    }

    fn burst(&mut self, count: usize, stamps: bool) -> Result<usize, TransmitError> {
        if stamps {
            let now = monotonic_ns().to_le_bytes();
            for at in 0..count {
                let frame = &mut self.frames[(self.next + at) % FRAMES];
                if let Some(place) = frame.get_mut(self.headers..self.headers + now.len()) {
                    place.copy_from_slice(&now);
                }
                // A payload that changes has no checksum that stays: 0 says that there is none.
                if self.headers == UDP_HEADERS {
                    frame[UDP_HEADERS - 2..UDP_HEADERS].fill(0);
                }
            }
        }
        let mut refs: [&[u8]; BURST] = [&[]; BURST];
        for (at, slot) in refs.iter_mut().take(count).enumerate() {
            *slot = &self.frames[(self.next + at) % FRAMES];
        }
        let taken = self.tx.send(&refs[..count])?;
        self.next = (self.next + taken) % FRAMES;
        Ok(taken)
    }
}

/// Nanoseconds of the host's monotonic clock, which all its processes share.
pub(super) fn monotonic_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// A frame of `bytes` bytes, check sequence not counted, whose payload depends on `number`.
fn frame(number: usize, bytes: usize, dress: Dress, from: Mac, to: Mac) -> Vec<u8> {
    let mut state = number as u64 + 1;
    let mut frame = vec![0; bytes];
    frame.fill_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    });
    match dress {
        Dress::Raw => write_raw(&mut frame, from, to),
        Dress::Udp => {
            let address = |text: &str, port| {
                SocketAddrV4::new(text.parse().unwrap_or(Ipv4Addr::LOCALHOST), port)
            };
            let addresses = UdpAddresses {
                src_mac: from,
                dst_mac: to,
                src: address(FROM_ADDRESS, 1024),
                dst: address(TO_ADDRESS, PORT),
            };
            write_udp(&mut frame, bytes - UDP_HEADERS, &addresses);
        }
    }
    frame
}
