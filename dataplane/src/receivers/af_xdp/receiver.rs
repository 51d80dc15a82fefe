//! One queue's receiver: RX ring to batch, and frames back to the fill ring.

use std::io;
use std::time::{Duration, Instant};

use pfs_rings::{Desc, RegionView};
use xsk_rs::FrameDesc;

use super::error::missing_capabilities;
use super::frames::Frames;
use super::gate::Gate;
use super::socket::{Xsk, XskConfig, rx_capacity};
use super::spec::AfXdpSpec;
use super::stage::{Stage, Step};
use super::wait::Waiter;
use crate::counters::{AfXdpCounters, SourceCounters};
use crate::link::Link;
use crate::receivers::batch::now_ns;
use crate::receivers::{Batch, Framing, Granted, Receive, ReceiveError};

/// Polls in a row that found nothing, after which the driver is woken and the socket asked
/// whether it is still bound.
const SILENCE: u32 = 1 << 14;
/// How often a silent receiver looks whether its interface is still up.
const LINK_LOOK: Duration = Duration::from_millis(100);
/// How long after `detach` packets still on their way are waited for.
const DRAIN: Duration = Duration::from_millis(100);

/// Receives what an XDP program redirects from one queue of one interface.
///
/// A packet's bytes are in UMEM frames from the kernel's copy (or the NIC's DMA) until their
/// tokens come back. Moves between threads; used by one at a time.
///
/// Dropped, it takes its socket out of the program's map (the last receiver of the interface
/// detaches the program), closes the socket, and frees the UMEM once no view holds it.
#[derive(Debug)]
pub struct AfXdpReceiver {
    // Drops first: no packet is redirected to a socket that is being closed.
    gate: Gate,
    xsk: Xsk,
    name: String,
    frame_bytes: u32,
    frames: Frames,
    stage: Stage,
    waiter: Waiter,
    silent_polls: u32,
    polled: u64,
    own: AfXdpCounters,
    detached: Option<Instant>,
    drained: bool,
    link_seen: Instant,
}

impl AfXdpReceiver {
    /// Binds a socket to `queue`, fills its fill ring, and lets the program redirect to it.
    pub(super) fn open(spec: &AfXdpSpec, link: &Link, gate: Gate) -> Result<Self, ReceiveError> {
        let config = XskConfig {
            queue: gate.queue(),
            frames: spec.frames,
            frame_bytes: spec.frame_bytes,
            rx_slots: spec.rx_slots,
            // xsk-rs makes these two whether used or not.
            tx_slots: 2,
            comp_slots: 2,
            fill_slots: spec.fill_ring(),
            capacity: rx_capacity(spec.frame_bytes),
            zero_copy: spec.zero_copy,
            huge_pages: spec.huge_pages,
        };
        let xsk = Xsk::bind(link, &config)?;
        let fd = xsk.fd();
        let mut receiver = Self {
            waiter: Waiter::new(spec.wait, spec.nap_us, fd),
            xsk,
            name: link.name.clone(),
            frame_bytes: spec.frame_bytes,
            frames: Frames::new(spec.frames, spec.frame_bytes, spec.fill_ring()),
            stage: Stage::new(),
            silent_polls: 0,
            polled: 0,
            own: AfXdpCounters::default(),
            detached: None,
            drained: false,
            link_seen: Instant::now(),
            gate,
        };
        // Through xsk-rs the fill ring is reachable only after the bind; nothing is redirected
        // before the map entry below, and the wake-up starts drivers that found it empty.
        while receiver.frames.refill(&mut receiver.xsk) > 0 {}
        receiver.xsk.wake_rx().map_err(|error| receiver.broken(error))?;
        receiver.gate.open(fd)?;
        Ok(receiver)
    }

    /// An interface that is taken down keeps its socket, which then waits for ever.
    fn look_at_link(&mut self) -> Result<(), ReceiveError> {
        if self.detached.is_none() && self.link_seen.elapsed() > LINK_LOOK {
            self.link_seen = Instant::now();
            Link::find_up(&self.name)?;
        }
        Ok(())
    }

    /// The queue that this receiver serves.
    #[must_use]
    pub fn queue(&self) -> u32 {
        self.gate.queue()
    }

