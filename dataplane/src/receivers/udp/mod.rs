//! The `udp` backend: datagrams of a socket, without privilege.
//!
//! The kernel copies each datagram once, into a frame; from there nothing is copied. While no
//! frame is free, datagrams stay in the socket; when that is full the kernel drops the newest
//! and counts it. So every loss of this source is in `dropped_kernel`, once.

mod inbox;
mod socket;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::{Duration, SystemTime};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use pfs_rings::{Desc, Frame, FramePool, PageWish, RegionRequest, RegionView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use socket2::Socket;

use self::inbox::{Arrival, Inbox};
use super::{BATCH, Batch, Framing, Granted, Receive, ReceiveError, errors};
use crate::counters::SourceCounters;

/// Bytes that a buffer needs when the kernel merges datagrams into it.
const MERGED_BYTES: u32 = 65_536;

/// Datagrams on loan for each buffer, on average, when the kernel merges them.
const MERGED_TOKENS: u32 = 16;

/// Bytes before a datagram that say who sent it, as `recvmsg` wrote them: a `sockaddr_in` and
/// zeros, or a `sockaddr_in6`. A descriptor counts them in `head`, except where datagrams are
/// merged.
pub const PEER: usize = size_of::<libc::sockaddr_in6>();

/// Bytes before each frame, so that frames begin with a cache line.
const HEADROOM: u32 = 64;
const _: () = assert!(PEER <= HEADROOM as usize);

/// How long it is waited for frames that are out.
const NAP: Duration = Duration::from_micros(100);

/// A UDP socket as a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UdpSpec {
    /// Address and port to bind, IPv4 or IPv6; port 0: any free one.
    pub listen: SocketAddr,
    /// Bytes of a frame. Longer datagrams are cut and marked. With `gro` at least 65,536.
    #[serde(default = "frame_bytes")]
    pub frame_bytes: u32,
    /// Frames in the region.
    #[serde(default = "frames")]
    pub frames: u32,
    /// Size of the socket's own buffer; 0: the kernel's default.
    #[serde(default = "receive_buffer_bytes")]
    pub receive_buffer_bytes: u32,
    /// Lets the kernel merge datagrams of one sender into one buffer (UDP_GRO). Faster, but the
    /// kernel then counts a merged buffer that it drops as one datagram: losses are no longer
    /// exact.
    #[serde(default)]
    pub gro: bool,
    /// Lets several sockets share the address, one for each lane (SO_REUSEPORT); the kernel keeps
    /// a sender's datagrams together.
    #[serde(default)]
    pub reuse_port: bool,
    /// Pages that the frames lie in.
    #[serde(default)]
    pub pages: PageWish,
}

const fn frame_bytes() -> u32 {
    2048
}
const fn frames() -> u32 {
    4096
}
const fn receive_buffer_bytes() -> u32 {
    8 << 20
}

impl UdpSpec {
    /// A socket on `listen`, all else by default.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            frame_bytes: frame_bytes(),
            frames: frames(),
            receive_buffer_bytes: receive_buffer_bytes(),
            gro: false,
            reuse_port: false,
            pages: PageWish::default(),
        }
    }
}

/// A buffer of which datagrams are out or still to be handed out.
#[derive(Debug, Default)]
struct Buffer {
    /// The buffer's frame while the kernel has filled it; else it is free or posted.
    filled: Option<Frame>,
    /// Datagrams of it on loan, and one while some are still to be handed out.
    users: u32,
}

/// A filled buffer whose datagrams are being handed out.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    buffer: u32,
    arrival: Arrival,
    done: u32,
}

impl Waiting {
    const fn datagrams_left(&self) -> u64 {
        let Arrival { bytes, segment, .. } = self.arrival;
        // A datagram may have no byte; its buffer waits until it was handed out all the same.
        if segment == 0 { 1 } else { (bytes - self.done).div_ceil(segment) as u64 }
    }
}

/// Receives from a UDP socket.
///
/// `flow` of a descriptor is a hash of the sender's address and port. `offered` is what came out
/// of the socket and what the kernel says that it dropped before: no unprivileged count of
/// arrivals is kept by the kernel.
#[derive(Debug)]
pub struct UdpReceiver {
    socket: Socket,
    local: SocketAddr,
    inbox: Inbox,
    view: RegionView,
    frame_bytes: u32,
    stride: u32,
    /// Bytes of the sender's address before each datagram; 0 where they are merged.
    peer_bytes: u16,
    buffers: FramePool,
    tokens: FramePool,
    /// By buffer.
    state: Box<[Buffer]>,
    /// By token: the buffer that its datagram lies in.
    buffer_of: Box<[u32]>,
    /// Frames that the next system call fills.
    posted: Vec<Frame>,
    waiting: Vec<Waiting>,
    /// First of `waiting` that has something left.
    head: usize,
    received: u64,
    polled: u64,
    drops_seen: u32,
    dropped: u64,
    detached: bool,
    drained: bool,
    granted: Granted,
}

