//! AF_XDP transmission: frames copied into a UMEM and sent from one queue of an interface,
//! past the queueing discipline. No XDP program is needed.
//!
//! A queue has one socket: the queue that an AF_XDP receiver of the same interface is bound to
//! cannot be sent from. In copy mode the kernel works inside the caller's system calls, up to 32
//! buffers each.

mod spec;
#[cfg(test)]
mod tests;

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use pfs_rings::{Frame, FramePool};
use xsk_rs::FrameDesc;

pub use spec::AfXdpTxSpec;

use super::{Transmit, TransmitCounters, TransmitError};
use crate::link::Link;
use crate::receivers::af_xdp::error::missing_capabilities;
use crate::receivers::af_xdp::socket::{CONTINUED, Xsk};

/// Buffers handed to the kernel between two system calls: what one call works off.
const BURST: usize = 32;
/// Most buffers of one packet: the kernel puts the first into an skb's head and each other into
/// a fragment, of which there are 17 (`MAX_SKB_FRAGS`).
const MOST_BUFFERS: usize = 18;
/// How long [`Transmit::flush`] waits for any progress.
const PATIENCE: Duration = Duration::from_secs(2);
/// Ethernet header, and a VLAN tag that the MTU does not count either.
const HEADER: usize = 14;
const TAG: usize = 4;

/// Marks, in [`AfXdpTransmitter::ends`], a frame that the device dropped.
const FAILED: u32 = 1 << 31;

/// Sends frames from one queue.
///
/// Dropped, it closes its socket; what was not flushed may be lost.
#[derive(Debug)]
pub struct AfXdpTransmitter {
    xsk: Xsk,
    name: String,
    mtu: usize,
    capacity: usize,
    frame_bytes: usize,
    pool: FramePool,
    /// Frames in the TX or completion ring, or with the device.
    lent_to_kernel: Box<[Option<Frame>]>,
    /// For a buffer that ends a packet the packet's bytes, else 0; with [`FAILED`].
    ends: Box<[u32]>,
    /// UMEM frame by position in the TX ring.
    order: Box<[u32]>,
    produced: u64,
    /// Buffers that the kernel has taken off the TX ring.
    consumed: u64,
    in_flight: u32,
    counts: TransmitCounters,
}

impl AfXdpTransmitter {
    /// Opens a transmitter.
    ///
    /// # Errors
    /// The interface is missing or down, the queue does not exist or is held by another socket
    /// (waited for up to 2 s), zero-copy or multi-buffer are required and not given, a
    /// capability is missing, or memory is short.
    pub fn open(spec: &AfXdpTxSpec) -> Result<Self, TransmitError> {
        let link = Link::find_up(&spec.interface)?;
        let config = spec.config(&link)?;
        let mut xsk = Xsk::bind(&link, &config)?;
        let mut pool = FramePool::new(config.frames);
        let mut lent_to_kernel: Box<[Option<Frame>]> = (0..config.frames).map(|_| None).collect();
        // Drivers take receive buffers at the bind though nobody receives; without any, some
        // never start the queue.
        let fill: Vec<Frame> = (0..config.fill_slots).filter_map(|_| pool.take()).collect();
        let descs: Vec<FrameDesc> =
            fill.iter().map(|frame| xsk.frames[frame.index() as usize]).collect();
        // SAFETY: these frames are of this UMEM and nothing else has them, now or later.
        unsafe { xsk.fill.produce(&descs) };
        for frame in fill {
            let index = frame.index() as usize;
            lent_to_kernel[index] = Some(frame);
        }
        Ok(Self {
            xsk,
            name: spec.interface.clone(),
            mtu: link.mtu as usize,
            capacity: config.capacity as usize,
            frame_bytes: config.frame_bytes as usize,
            pool,
            lent_to_kernel,
            ends: vec![0; config.frames as usize].into_boxed_slice(),
            order: vec![0; config.tx_slots as usize].into_boxed_slice(),
            produced: 0,
            consumed: 0,
            in_flight: 0,
            counts: TransmitCounters::default(),
        })
    }

