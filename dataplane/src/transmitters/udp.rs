//! The `udp` transmitter: payloads out of a connected socket, without privilege.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{Transmit, TransmitCounters, TransmitError};

/// A UDP socket as a sink. What it sends are payloads, not frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UdpSinkSpec {
    /// Where to send.
    pub to: SocketAddr,
    /// Own address and port; absent: the kernel's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<SocketAddr>,
    /// Whether payloads of equal size go to the kernel as one (UDP_SEGMENT), to be cut there or
    /// in the NIC.
    #[serde(default = "yes")]
    pub gso: bool,
    /// Size of the socket's own buffer; 0: the kernel's default.
    #[serde(default)]
    pub send_buffer_bytes: u32,
}

const fn yes() -> bool {
    true
}

impl UdpSinkSpec {
    /// Sends to `to`, all else by default.
    #[must_use]
    pub const fn new(to: SocketAddr) -> Self {
        Self { to, from: None, gso: yes(), send_buffer_bytes: 0 }
    }
}

const UDP_SEGMENT: libc::c_int = 103;
/// Payloads in one system call.
const BATCH: usize = 64;
/// Payloads that the kernel takes as one message: what the oldest kernels with UDP_SEGMENT take.
const SEGMENTS: usize = 64;
/// Bytes in one message: the datagram limit, IPv6 headers and options allowed for.
const MESSAGE_BYTES: usize = 65_000;
/// How long [`UdpSender::flush`] waits without progress.
const STALLED: Duration = Duration::from_secs(2);

/// A control message that carries the segment size.
#[repr(C)]
#[derive(Clone, Copy)]
struct SegmentSize {
    head: libc::cmsghdr,
    size: u16,
    _pad: [u8; 6],
}

/// Sends payloads over UDP.
///
/// `sent_bytes` counts payload. A message that the kernel refuses for what ICMP said of an
/// earlier one (nobody listens) is not sent; its payloads are in `failed`.
#[derive(Debug)]
pub struct UdpSender {
    socket: Socket,
    to: SocketAddr,
    gso: bool,
    heads: Vec<libc::mmsghdr>,
    iovs: Vec<libc::iovec>,
    sizes: Vec<SegmentSize>,
    /// Payloads in each message of the call in hand.
    counts: Vec<usize>,
    counters: TransmitCounters,
}

// SAFETY: its pointers are written anew, from the caller's slices, before each use.
unsafe impl Send for UdpSender {}

impl std::fmt::Debug for SegmentSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentSize").field("size", &self.size).finish_non_exhaustive()
    }
}

