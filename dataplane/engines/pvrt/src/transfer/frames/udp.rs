//! Frames as UDP datagrams: many in one system call, and many as one where the kernel or the NIC
//! cuts (UDP_SEGMENT) and joins them (UDP_GRO).

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{FrameSink, FrameSource};
use crate::transfer::error::TransferError;

const UDP_SEGMENT: libc::c_int = 103;
const UDP_GRO: libc::c_int = 104;
/// Messages in one system call.
const BATCH: usize = 16;
/// Frames that the kernel takes as one message.
const SEGMENTS: usize = 64;
/// Bytes of one message, IPv6 headers and options allowed for.
const MESSAGE_BYTES: usize = 65_000;
/// What the kernel is asked to hold for a reader.
const RECEIVE_BUFFER: usize = 32 << 20;
const SEND_BUFFER: usize = 4 << 20;
/// Of a path whose MTU is not known, what goes through nearly everywhere.
const SAFE_MTU: usize = 1280;

/// A control message with one number.
#[repr(C)]
#[derive(Clone, Copy)]
struct Number {
    head: libc::cmsghdr,
    value: [u8; 8],
}

/// Sends frames to one address.
pub struct UdpSink {
    socket: Socket,
    to: SocketAddr,
    gso: bool,
    heads: Vec<libc::mmsghdr>,
    iovs: Vec<libc::iovec>,
    numbers: Vec<Number>,
    /// Frames of each message of the call in hand.
    counts: Vec<usize>,
    refused: u32,
}

// SAFETY: its pointers are written anew, from the caller's slices, before each use.
unsafe impl Send for UdpSink {}

impl std::fmt::Debug for UdpSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UdpSink")
            .field("to", &self.to)
            .field("gso", &self.gso)
            .finish_non_exhaustive()
    }
}

impl UdpSink {
    /// A socket that sends to `to`.
    ///
    /// # Errors
    /// When there is no route.
    pub fn open(to: SocketAddr) -> Result<Self, TransferError> {
        let failed = |error| TransferError::io(format!("opening UDP to {to}"), error);
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))
            .map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        // A smaller one only makes for more calls.
        let _ = force(&socket, libc::SO_SNDBUFFORCE, SEND_BUFFER)
            .or_else(|_| socket.set_send_buffer_size(SEND_BUFFER));
        socket.connect(&SockAddr::from(to)).map_err(failed)?;
        dont_fragment(&socket, to).map_err(failed)?;
        // SAFETY: plain C structs, for which zeros are valid.
        let (head, iov, number) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Ok(Self {
            socket,
            to,
            gso: true,
            heads: vec![head; BATCH],
            iovs: vec![iov; BATCH],
            numbers: vec![number; BATCH],
            counts: Vec::with_capacity(BATCH),
            refused: 0,
        })
    }

    /// Builds messages of the first of `frames`, which lie one behind the other in memory or go
    /// alone; returns how many messages.
    fn build(&mut self, frames: &[&[u8]]) -> usize {
        self.counts.clear();
        let mut at = 0;
        while at < frames.len() && self.counts.len() < BATCH {
            let count = if self.gso { run(&frames[at..]) } else { 1 };
            let index = self.counts.len();
            let bytes: usize = frames[at..at + count].iter().map(|frame| frame.len()).sum();
            self.iovs[index] =
                libc::iovec { iov_base: frames[at].as_ptr().cast_mut().cast(), iov_len: bytes };
            let head = &mut self.heads[index].msg_hdr;
            head.msg_iov = &raw mut self.iovs[index];
            head.msg_iovlen = 1;
            (head.msg_control, head.msg_controllen) = if count > 1 {
                let number = &mut self.numbers[index];
                number.head.cmsg_level = libc::SOL_UDP;
                number.head.cmsg_type = UDP_SEGMENT;
                number.head.cmsg_len = size_of::<libc::cmsghdr>() + size_of::<u16>();
                number.value[..2].copy_from_slice(&(frames[at].len() as u16).to_ne_bytes());
                ((&raw mut *number).cast(), size_of::<Number>())
            } else {
                (std::ptr::null_mut(), 0)
            };
            self.counts.push(count);
            at += count;
        }
        self.counts.len()
    }

    /// One system call; how many frames are dealt with, 0 when the socket is full.
    fn send_some(&mut self, frames: &[&[u8]]) -> Result<usize, TransferError> {
        let messages = self.build(frames);
        // SAFETY: the first `messages` headers point to `iovs` and `numbers` of this struct, and
        // those to the caller's slices, which the kernel only reads.
        let sent = unsafe {
            libc::sendmmsg(
                self.socket.as_raw_fd(),
                self.heads.as_mut_ptr(),
                messages as u32,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
        if sent < 0 {
            return self.failed(io::Error::last_os_error(), frames);
        }
        self.refused = 0;
        Ok(self.counts[..sent as usize].iter().sum())
    }

    fn failed(&mut self, error: io::Error, frames: &[&[u8]]) -> Result<usize, TransferError> {
        let first = self.counts[0];
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::ENOBUFS | libc::EINTR) => Ok(0),
            Some(libc::EINVAL | libc::EIO | libc::EMSGSIZE) if first > 1 => {
                self.gso = false;
                self.send_some(frames)
            }
            // Lost like any other: what ICMP says of earlier frames, or a longer one than the path
            // takes, which the sender learns from its loss.
            Some(
                libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EPERM
                | libc::EMSGSIZE,
            ) => Ok(first),
            _ => Err(TransferError::io(format!("sending frames to {}", self.to), error)),
        }
    }
}

