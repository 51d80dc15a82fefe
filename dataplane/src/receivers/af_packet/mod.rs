//! AF_PACKET: frames through a packet socket, read where the kernel has put them.
//!
//! Needs `CAP_NET_RAW` to open and nothing afterwards. Works on any interface and leaves the
//! kernel's stack undisturbed: every frame goes there too.
//!
//! The kernel hands frames over by the block, when one is full or its retire time has passed; a
//! block goes back when the last span into it has been returned. Blocks may go back in any
//! order, but the kernel fills them strictly in turn: one span that a worker keeps stops the
//! kernel once it has been round the ring, and what arrives then is dropped and counted as
//! `dropped_kernel`.

mod open;
mod ring;
mod spec;
#[cfg(test)]
mod tests;

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use bytemuck::{Pod, Zeroable};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pfs_rings::{Desc, FramePool, RegionView};

pub use spec::{AfPacketSpec, Fanout, FanoutMode};

use self::open::Opened;
use self::ring::{BlockRing, Next, RingFrame};
use super::{Batch, Framing, Granted, Receive, ReceiveError};
use crate::counters::SourceCounters;
use crate::link::LinkError;
use crate::packet_socket::{CallError, PacketSocket};

/// Polls in a row that find nothing before a caller that never waits is told of a lost link.
const POLLS_PER_LINK_CHECK: u32 = 1 << 14;
/// How long to sleep when poll(2) cannot: it calls a ring readable whose last block is on loan.
const LOAN_NAP: Duration = Duration::from_millis(1);
/// After `detach`, the longest beyond the retire time that an unbalanced ring is waited for.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// A packet socket with a block ring; the backend `af_packet`.
///
/// Its spans point into the kernel's ring: nothing is copied after the kernel's own copy, and
/// the mapping, with the socket, lives until the last [`RegionView`] of it is gone. Dropped, it
/// takes no more frames even then.
///
/// A link that is set down is reported once, by `wait` or `poll`, and the receiver goes on when
/// the link comes back. An interface that is removed is reported by every `wait` from then on.
/// Either way all that had arrived can still be polled.
#[derive(Debug)]
pub struct AfPacketReceiver {
    socket: PacketSocket,
    ring: BlockRing,
    pool: FramePool,
    /// Per token on loan: the block that its span lies in.
    blocks: Box<[u32]>,
    totals: Totals,
    index: u32,
    framing: Framing,
    link: LinkState,
    empty_polls: u32,
    detached: Option<Instant>,
    retire: Duration,
    ended: bool,
    granted: Granted,
}

/// Counts that only this backend has. Monotonic totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AfPacketDetails {
    /// Times that the kernel found its next block still on loan and began to drop.
    pub stalls: u64,
    /// Frames whose transport checksum was still to be filled in by a NIC (sent by this host,
    /// as on loopback): their checksum bytes are not to be verified.
    pub checksums_pending: u64,
}

#[derive(Debug, Default)]
struct Totals {
    offered: u64,
    dropped_kernel: u64,
    dropped_no_frame: u64,
    dropped_malformed: u64,
    polled: u64,
    details: AfPacketDetails,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkState {
    Up,
    Down,
    Gone,
}

/// `struct tpacket_stats_v3`: counts since it was last read. `packets` includes `drops`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Statistics {
    packets: u32,
    drops: u32,
    freezes: u32,
}

impl AfPacketReceiver {
    /// Opens a socket on the interface and starts receiving.
    ///
    /// # Errors
    /// Interface missing or down, a setting that cannot be, no `CAP_NET_RAW`, no memory for
    /// the ring, a fanout group that others use differently.
    pub fn open(spec: &AfPacketSpec) -> Result<Self, ReceiveError> {
        let Opened { socket, ring, index, framing, notes } = open::open(spec)?;
        let granted = Granted {
            backend: "af_packet".to_owned(),
            mode: "tpacket_v3".to_owned(),
            from: spec.interface.clone(),
            queue: None,
            frames: spec.frames,
            region_bytes: spec.ring_bytes(),
            notes,
        };
        Ok(Self {
            socket,
            ring,
            pool: FramePool::new(spec.frames),
            blocks: vec![0; spec.frames as usize].into_boxed_slice(),
            totals: Totals::default(),
            index,
            framing,
            link: LinkState::Up,
            empty_polls: 0,
            detached: None,
            retire: Duration::from_millis(u64::from(spec.retire_ms.max(100))),
            ended: false,
            granted,
        })
    }

