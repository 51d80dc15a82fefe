//! A veth pair in a namespace of its own, and a sender on one end.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use pfs_dataplane::netns::{NetNs, NetNsError, VethOptions};
use pfs_dataplane::transmitters::frames::Mac;
use pfs_dataplane::transmitters::frames::write_raw;
use pfs_dataplane::transmitters::{Transmit, TransmitError};

#[cfg(feature = "af-xdp")]
use pfs_dataplane::transmitters::af_xdp::{AfXdpTransmitter as Tx, AfXdpTxSpec as TxSpec};

#[cfg(not(feature = "af-xdp"))]
use pfs_dataplane::transmitters::af_packet::{AfPacketTransmitter as Tx, AfPacketTxSpec as TxSpec};

/// The sender's end.
pub const FROM: &str = "a0";
/// The receiver's end.
pub const TO: &str = "b0";
/// Frames handed to the transmitter at a time, each different from the others.
const BURST: usize = 64;
const ETHERNET_HEADER: usize = 14;

/// How the sender puts frames on the wire.
pub const SENDER: &str = if cfg!(feature = "af-xdp") { "AF_XDP, copy" } else { "AF_PACKET ring" };

/// The calling thread's namespace with a pair in it; both go with the value.
#[derive(Debug)]
pub struct Veth {
    _namespace: NetNs,
}

impl Veth {
    /// Moves the calling thread into a namespace and makes the pair [`FROM`]–[`TO`].
    ///
    /// # Errors
    /// Without root, or without `ip`.
    pub fn new() -> Result<Self, NetNsError> {
        let namespace = NetNs::enter()?;
        namespace.veth_pair(FROM, TO, VethOptions::default())?;
        Ok(Self { _namespace: namespace })
    }
}

/// Packets that the pair itself has dropped, at either end, by `/proc/net/dev`.
#[must_use]
pub fn link_drops() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    let of = |line: &str| {
        let (name, counts) = line.split_once(':')?;
        let counts: Vec<u64> = counts.split_whitespace().flat_map(str::parse).collect();
        let [received, sent] = [counts.get(3)?, counts.get(11)?];
        [FROM, TO].contains(&name.trim()).then_some(received + sent)
    };
    text.lines().filter_map(of).sum()
}

/// Sends frames of EtherType 0x88B5, of one size, 64 different ones in turn.
#[derive(Debug)]
pub struct Sender {
    tx: Tx,
    frames: Vec<Vec<u8>>,
    next: usize,
}

/// What one stretch of sending did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// Frames that left.
    pub frames: u64,
    /// Seconds that it took.
    pub seconds: f64,
}

impl Sender {
    /// A sender on [`FROM`] of frames of `frame_bytes` (check sequence counted, as a frame's size
    /// is commonly given; it is not sent).
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn open(frame_bytes: usize) -> Result<Self, TransmitError> {
        let tx = Tx::open(&TxSpec::new(FROM))?;
        let frames = (0..BURST).map(|number| frame(number, frame_bytes - 4)).collect();
        Ok(Self { tx, frames, next: 0 })
    }

    /// Payload bytes of a frame.
    #[must_use]
    pub fn payload_bytes(&self) -> u64 {
        self.frames.first().map_or(0, |frame| (frame.len() - ETHERNET_HEADER) as u64)
    }

    /// Which of the different frames comes next, for [`Self::digest_from`].
    #[must_use]
    pub const fn position(&self) -> usize {
        self.next
    }

    /// Sum of the CRC-32C digests of the payloads of `frames` frames from `position` on.
    #[must_use]
    pub fn digest_from(&self, position: usize, frames: u64) -> u64 {
        let count = self.frames.len() as u64;
        (0..count).fold(0, |sum: u64, nth| {
            let times = frames / count + u64::from(nth < frames % count);
            let at = (position + nth as usize) % self.frames.len();
            let digest = crc32c::crc32c(&self.frames[at][ETHERNET_HEADER..]);
            sum.wrapping_add(u64::from(digest).wrapping_mul(times))
        })
    }

    /// Sends for `time`, as fast as it goes or at `rate` frames a second, and waits until all
    /// have left.
    ///
    /// # Errors
    /// When the link is gone.
    pub fn send(&mut self, time: Duration, rate: Option<f64>) -> Result<Sent, TransmitError> {
        let before = self.tx.counters().sent;
        let start = Instant::now();
        let mut frames = 0u64;
        loop {
            let elapsed = start.elapsed();
            if elapsed >= time {
                break;
            }
            let due = rate.map_or(u64::MAX, |rate| (elapsed.as_secs_f64() * rate) as u64 + 1);
            let count = (due.saturating_sub(frames)).min(BURST as u64) as usize;
            // Half a burst is worth a system call; less than that gathers.
            if count < BURST / 2 {
                thread::sleep(Duration::from_micros(20));
                continue;
            }
            let taken = self.burst(count)?;
            frames += taken as u64;
            if taken == 0 {
                thread::yield_now();
            }
        }
        self.tx.flush()?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Sent { frames: self.tx.counters().sent - before, seconds })
    }

    fn burst(&mut self, count: usize) -> Result<usize, TransmitError> {
        let mut refs: [&[u8]; BURST] = [&[]; BURST];
        for (at, slot) in refs.iter_mut().take(count).enumerate() {
            *slot = &self.frames[(self.next + at) % BURST];
        }
        let taken = self.tx.send(&refs[..count])?;
        self.next = (self.next + taken) % BURST;
        Ok(taken)
    }
}

/// A frame of `bytes` bytes whose payload depends on `number`.
fn frame(number: usize, bytes: usize) -> Vec<u8> {
    let mut state = number as u64 + 1;
    let mut frame = vec![0; ETHERNET_HEADER];
    write_raw(&mut frame, Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]));
    frame.resize_with(bytes, || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    });
    frame
}