impl UdpReceiver {
    /// Binds the socket and makes the frames.
    ///
    /// # Errors
    /// When the address cannot be bound or there is no memory.
    pub fn open(spec: &UdpSpec) -> Result<Self, ReceiveError> {
        if spec.frame_bytes == 0 || spec.frames == 0 {
            let what = "a UDP source with no frames, or frames of 0 bytes";
            return Err(errors::unsupported(what, "set frames and frame_bytes"));
        }
        let mut notes = Vec::new();
        let frame_bytes =
            if spec.gro { spec.frame_bytes.max(MERGED_BYTES) } else { spec.frame_bytes }
                .min(MERGED_BYTES);
        if frame_bytes != spec.frame_bytes {
            notes.push(format!("frame_bytes {frame_bytes} instead of {}", spec.frame_bytes));
        }
        let stride = HEADROOM + frame_bytes.next_multiple_of(64);
        let request = RegionRequest::new(u64::from(stride) * u64::from(spec.frames));
        let whom = format!("frames of UDP {}", spec.listen);
        let view = errors::region(&request.with_pages(spec.pages), &whom, &mut notes)?;
        let tokens = if spec.gro { spec.frames.saturating_mul(MERGED_TOKENS) } else { spec.frames };
        let socket = socket::open(spec, &mut notes)?;
        let local = socket.local_addr().ok().and_then(|name| name.as_socket());
        let local = local.unwrap_or(spec.listen);
        let granted = Granted {
            backend: "udp".into(),
            mode: if spec.gro { "gro" } else { "recvmmsg" }.into(),
            from: local.to_string(),
            queue: None,
            frames: spec.frames,
            region_bytes: view.len() as u64,
            notes,
        };
        Ok(Self {
            socket,
            local,
            inbox: Inbox::new(),
            view,
            frame_bytes,
            stride,
            peer_bytes: if spec.gro { 0 } else { PEER as u16 },
            buffers: FramePool::new(spec.frames),
            tokens: FramePool::new(tokens),
            state: (0..spec.frames).map(|_| Buffer::default()).collect(),
            buffer_of: vec![0; tokens as usize].into(),
            posted: Vec::with_capacity(BATCH),
            waiting: Vec::with_capacity(BATCH),
            head: 0,
            received: 0,
            polled: 0,
            drops_seen: 0,
            dropped: 0,
            detached: false,
            drained: false,
            granted,
        })
    }

    /// The address that is bound, with the port that the kernel chose.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The same socket once more, to answer through.
    ///
    /// # Errors
    /// When the process may open no more files.
    pub fn reply_socket(&self) -> Result<Socket, ReceiveError> {
        let doing = format!("opening the socket of UDP {} for replies", self.local);
        self.socket.try_clone().map_err(|error| errors::io(doing, error, "raise it: ulimit -n"))
    }

