//! Replies out of the sockets that requests came to: `sendmmsg`, each to its own address.

use std::io;
use std::mem::zeroed;
use std::os::fd::AsRawFd;

use socket2::Socket;

use super::Burst;
use crate::receivers::udp::PEER;

/// Sockets of a run's sources, and what one system call needs.
#[derive(Debug)]
pub(super) struct Sockets {
    /// By source; none where it is no socket.
    by_source: Vec<Option<Socket>>,
    heads: Vec<libc::mmsghdr>,
    iovs: Vec<libc::iovec>,
}

// SAFETY: its pointers are written anew, from a burst that is borrowed then, before each use.
unsafe impl Send for Sockets {}

/// What became of a burst.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    pub(super) sent: u64,
    pub(super) dropped: u64,
    pub(super) failed: u64,
}

impl Sockets {
    pub(super) fn new(by_source: Vec<Option<Socket>>, most: usize) -> Self {
        // SAFETY: plain C structs, for which zeros are valid.
        let (head, iov) = unsafe { (zeroed(), zeroed()) };
        Self { by_source, heads: vec![head; most], iovs: vec![iov; most] }
    }

    pub(super) fn has(&self, source: u16) -> bool {
        self.by_source.get(usize::from(source)).is_some_and(Option::is_some)
    }

    /// Sends the datagrams of `burst` as far as the sockets take them now.
    pub(super) fn send(&mut self, burst: &Burst) -> Sent {
        let mut sum = Sent::default();
        let mut at = 0;
        while let Some(first) = burst.frames.get(at) {
            let same = burst.frames[at..].iter().take_while(|frame| frame.source == first.source);
            let end = at + same.count();
            self.send_to(burst, at..end, &mut sum);
            at = end;
        }
        sum
    }

    /// Sends datagrams that go out of one socket.
    fn send_to(&mut self, burst: &Burst, range: std::ops::Range<usize>, sum: &mut Sent) {
        let source = usize::from(burst.frames[range.start].source);
        let Some(Some(socket)) = self.by_source.get(source) else {
            sum.failed += range.len() as u64;
            return;
        };
        for (frame, (head, iov)) in
            burst.frames[range.clone()].iter().zip(self.heads.iter_mut().zip(&mut self.iovs))
        {
            let bytes = &burst.bytes[frame.start..frame.end];
            iov.iov_base = bytes.as_ptr().cast_mut().cast();
            iov.iov_len = bytes.len();
            head.msg_hdr.msg_iov = &raw mut *iov;
            head.msg_hdr.msg_iovlen = 1;
            head.msg_hdr.msg_name = frame.peer.as_ptr().cast_mut().cast();
            head.msg_hdr.msg_namelen = name_len(&frame.peer);
        }
        let (mut at, count) = (0, range.len());
        while at < count {
            // SAFETY: the headers from `at` to `count` point to `iovs` of this struct, and with them
            // to bytes and addresses of `burst`, which the kernel only reads.
            let sent = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    self.heads[at..].as_mut_ptr(),
                    (count - at) as u32,
                    libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                )
            };
            if sent > 0 {
                sum.sent += sent as u64;
                at += sent as usize;
                continue;
            }
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => {}
                // The socket is full: nobody waits for it.
                Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => {
                    sum.dropped += (count - at) as u64;
                    return;
                }
                // This one can go nowhere; the next may.
                _ => {
                    sum.failed += 1;
                    at += 1;
                }
            }
        }
    }
}

/// Bytes of an address that count.
fn name_len(peer: &[u8; PEER]) -> libc::socklen_t {
    let family = i32::from(u16::from_ne_bytes([peer[0], peer[1]]));
    let len = if family == libc::AF_INET6 { PEER } else { size_of::<libc::sockaddr_in>() };
    len as libc::socklen_t
}