/// How many of `frames` the kernel takes as one message: one behind the other, of equal size but
/// for the last.
fn run(frames: &[&[u8]]) -> usize {
    let size = frames[0].len();
    if size == 0 || size > MESSAGE_BYTES {
        return 1;
    }
    let most = frames.len().min(SEGMENTS).min(MESSAGE_BYTES / size);
    let mut count = 1;
    while count < most {
        let (before, next) = (frames[count - 1], frames[count]);
        if before.as_ptr_range().end != next.as_ptr() || next.is_empty() || next.len() > size {
            break;
        }
        count += 1;
        if next.len() < size {
            break;
        }
    }
    count
}

impl FrameSink for UdpSink {
    fn send(&mut self, frames: &[&[u8]]) -> Result<usize, TransferError> {
        let mut taken = 0;
        while taken < frames.len() {
            match self.send_some(&frames[taken..])? {
                0 => break,
                some => taken += some,
            }
        }
        Ok(taken)
    }

    fn wait(&mut self) -> Result<(), TransferError> {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
        // Woken early or late, the caller looks again.
        let _ = poll(&mut fds, PollTimeout::from(10_u8));
        Ok(())
    }

    fn frame_most(&self) -> usize {
        let headers = if self.to.is_ipv4() { 28 } else { 48 };
        mtu(&self.socket, self.to).unwrap_or(SAFE_MTU).min(65_535) - headers
    }
}

fn force(socket: &Socket, option: libc::c_int, bytes: usize) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, option, bytes as libc::c_int)
}

fn set(
    socket: &Socket,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the option's value is an int, which outlives the call.
    let rc = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length)
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Frames are cut to the path's MTU by us, so that the loss of a part is the loss of that part.
fn dont_fragment(socket: &Socket, to: SocketAddr) -> io::Result<()> {
    match to {
        SocketAddr::V4(_) => {
            set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO)
        }
        SocketAddr::V6(_) => {
            set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO)
        }
    }
}

/// What the kernel takes for the MTU of the path.
fn mtu(socket: &Socket, to: SocketAddr) -> Option<usize> {
    let (level, option) = match to {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU),
    };
    let (mut value, mut length): (libc::c_int, _) =
        (0, size_of::<libc::c_int>() as libc::socklen_t);
    // SAFETY: the kernel writes an int and its length.
    let rc = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    (rc == 0 && value >= SAFE_MTU as libc::c_int).then_some(value as usize)
}