    /// Counts beside the common ones, as of the last call of [`Receive::counters`].
    #[must_use]
    pub const fn details(&self) -> AfPacketDetails {
        self.totals.details
    }

    #[inline]
    fn lend(&mut self, found: RingFrame, batch: &mut Batch) {
        let Some(frame) = self.pool.take() else {
            self.totals.dropped_no_frame += 1;
            return;
        };
        let block = self.ring.reading();
        self.ring.hold(block);
        self.blocks[frame.index() as usize] = block;
        let cut = if found.len < found.wire_len { Desc::ERR } else { 0 };
        let pending = found.status & libc::TP_STATUS_CSUMNOTREADY != 0;
        self.totals.details.checksums_pending += u64::from(pending);
        let desc = Desc {
            offset: found.offset,
            len: found.len,
            flags: Desc::SOM | Desc::EOM | Desc::STAMP_KERNEL | cut,
            frame: self.pool.lend(frame),
            stamp: found.stamp,
            ..Desc::default()
        };
        batch.push(desc, found.wire_len);
    }

    /// Adds what the kernel counted since the last time; reading sets its counts back to 0, so
    /// this is the one place that does. Its counts are 32 bits wide: read them more often than
    /// every four thousand million packets.
    fn read_statistics(&mut self) {
        if let Ok(new) = self.socket.get::<Statistics>(libc::SOL_PACKET, libc::PACKET_STATISTICS) {
            self.totals.offered += u64::from(new.packets);
            self.totals.dropped_kernel += u64::from(new.drops);
            self.totals.details.stalls += u64::from(new.freezes);
        }
    }

    /// What a poll that found nothing looks at: the end after `detach`, now and then the link.
    #[cold]
    fn idle(&mut self) -> Result<(), ReceiveError> {
        if let Some(since) = self.detached {
            if !self.ended {
                self.read_statistics();
                let known = &self.totals;
                let settled = known.polled
                    + known.dropped_kernel
                    + known.dropped_no_frame
                    + known.dropped_malformed;
                // A block may have been handed over between the look and the reading.
                let empty = !self.ring.ready();
                self.ended = empty
                    && (known.offered == settled || since.elapsed() > self.retire + DRAIN_GRACE);
            }
            return Ok(());
        }
        self.empty_polls += 1;
        if self.empty_polls < POLLS_PER_LINK_CHECK {
            return Ok(());
        }
        self.empty_polls = 0;
        self.socket.take_error().map_or(Ok(()), |errno| self.link_error(errno))
    }

    #[cold]
    fn link_error(&mut self, errno: Errno) -> Result<(), ReceiveError> {
        if matches!(errno, Errno::ENETDOWN | Errno::ENODEV | Errno::ENXIO) {
            return self.look_at_link();
        }
        let doing = format!("receiving on {}", self.socket.interface());
        Err(CallError::new(doing, errno, "").into())
    }

    fn look_at_link(&mut self) -> Result<(), ReceiveError> {
        let found = self.socket.look_at(self.index);
        self.link = match &found {
            Ok(()) => LinkState::Up,
            Err(LinkError::Missing(_)) => LinkState::Gone,
            Err(_) => LinkState::Down,
        };
        Ok(found?)
    }