    /// Totals of the queue's program and socket, each cause by itself. Makes system calls.
    pub fn detail(&mut self) -> AfXdpCounters {
        self.gate.read(&mut self.own);
        if let Ok(stats) = self.xsk.rx.fd().xdp_statistics() {
            self.own.rx_dropped = stats.rx_dropped();
            self.own.rx_ring_full = stats.rx_ring_full();
            self.own.fill_ring_empty = stats.rx_fill_ring_empty_descs();
            self.own.rx_invalid_descs = stats.rx_invalid_descs();
        }
        (self.own.naps, self.own.sleeps) = (self.waiter.naps, self.waiter.sleeps);
        self.own
    }

    /// Wakes a driver that sleeps on an empty fill ring and asks to be woken.
    fn wake_if_asked(&mut self) -> Result<(), ReceiveError> {
        if self.frames.take_refilled() && self.xsk.fill.needs_wakeup() {
            self.own.wakeups += 1;
            self.xsk.wake_rx().map_err(|error| self.broken(error))?;
        }
        Ok(())
    }

    /// Hands out staged packets, each whole, until the next does not fit or is not all there.
    fn hand_out(&mut self, batch: &mut Batch, stamp: u32) -> io::Result<()> {
        let mut at = 0;
        loop {
            match self.stage.step(at, batch.room()) {
                Step::Packet(buffers) => {
                    self.hand_out_one(batch, at, buffers, stamp)?;
                    at += buffers;
                }
                Step::Discard => {
                    self.frames.discard(self.stage.desc(at))?;
                    at += 1;
                }
                Step::Stop => break,
            }
        }
        self.stage.done_to(at);
        Ok(())
    }

    #[inline]
    fn hand_out_one(
        &mut self,
        batch: &mut Batch,
        at: usize,
        buffers: usize,
        stamp: u32,
    ) -> io::Result<()> {
        let bytes = |desc: &FrameDesc| desc.lengths().data() as u32;
        let wire_len = self.stage.packet(at, buffers).iter().map(bytes).sum();
        for position in at..at + buffers {
            let desc = self.stage.desc(position);
            let frame = self.frames.reclaim_from_kernel(desc)?;
            let som = if position == at { Desc::SOM } else { 0 };
            let eom = if desc.has_more_frames() { 0 } else { Desc::EOM };
            batch.push(
                Desc {
                    offset: desc.addr() as u64,
                    len: bytes(&desc),
                    flags: som | eom | Desc::STAMP_POLL,
                    frame: self.frames.pool.lend(frame),
                    stamp,
                    ..Desc::default()
                },
                if position == at { wire_len } else { 0 },
            );
        }
        self.polled += 1;
        Ok(())
    }

    /// Fills `batch` from the RX ring; returns packets.
    fn drain_into(&mut self, batch: &mut Batch) -> io::Result<usize> {
        let before = self.polled;
        let mut stamp = 0;
        loop {
            let want = batch.room().min(self.stage.room());
            // SAFETY: the descriptors come back as the kernel wrote them, of this socket's UMEM.
            let got = unsafe { self.xsk.rx.consume(self.stage.vacant(want)) };
            self.stage.filled(got);
            if stamp == 0 && got > 0 {
                stamp = now_ns();
            }
            self.hand_out(batch, stamp)?;
            if got < want || want == 0 {
                return Ok((self.polled - before) as usize);
            }
        }
    }

    /// After a poll that found nothing: is the drain over, has the driver stalled, is the
    /// interface gone?
    fn on_silence(&mut self) -> Result<(), ReceiveError> {
        if let Some(since) = self.detached {
            self.settle(since);
            return Ok(());
        }
        self.silent_polls += 1;
        if self.silent_polls.is_multiple_of(SILENCE) {
            self.force_wakeup()?;
            self.look_at_link()?;
        }
        Ok(())
    }

    fn force_wakeup(&mut self) -> Result<(), ReceiveError> {
        self.own.forced_wakeups += 1;
        match self.xsk.wake_rx() {
            // Nothing more can come, and nothing more was wanted.
            Err(_) if self.detached.is_some() => self.drained = self.stage.is_empty(),
            answer => drop(answer.map_err(|error| self.broken(error))?),
        }
        Ok(())
    }