/// Receives frames at a port.
pub struct UdpSource {
    socket: Socket,
    port: u16,
    room: u64,
    /// Where frames may come from; none: anywhere.
    only: Option<IpAddr>,
    buffers: Vec<u8>,
    heads: Vec<libc::mmsghdr>,
    iovs: Vec<libc::iovec>,
    numbers: Vec<Number>,
    names: Vec<libc::sockaddr_storage>,
}

// SAFETY: its pointers are written anew, to its own buffers, before each use.
unsafe impl Send for UdpSource {}

impl std::fmt::Debug for UdpSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UdpSource").field("port", &self.port).finish_non_exhaustive()
    }
}

const BUFFER: usize = 1 << 16;

impl UdpSource {
    /// A socket at `local`, port 0 for any free one. Frames from elsewhere than `only` are dropped.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn open(local: SocketAddr, only: Option<IpAddr>) -> Result<Self, TransferError> {
        let failed = |error| TransferError::io(format!("opening UDP port {}", local.port()), error);
        let any: IpAddr = match local {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let local = if local.port() == 0 { local } else { SocketAddr::new(any, local.port()) };
        let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))
            .map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        // Less room is reported to the sender, which then sends in smaller bursts.
        let _ = force(&socket, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER)
            .or_else(|_| socket.set_recv_buffer_size(RECEIVE_BUFFER));
        // Without it frames come one by one.
        let _ = set(&socket, libc::SOL_UDP, UDP_GRO, 1);
        socket.bind(&SockAddr::from(local)).map_err(failed)?;
        let port = socket.local_addr().map_err(failed)?.as_socket().map_or(0, |at| at.port());
        // The kernel counts its own overhead, and reports twice what may be used.
        let room = socket.recv_buffer_size().map_err(failed)? as u64 / 2;
        // SAFETY: plain C structs, for which zeros are valid.
        let (head, iov, number, name) = unsafe { (zeroed(), zeroed(), zeroed(), zeroed()) };
        Ok(Self {
            socket,
            port,
            room,
            only,
            buffers: vec![0; BATCH * BUFFER],
            heads: vec![head; BATCH],
            iovs: vec![iov; BATCH],
            numbers: vec![number; BATCH],
            names: vec![name; BATCH],
        })
    }

    fn prepare(&mut self) {
        for (at, buffer) in self.buffers.chunks_exact_mut(BUFFER).enumerate() {
            self.iovs[at] = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: BUFFER };
            let head = &mut self.heads[at].msg_hdr;
            head.msg_iov = &raw mut self.iovs[at];
            head.msg_iovlen = 1;
            head.msg_control = (&raw mut self.numbers[at]).cast();
            head.msg_controllen = size_of::<Number>();
            head.msg_name = (&raw mut self.names[at]).cast();
            head.msg_namelen = size_of::<libc::sockaddr_storage>() as u32;
        }
    }

    /// Bytes of each frame in message `at`.
    fn step(&self, at: usize) -> usize {
        let number = &self.numbers[at];
        let there = self.heads[at].msg_hdr.msg_controllen
            >= size_of::<libc::cmsghdr>() + size_of::<libc::c_int>();
        let is_step =
            there && number.head.cmsg_level == libc::SOL_UDP && number.head.cmsg_type == UDP_GRO;
        let value = i32::from_ne_bytes([
            number.value[0],
            number.value[1],
            number.value[2],
            number.value[3],
        ]);
        if is_step && value > 0 { value as usize } else { BUFFER }
    }

    fn is_foreign(&self, at: usize) -> bool {
        let Some(only) = self.only else { return false };
        let length = self.heads[at].msg_hdr.msg_namelen;
        // SAFETY: the kernel wrote an address of this length, or zeros are there, which is none.
        let from = unsafe { SockAddr::new(self.names[at].into_storage(), length) };
        from.as_socket().is_none_or(|from| from.ip().to_canonical() != only.to_canonical())
    }
}