impl UdpSender {
    /// Connects the socket of `spec`.
    ///
    /// # Errors
    /// When there is no route, or `from` cannot be bound.
    pub fn open(spec: &UdpSinkSpec) -> Result<Self, TransmitError> {
        let failed = |source: io::Error| TransmitError::Io {
            doing: format!("connecting UDP to {}", spec.to),
            source,
            fix: "see the route: ip route get ADDRESS".into(),
        };
        let domain = Domain::for_address(spec.to);
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        if spec.send_buffer_bytes > 0 {
            let bytes = spec.send_buffer_bytes.min(i32::MAX as u32 / 2) as usize;
            socket.set_send_buffer_size(bytes).map_err(failed)?;
        }
        let any: SocketAddr = match spec.to {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        socket.bind(&SockAddr::from(spec.from.unwrap_or(any))).map_err(failed)?;
        socket.connect(&SockAddr::from(spec.to)).map_err(failed)?;
        // SAFETY: plain C structs, for which zeros are valid.
        let (head, iov, control) = unsafe { (zeroed(), zeroed(), zeroed()) };
        let size = SegmentSize { head: control, size: 0, _pad: [0; 6] };
        Ok(Self {
            socket,
            to: spec.to,
            gso: spec.gso,
            heads: vec![head; BATCH],
            iovs: vec![iov; BATCH],
            sizes: vec![size; BATCH],
            counts: Vec::with_capacity(BATCH),
            counters: TransmitCounters::default(),
        })
    }

    /// Whether equal payloads still go to the kernel as one: it is given up for good where the
    /// way out does not take it.
    #[must_use]
    pub const fn gso(&self) -> bool {
        self.gso
    }

    /// The same socket once more, to read what comes back.
    ///
    /// # Errors
    /// When the process may open no more files.
    pub fn try_clone_socket(&self) -> io::Result<std::net::UdpSocket> {
        let socket: std::net::UdpSocket = self.socket.try_clone()?.into();
        socket.set_nonblocking(false)?;
        Ok(socket)
    }

    /// Builds messages of up to 64 of `payloads`; returns how many messages.
    fn build(&mut self, payloads: &[&[u8]]) -> usize {
        self.counts.clear();
        for (iov, payload) in self.iovs.iter_mut().zip(payloads) {
            iov.iov_base = payload.as_ptr().cast_mut().cast();
            iov.iov_len = payload.len();
        }
        let mut at = 0;
        while at < payloads.len().min(BATCH) {
            let end = BATCH.min(payloads.len());
            let count = if self.gso { run(&payloads[at..end]) } else { 1 };
            let index = self.counts.len();
            let head = &mut self.heads[index].msg_hdr;
            head.msg_iov = &raw mut self.iovs[at];
            head.msg_iovlen = count;
            (head.msg_control, head.msg_controllen) = if count > 1 {
                let control = &mut self.sizes[index];
                control.head.cmsg_level = libc::SOL_UDP;
                control.head.cmsg_type = UDP_SEGMENT;
                control.head.cmsg_len = size_of::<libc::cmsghdr>() + size_of::<u16>();
                control.size = payloads[at].len() as u16;
                ((&raw mut *control).cast(), size_of::<SegmentSize>())
            } else {
                (std::ptr::null_mut(), 0)
            };
            self.counts.push(count);
            at += count;
        }
        self.counts.len()
    }

    /// One system call over the first payloads; how many of them are dealt with, 0 when the
    /// socket is full.
    fn send_some(&mut self, payloads: &[&[u8]]) -> Result<usize, TransmitError> {
        let messages = self.build(payloads);
        // SAFETY: the first `messages` headers point to `iovs` and `sizes` of this struct, and
        // these to the caller's slices, which the kernel only reads.
        let sent = unsafe {
            libc::sendmmsg(
                self.socket.as_raw_fd(),
                self.heads.as_mut_ptr(),
                messages as u32,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
        if sent < 0 {
            return self.refused(io::Error::last_os_error(), payloads);
        }
        let taken: usize = self.counts[..sent as usize].iter().sum();
        self.counters.accepted += taken as u64;
        self.counters.sent += taken as u64;
        self.counters.sent_bytes +=
            payloads[..taken].iter().map(|payload| payload.len() as u64).sum::<u64>();
        Ok(taken)
    }

    /// Deals with the kernel's refusal of the first message.
    fn refused(&mut self, source: io::Error, payloads: &[&[u8]]) -> Result<usize, TransmitError> {
        let first = self.counts[0];
        match source.raw_os_error() {
            Some(libc::EAGAIN | libc::ENOBUFS | libc::EINTR) => Ok(0),
            Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EPERM) => {
                self.counters.accepted += first as u64;
                self.counters.failed += first as u64;
                Ok(first)
            }
            Some(libc::EINVAL | libc::EIO | libc::EMSGSIZE) if first > 1 => {
                self.gso = false;
                self.send_some(payloads)
            }
            Some(libc::EMSGSIZE) => Err(TransmitError::Unsupported {
                what: format!("a datagram of {} bytes to {}", payloads[0].len(), self.to),
                fix: "use a smaller --payload; UDP takes at most 65507 bytes".into(),
            }),
            _ => {
                let doing = format!("sending UDP to {}", self.to);
                Err(TransmitError::Io { doing, source, fix: String::new() })
            }
        }
    }

    /// Bytes that the kernel still has queued.
    fn queued(&self) -> io::Result<i32> {
        let mut bytes = 0;
        // SAFETY: TIOCOUTQ writes one `int`.
        let rc = unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        if rc == 0 { Ok(bytes) } else { Err(io::Error::last_os_error()) }
    }
}

/// How many of `payloads` the kernel takes as one message: equal sizes, the last may be smaller.
fn run(payloads: &[&[u8]]) -> usize {
    let size = payloads[0].len();
    if size == 0 || size > MESSAGE_BYTES {
        return 1;
    }
    let most = payloads.len().min(SEGMENTS).min(MESSAGE_BYTES / size);
    let equal = payloads[..most].iter().take_while(|payload| payload.len() == size).count();
    match payloads[..most].get(equal) {
        Some(last) if !last.is_empty() && last.len() < size => equal + 1,
        _ => equal,
    }
}

impl Transmit for UdpSender {
    fn send(&mut self, frames: &[&[u8]]) -> Result<usize, TransmitError> {
        let mut taken = 0;
        while taken < frames.len() {
            match self.send_some(&frames[taken..])? {
                0 => break,
                some => taken += some,
            }
        }
        Ok(taken)
    }

    fn flush(&mut self) -> Result<(), TransmitError> {
        let doing = || format!("waiting for UDP to {} to leave", self.to);
        let failed = |source| TransmitError::Io { doing: doing(), source, fix: String::new() };
        let (mut last, mut since) = (i32::MAX, Instant::now());
        loop {
            match self.queued().map_err(failed)? {
                0 => return Ok(()),
                now if now < last => (last, since) = (now, Instant::now()),
                _ if since.elapsed() > STALLED => {
                    return Err(failed(io::ErrorKind::TimedOut.into()));
                }
                _ => thread::sleep(Duration::from_micros(100)),
            }
        }
    }

    fn counters(&mut self) -> TransmitCounters {
        self.counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    fn receiver() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("sets");
        let local = socket.local_addr().expect("bound");
        (socket, local)
    }

    fn check(gso: bool) {
        let (socket, local) = receiver();
        let mut sender =
            UdpSender::open(&UdpSinkSpec { gso, ..UdpSinkSpec::new(local) }).expect("connects");
        let lens =
            [100, 100, 100, 40, 0, 7, 7, 9, 0, 1400, 1400, 20_000, 20_000, 20_000, 20_000, 3];
        let sent: Vec<Vec<u8>> = (0u8..).zip(lens).map(|(n, len)| vec![n; len]).collect();
        let slices: Vec<&[u8]> = sent.iter().map(Vec::as_slice).collect();
        let mut got = Vec::new();
        let mut at = 0;
        while at < slices.len() {
            at += sender.send(&slices[at..]).expect("sends");
            sender.flush().expect("leaves");
        }
        let mut buffer = vec![0; 65_536];
        for _ in &sent {
            let len = socket.recv(&mut buffer).expect("arrives");
            got.push(buffer[..len].to_vec());
        }
        assert!(got == sent, "datagrams differ");
        let counters = sender.counters();
        assert_eq!((counters.accepted, counters.sent, counters.failed), (16, 16, 0));
        assert_eq!(counters.sent_bytes, lens.iter().sum::<usize>() as u64);
        assert_eq!(sender.gso(), gso);
    }

    #[test]
    fn each_payload_is_a_datagram() {
        check(false);
    }

    #[test]
    fn each_payload_is_a_datagram_when_the_kernel_cuts() {
        check(true);
    }

    #[test]
    fn nobody_listening_is_counted() {
        let (socket, local) = receiver();
        drop(socket);
        let mut sender = UdpSender::open(&UdpSinkSpec::new(local)).expect("connects");
        for _ in 0..10 {
            assert_eq!(sender.send(&[b"x"]).expect("no error"), 1);
        }
        let counters = sender.counters();
        assert_eq!(counters.accepted, 10);
        assert_eq!(counters.sent + counters.failed, 10);
        assert!(counters.failed >= 1, "{counters:?}");
    }

    #[test]
    fn a_datagram_that_is_too_long_is_named() {
        let (_socket, local) = receiver();
        let mut sender = UdpSender::open(&UdpSinkSpec::new(local)).expect("connects");
        let long = vec![0; 65_508];
        let error = sender.send(&[b"ok", &long]).expect_err("too long");
        assert!(error.to_string().contains("65508 bytes"), "{error}");
        assert_eq!(sender.counters().sent, 1);
    }

    #[test]
    fn a_run_is_equal_sizes_and_one_smaller() {
        let lens = |lens: &[usize]| {
            let all: Vec<Vec<u8>> = lens.iter().map(|&len| vec![0; len]).collect();
            run(&all.iter().map(Vec::as_slice).collect::<Vec<_>>())
        };
        assert_eq!(lens(&[5, 5, 3, 3]), 3);
        assert_eq!(lens(&[5, 6]), 1);
        assert_eq!(lens(&[0, 0]), 1);
        assert_eq!(lens(&[5, 5, 0]), 2);
        assert_eq!(lens(&[30_000; 5]), 2);
        assert_eq!(lens(&[1; 100]), 64);
    }
}