    /// A packet that the program redirected may still be on its way to the ring: the drain ends
    /// when all are accounted for, or none has come for a while.
    fn settle(&mut self, since: Instant) {
        let detail = self.detail();
        let seen = self.polled + self.stage.too_long + detail.rx_dropped + detail.rx_ring_full;
        self.drained =
            self.stage.is_empty() && (seen >= detail.redirected || since.elapsed() > DRAIN);
    }

    #[cold]
    fn broken(&self, source: io::Error) -> ReceiveError {
        let fix = match source.raw_os_error() {
            Some(libc::ENXIO | libc::ENODEV | libc::EBADF) => {
                format!(
                    "the interface was removed or moved away; see: ip -br link show {}",
                    self.name
                )
            }
            Some(libc::EPERM | libc::EACCES) => missing_capabilities(),
            _ => String::new(),
        };
        let doing = format!("receiving by AF_XDP from {} queue {}", self.name, self.queue());
        ReceiveError::Io { doing, source, fix }
    }
}

impl Receive for AfXdpReceiver {
    /// Returns packets: a SOM..EOM chain is one. A packet of more than 64 buffers fits no batch;
    /// it is counted in `dropped_malformed`.
    fn poll(&mut self, batch: &mut Batch) -> Result<usize, ReceiveError> {
        self.frames.refill(&mut self.xsk);
        self.wake_if_asked()?;
        let packets = self.drain_into(batch).map_err(|error| self.broken(error))?;
        if packets == 0 {
            self.on_silence()?;
        } else {
            self.silent_polls = 0;
            self.waiter.traffic();
        }
        Ok(packets)
    }

    fn recycle(&mut self, frames: &[u32]) {
        for &token in frames {
            if let Ok(frame) = self.frames.pool.reclaim(token) {
                self.frames.pool.put(frame);
            }
        }
        self.frames.refill(&mut self.xsk);
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), ReceiveError> {
        self.frames.refill(&mut self.xsk);
        self.wake_if_asked()?;
        let deadline = Instant::now() + timeout;
        while !self.waiter.step(&mut self.xsk.rx, deadline).map_err(|error| self.broken(error))? {
            // Nothing came for a whole step: the socket says whether it is still bound.
            self.force_wakeup()?;
            if Instant::now() >= deadline {
                return self.look_at_link();
            }
        }
        Ok(())
    }

    fn counters(&mut self) -> SourceCounters {
        let detail = self.detail();
        let filtered = detail.no_socket
            + detail.passed
            + detail.dropped_by_rule
            + detail.unmatched
            + detail.malformed;
        SourceCounters {
            offered: detail.redirected + filtered,
            dropped_kernel: detail.rx_dropped + detail.rx_ring_full,
            filtered,
            dropped_malformed: self.stage.too_long,
            polled: self.polled,
            refused_tokens: self.frames.pool.refused(),
            ..SourceCounters::default()
        }
    }

    fn granted(&self) -> Granted {
        let copy = if self.xsk.grant.zero_copy { "zero-copy" } else { "copy" };
        let mut notes = self.gate.notes().to_vec();
        notes.extend(self.xsk.grant.notes.iter().cloned());
        if !self.xsk.grant.multi_buffer {
            notes.push(format!(
                "one buffer a packet: those over {} bytes are dropped",
                rx_capacity(self.frame_bytes)
            ));
        }
        Granted {
            backend: "af_xdp".to_owned(),
            mode: format!("{} {copy}", self.gate.mode()),
            from: self.name.clone(),
            queue: Some(self.queue()),
            frames: self.frames.pool.capacity(),
            region_bytes: u64::from(self.frames.pool.capacity()) * u64::from(self.frame_bytes),
            notes,
        }
    }

    fn region(&self) -> RegionView {
        self.xsk.region()
    }

    fn framing(&self) -> Framing {
        Framing::Ethernet
    }

    fn lossless(&self) -> bool {
        false
    }

    fn finished(&self) -> bool {
        self.drained
    }

    fn detach(&mut self) {
        if self.detached.is_none() {
            self.gate.close();
            self.detached = Some(Instant::now());
        }
    }
}