/// The C struct as socket2's.
trait IntoStorage {
    fn into_storage(self) -> socket2::SockAddrStorage;
}

impl IntoStorage for libc::sockaddr_storage {
    fn into_storage(self) -> socket2::SockAddrStorage {
        let mut storage = socket2::SockAddrStorage::zeroed();
        // SAFETY: it is the system's `sockaddr_storage`.
        unsafe { *storage.view_as::<libc::sockaddr_storage>() = self };
        storage
    }
}

impl FrameSource for UdpSource {
    fn receive(
        &mut self,
        wait: Duration,
        each: &mut dyn FnMut(&[u8], usize),
    ) -> Result<usize, TransferError> {
        self.prepare();
        // SAFETY: all headers point to buffers, names and numbers of this struct, of these lengths.
        let call = |this: &mut Self| unsafe {
            libc::recvmmsg(
                this.socket.as_raw_fd(),
                this.heads.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let mut got = call(self);
        if got < 0 && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock {
            let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
            // Woken early or late, what is there is taken.
            let _ = poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], timeout);
            got = call(self);
        }
        if got < 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR | libc::ECONNREFUSED) => Ok(0),
                _ => Err(TransferError::io(
                    format!("receiving frames at UDP port {}", self.port),
                    error,
                )),
            };
        }
        let mut all = 0;
        for at in 0..got as usize {
            if self.is_foreign(at) {
                continue;
            }
            let bytes =
                &self.buffers[at * BUFFER..][..(self.heads[at].msg_len as usize).min(BUFFER)];
            each(bytes, self.step(at));
            all += bytes.len();
        }
        Ok(all)
    }

    fn room(&self) -> u64 {
        self.room
    }

    fn port(&self) -> u16 {
        self.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn check(gso: bool, only: Option<IpAddr>) -> Vec<Vec<u8>> {
        let mut source =
            UdpSource::open("127.0.0.1:0".parse().expect("an address"), only).expect("binds");
        let mut sink = UdpSink::open(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), source.port()))
            .expect("connects");
        sink.gso = gso;
        assert!(sink.frame_most() >= 1280 - 28);
        let lens =
            [100, 100, 100, 40, 7, 7, 9, 1400, 1400, 1400, 20_000, 20_000, 20_000, 20_000, 3];
        let bytes: Vec<u8> = (0_u8..).zip(lens).flat_map(|(n, len)| vec![n; len]).collect();
        let (mut rest, mut frames) = (bytes.as_slice(), Vec::new());
        for len in lens {
            let (frame, behind) = rest.split_at(len);
            frames.push(frame);
            rest = behind;
        }
        let mut at = 0;
        while at < frames.len() {
            at += sink.send(&frames[at..]).expect("sends");
            sink.wait().expect("waits");
        }
        let (mut got, until) =
            (Vec::new(), Instant::now() + Duration::from_secs(if only.is_some() { 1 } else { 20 }));
        while got.len() < frames.len() && Instant::now() < until {
            source
                .receive(Duration::from_millis(50), &mut |bytes, step| {
                    got.extend(bytes.chunks(step).map(<[u8]>::to_vec));
                })
                .expect("receives");
        }
        if only.is_none() {
            assert!(got == frames, "frames differ");
        }
        got
    }

    #[test]
    fn frames_arrive_as_they_were_sent() {
        check(false, None);
        check(true, None);
    }

    #[test]
    fn frames_from_elsewhere_are_dropped() {
        assert!(check(true, Some("192.0.2.1".parse().expect("an address"))).is_empty());
        assert_eq!(check(true, Some(Ipv4Addr::LOCALHOST.into())).len(), 15);
    }
}