    /// Whether the driver sends from the UMEM without a copy; and why something that was asked
    /// for was not given.
    #[must_use]
    pub fn granted(&self) -> (bool, &[String]) {
        (self.xsk.grant.zero_copy, &self.xsk.grant.notes)
    }

    /// Largest frame that can be sent, in bytes, header and any VLAN tag included.
    fn limit(&self, frame: &[u8]) -> usize {
        let tagged = matches!(frame.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8]));
        self.mtu + HEADER + if tagged { TAG } else { 0 }
    }

    /// Buffers that `frame` takes.
    fn buffers(&self, frame: &[u8]) -> Result<usize, TransmitError> {
        let refuse = |why: String, fix: String| {
            let what = format!("a frame of {} bytes for {}: {why}", frame.len(), self.name);
            Err(TransmitError::Unsupported { what, fix })
        };
        let limit = self.limit(frame);
        if frame.len() < HEADER {
            return refuse("shorter than an Ethernet header".to_owned(), String::new());
        }
        if frame.len() > limit {
            let wanted = frame.len() - (limit - self.mtu);
            return refuse(
                format!("larger than the MTU {} allows ({limit})", self.mtu),
                format!("send smaller ones, or: ip link set dev {} mtu {wanted}", self.name),
            );
        }
        let buffers = frame.len().div_ceil(self.capacity);
        let most = if self.xsk.grant.multi_buffer { MOST_BUFFERS } else { 1 };
        if buffers > most.min(self.order.len()) {
            return refuse(
                format!(
                    "it needs {buffers} buffers of {} bytes, {most} can be sent",
                    self.capacity
                ),
                "set frame_bytes to 4096".to_owned(),
            );
        }
        Ok(buffers)
    }

    fn has_room(&mut self, buffers: usize) -> bool {
        self.pool.free() >= buffers && self.xsk.tx.nb_free(buffers as u32) >= buffers as u32
    }

    /// Copies `frame` into UMEM frames and puts them on the TX ring; there is room.
    fn produce(&mut self, frame: &[u8], buffers: usize) {
        let mut descs = [FrameDesc::default(); MOST_BUFFERS];
        for (at, bytes) in frame.chunks(self.capacity).enumerate() {
            let Some(lent) = self.pool.take() else { return };
            let index = lent.index() as usize;
            let mut desc = self.xsk.frames[index];
            // SAFETY: the frame is of this UMEM and was free in the pool, so nothing else
            // reads or writes it; `bytes` is at most `capacity`, and fits.
            let _fits = io::Write::write_all(
                &mut unsafe { self.xsk.umem().data_mut(&mut desc) }.cursor(),
                bytes,
            );
            let last = at + 1 == buffers;
            desc.set_options(if last { 0 } else { CONTINUED });
            self.ends[index] = if last { frame.len() as u32 } else { 0 };
            self.lent_to_kernel[index] = Some(lent);
            let slot = (self.produced + at as u64) as usize & (self.order.len() - 1);
            self.order[slot] = index as u32;
            descs[at] = desc;
        }
        // SAFETY: as above; the frames stay untouched until the completion ring gives them back.
        let taken = unsafe { self.xsk.tx.produce(&descs[..buffers]) };
        debug_assert_eq!(taken, buffers, "room was asked for");
        self.produced += buffers as u64;
        self.in_flight += buffers as u32;
        self.counts.accepted += 1;
    }

    /// Makes the kernel work on the TX ring, where it asks for that or `force` says so.
    fn kick(&mut self, force: bool) -> Result<(), TransmitError> {
        if !force && !self.xsk.tx.needs_wakeup() {
            return Ok(());
        }
        let errno = self.xsk.wake_tx().map_err(|error| self.broken(error))?;
        let left = self.order.len() as u64 - u64::from(self.xsk.tx.nb_free_exact());
        let published = self.produced - left;
        // In copy mode this answer is taken to mean one thing: the last packet taken off the ring was
        // dropped by the device. The kernel publishes its position only when the same call also
        // sent one; if not, the dropped packet is the first that it had not taken before.
        if errno == libc::EBUSY && !self.xsk.grant.zero_copy {
            let end = if published > self.consumed { published } else { self.packet_end() };
            if end > 0 && end <= self.produced {
                let last = self.order[(end - 1) as usize & (self.order.len() - 1)];
                self.ends[last as usize] |= FAILED;
                self.consumed = end;
            }
        }
        self.consumed = self.consumed.max(published);
        Ok(())
    }

    /// Position behind the packet that begins at `consumed`.
    fn packet_end(&self) -> u64 {
        let mask = self.order.len() - 1;
        let ends = |&at: &u64| self.ends[self.order[at as usize & mask] as usize] != 0;
        (self.consumed..self.produced).find(ends).map_or(self.produced, |at| at + 1)
    }

    /// Takes back frames that have been sent; returns how many.
    fn reap(&mut self) -> usize {
        let mut total = 0;
        loop {
            let mut descs = [FrameDesc::default(); BURST];
            // SAFETY: the descriptors come back as the kernel wrote them, of this UMEM.
            let got = unsafe { self.xsk.comp.consume(&mut descs) };
            for desc in &descs[..got] {
                let index = desc.addr() / self.frame_bytes;
                let Some(frame) = self.lent_to_kernel.get_mut(index).and_then(Option::take) else {
                    continue;
                };
                self.pool.put(frame);
                self.in_flight -= 1;
                match self.ends[index] {
                    0 => {}
                    end if end & FAILED != 0 => self.counts.failed += 1,
                    bytes => {
                        self.counts.sent += 1;
                        self.counts.sent_bytes += u64::from(bytes);
                    }
                }
            }
            total += got;
            if got < BURST {
                return total;
            }
        }
    }

    #[cold]
    fn broken(&self, source: io::Error) -> TransmitError {
        let fix = match source.raw_os_error() {
            Some(libc::ENXIO | libc::ENODEV | libc::EBADF) => {
                format!(
                    "the interface was removed or moved away; see: ip -br link show {}",
                    self.name
                )
            }
            Some(libc::ENETDOWN) => format!("bring it up: ip link set dev {} up", self.name),
            Some(libc::EPERM | libc::EACCES) => missing_capabilities(),
            _ => String::new(),
        };
        TransmitError::Io { doing: format!("sending by AF_XDP to {}", self.name), source, fix }
    }
}