    /// Takes up to `most` messages out of the socket. All earlier ones were handed out.
    fn receive(&mut self, most: usize) -> Result<(), ReceiveError> {
        self.waiting.clear();
        self.head = 0;
        while self.posted.len() < most
            && let Some(frame) = self.buffers.take()
        {
            self.posted.push(frame);
        }
        if self.posted.is_empty() {
            return Ok(());
        }
        let (base, stride) = (self.view.base(), self.stride as usize);
        let frames = self.posted.iter().take(most).map(|frame| {
            // SAFETY: the region holds `stride` bytes for each frame of the pool, of which the first
            // are its headroom.
            unsafe { base.add(frame.index() as usize * stride + HEADROOM as usize) }
        });
        let waiting = &mut self.waiting;
        let arrived = |arrival| waiting.push(Waiting { buffer: 0, arrival, done: 0 });
        // SAFETY: each frame has `frame_bytes` bytes of its own and `PEER` before them, and we own it.
        let result = unsafe {
            self.inbox.receive(self.socket.as_raw_fd(), frames, self.frame_bytes, arrived)
        };
        match result {
            Ok(got) => self.note(got),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => self.drained = self.detached,
                // A signal, or what ICMP says of a datagram that somebody else sent.
                Some(libc::EINTR | libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH) => {
                }
                _ => return Err(self.gone(error)),
            },
        }
        Ok(())
    }

    /// Books the first `got` posted frames as filled.
    fn note(&mut self, got: usize) {
        for (frame, waiting) in self.posted.drain(..got).zip(&mut self.waiting) {
            waiting.buffer = frame.index();
            self.received += waiting.datagrams_left();
            let index = frame.index() as usize;
            self.state[index] = Buffer { filled: Some(frame), users: 1 };
        }
    }

    fn gone(&self, error: io::Error) -> ReceiveError {
        errors::io(format!("receiving on UDP {}", self.local), error, "")
    }

    /// Hands out datagrams that lie ready, as many as fit and have a token.
    fn hand_out(&mut self, batch: &mut Batch, stamp: u32) {
        while batch.room() > 0
            && let Some(waiting) = self.waiting.get_mut(self.head)
        {
            let Some(token) = self.tokens.take() else { break };
            let token = self.tokens.lend(token);
            let Waiting { buffer, arrival, done } = *waiting;
            let wire = arrival.segment.min(arrival.bytes - done);
            let len = wire.min(self.frame_bytes.saturating_sub(done));
            waiting.done += wire;
            self.buffer_of[token as usize] = buffer;
            self.state[buffer as usize].users += 1;
            let cut = if len < wire { Desc::ERR } else { 0 };
            let desc = Desc {
                offset: u64::from(buffer) * u64::from(self.stride)
                    + u64::from(HEADROOM + done.min(self.frame_bytes)),
                len,
                head: self.peer_bytes,
                flags: Desc::SOM | Desc::EOM | Desc::STAMP_POLL | cut,
                flow: arrival.flow,
                frame: token,
                stamp,
                ..Desc::default()
            };
            batch.push(desc, wire);
            if waiting.done >= arrival.bytes {
                self.head += 1;
                self.release(buffer);
            }
        }
    }

    /// One user of a buffer fewer; the last one frees it.
    fn release(&mut self, buffer: u32) {
        let state = &mut self.state[buffer as usize];
        state.users -= 1;
        if state.users == 0
            && let Some(frame) = state.filled.take()
        {
            self.buffers.put(frame);
        }
    }

    fn read_drops(&mut self) {
        if self.detached {
            return;
        }
        if let Ok(now) = socket::drops(&self.socket) {
            self.dropped += u64::from(now.wrapping_sub(self.drops_seen));
            self.drops_seen = now;
        }
    }

    /// Datagrams out of the socket and not yet in a batch.
    fn held(&self) -> u64 {
        self.waiting.iter().skip(self.head).map(Waiting::datagrams_left).sum()
    }
}

impl Receive for UdpReceiver {
    fn poll(&mut self, batch: &mut Batch) -> Result<usize, ReceiveError> {
        let before = batch.len();
        if self.head == self.waiting.len() && batch.room() > 0 {
            self.receive(batch.room())?;
        }
        if self.head < self.waiting.len() {
            self.hand_out(batch, now());
        }
        let added = batch.len() - before;
        self.polled += added as u64;
        Ok(added)
    }

    fn recycle(&mut self, frames: &[u32]) {
        for &token in frames {
            if let Ok(frame) = self.tokens.reclaim(token) {
                self.tokens.put(frame);
                self.release(self.buffer_of[token as usize]);
            }
        }
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), ReceiveError> {
        let holds_some = self.head < self.waiting.len();
        if self.drained || (holds_some && self.tokens.free() > 0) {
            return Ok(());
        }
        if holds_some || (self.posted.is_empty() && self.buffers.free() == 0) {
            // The socket may well be readable: only returning frames help.
            thread::sleep(timeout.min(NAP));
            return Ok(());
        }
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut fds, Some(TimeSpec::from_duration(timeout)), None) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(self.gone(error.into())),
        }
    }

    fn counters(&mut self) -> SourceCounters {
        self.read_drops();
        SourceCounters {
            offered: self.received - self.held() + self.dropped,
            dropped_kernel: self.dropped,
            polled: self.polled,
            refused_tokens: self.tokens.refused(),
            ..SourceCounters::default()
        }
    }

    fn granted(&self) -> Granted {
        self.granted.clone()
    }

    fn region(&self) -> RegionView {
        self.view.clone()
    }

    fn framing(&self) -> Framing {
        Framing::Payload
    }

    fn lossless(&self) -> bool {
        false
    }

    fn finished(&self) -> bool {
        self.drained && self.head == self.waiting.len()
    }

    fn detach(&mut self) {
        // Read first: from then on the filter's refusals are in the same count.
        self.read_drops();
        self.detached = true;
        // It can only fail for want of memory; then the source ends when it is first found empty.
        let _ = socket::refuse_all(&self.socket);
    }
}

/// Low 32 bits of the time of day in nanoseconds.
fn now() -> u32 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u32)
}