    /// Sleeps until poll(2) reports something; true when that is an error.
    fn sleep(&self, timeout: Duration) -> Result<bool, Errno> {
        let (events, timeout) = if self.ring.looks_readable() {
            (PollFlags::empty(), timeout.min(LOAN_NAP))
        } else {
            (PollFlags::POLLIN, timeout)
        };
        // Rounded up: a wait shorter than a millisecond must not become a spin.
        let timeout = timeout.as_micros().div_ceil(1000);
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        // SAFETY: the descriptor is the socket's, which `self` keeps open.
        let fd = unsafe { BorrowedFd::borrow_raw(self.socket.fd()) };
        let mut fds = [PollFd::new(fd, events)];
        match poll(&mut fds, timeout) {
            Ok(_) => Ok(fds[0].revents().is_some_and(|got| got.contains(PollFlags::POLLERR))),
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(errno),
        }
    }
}

impl Receive for AfPacketReceiver {
    #[inline]
    fn poll(&mut self, batch: &mut Batch) -> Result<usize, ReceiveError> {
        let before = batch.len();
        // Frames looked at, not frames lent: a pool that stays empty must not hold us here.
        for _ in 0..batch.room() {
            match self.ring.next() {
                Next::Frame(found) => self.lend(found, batch),
                Next::NotReady => break,
                Next::Broken(lost) => self.totals.dropped_malformed += u64::from(lost),
            }
        }
        let added = batch.len() - before;
        self.totals.polled += added as u64;
        if added == 0 && batch.room() > 0 {
            self.idle()?;
        } else {
            self.empty_polls = 0;
        }
        Ok(added)
    }

    fn recycle(&mut self, frames: &[u32]) {
        for &token in frames {
            // A refusal is counted by the pool.
            if let Ok(frame) = self.pool.reclaim(token) {
                self.ring.release(self.blocks[frame.index() as usize]);
                self.pool.put(frame);
            }
        }
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), ReceiveError> {
        if self.ended || self.ring.ready() {
            return Ok(());
        }
        if self.link == LinkState::Gone && self.detached.is_none() {
            return self.look_at_link();
        }
        match self.sleep(timeout) {
            Ok(true) => self.socket.take_error().map_or(Ok(()), |errno| self.link_error(errno)),
            // Down was reported. Removed since then would not be, by the socket.
            Ok(false) if self.link == LinkState::Down && !self.ring.ready() => {
                match self.look_at_link() {
                    Err(ReceiveError::Link(LinkError::Down(_))) => Ok(()),
                    other => other,
                }
            }
            Ok(false) => Ok(()),
            Err(errno) => self.link_error(errno),
        }
    }

    fn counters(&mut self) -> SourceCounters {
        self.read_statistics();
        SourceCounters {
            offered: self.totals.offered,
            dropped_kernel: self.totals.dropped_kernel,
            dropped_no_frame: self.totals.dropped_no_frame,
            dropped_malformed: self.totals.dropped_malformed,
            polled: self.totals.polled,
            refused_tokens: self.pool.refused(),
            ..SourceCounters::default()
        }
    }

    fn granted(&self) -> Granted {
        self.granted.clone()
    }

    fn region(&self) -> RegionView {
        self.ring.view().clone()
    }

    fn framing(&self) -> Framing {
        self.framing
    }

    fn lossless(&self) -> bool {
        false
    }

    fn finished(&self) -> bool {
        self.ended
    }

    fn detach(&mut self) {
        if self.detached.is_some() {
            return;
        }
        // Needs no privilege; fails only for want of a few bytes of kernel memory. Then frames
        // go on arriving and are polled as before, until the caller's patience ends.
        let _ = self.socket.accept_at_most(0);
        wait_for_readers();
        self.detached = Some(Instant::now());
    }
}

impl Drop for AfPacketReceiver {
    fn drop(&mut self) {
        // A view that outlives us keeps the socket open: leave nothing to arrive there.
        let _ = self.socket.accept_at_most(0);
    }
}

/// Waits until no CPU is still inside the receive path with the filter that was just replaced:
/// the kernel runs it under RCU, whose grace period membarrier(2) waits for.
fn wait_for_readers() {
    const MEMBARRIER_CMD_GLOBAL: i32 = 1;
    // SAFETY: takes no pointer.
    let rc = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if rc != 0 {
        // Refused where CPUs run tickless; a softirq is over well within this.
        std::thread::sleep(Duration::from_millis(20));
    }
}