impl Transmit for AfXdpTransmitter {
    fn send(&mut self, frames: &[&[u8]]) -> Result<usize, TransmitError> {
        let mut unkicked = 0;
        let mut refused = None;
        let mut taken = 0;
        for frame in frames {
            let buffers = match self.buffers(frame) {
                Ok(buffers) => buffers,
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            };
            if !self.has_room(buffers) {
                self.kick(true)?;
                unkicked = 0;
                self.reap();
                if !self.has_room(buffers) {
                    break;
                }
            }
            self.produce(frame, buffers);
            taken += 1;
            unkicked += buffers;
            if unkicked >= BURST {
                self.kick(false)?;
                unkicked = 0;
                self.reap();
            }
        }
        if unkicked > 0 {
            self.kick(false)?;
            self.reap();
        }
        refused.map_or(Ok(taken), Err)
    }

    fn flush(&mut self) -> Result<(), TransmitError> {
        let mut progress = Instant::now();
        let mut idle = 0u32;
        loop {
            let before = self.consumed;
            if self.consumed < self.produced {
                self.kick(true)?;
            }
            if self.reap() > 0 || self.consumed > before {
                (progress, idle) = (Instant::now(), 0);
            }
            if self.in_flight == 0 {
                return Ok(());
            }
            if progress.elapsed() > PATIENCE {
                let down = Link::find(&self.name).is_ok_and(|link| !link.up);
                let errno = if down { libc::ENETDOWN } else { libc::ETIMEDOUT };
                return Err(self.broken(io::Error::from_raw_os_error(errno)));
            }
            idle += 1;
            if idle > 64 {
                thread::sleep(Duration::from_micros(100));
            } else {
                thread::yield_now();
            }
        }
    }

    fn counters(&mut self) -> TransmitCounters {
        self.reap();
        self.counts
    }
}
