//! `recvmmsg` straight into frames.

use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::os::fd::RawFd;
use std::ptr::NonNull;

use super::PEER;
use super::socket::UDP_GRO;
use crate::receivers::BATCH;

/// Room for the one control message that is asked for, the size of merged datagrams.
const CONTROL: usize = 64;

#[repr(C, align(8))]
struct Control([MaybeUninit<u8>; CONTROL]);

/// One buffer as the kernel filled it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arrival {
    /// Bytes that the datagram, or datagrams, had.
    pub(super) bytes: u32,
    /// Bytes of each but the last datagram in the buffer; `bytes` when there is one only.
    pub(super) segment: u32,
    /// Hash of the sender's address and port.
    pub(super) flow: u32,
}

/// Message headers for one `recvmmsg`, kept to spare their set-up on the stack.
pub(super) struct Inbox {
    heads: Vec<libc::mmsghdr>,
    iovs: Vec<libc::iovec>,
    names: Vec<libc::sockaddr_storage>,
    controls: Vec<Control>,
}

// SAFETY: its pointers are written anew, from buffers that the caller owns then, before each use.
unsafe impl Send for Inbox {}

impl Inbox {
    pub(super) fn new() -> Self {
        // SAFETY: all three are plain C structs, for which zeros are valid.
        let (head, iov, name) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Self {
            heads: vec![head; BATCH],
            iovs: vec![iov; BATCH],
            names: vec![name; BATCH],
            controls: (0..BATCH).map(|_| Control([MaybeUninit::uninit(); CONTROL])).collect(),
        }
    }

    /// Receives up to `frames.len()` messages without waiting, the n-th into the n-th of
    /// `frames`, of `frame_bytes` each, its sender before it, and calls `arrived` for each.
    ///
    /// # Safety
    /// Each pointer is valid for writes of `frame_bytes` and of [`PEER`] bytes before it, and
    /// nobody else uses those bytes.
    pub(super) unsafe fn receive(
        &mut self,
        fd: RawFd,
        frames: impl ExactSizeIterator<Item = NonNull<u8>>,
        frame_bytes: u32,
        mut arrived: impl FnMut(Arrival),
    ) -> io::Result<usize> {
        let count = frames.len().min(BATCH);
        for (index, frame) in frames.take(count).enumerate() {
            let head = &mut self.heads[index].msg_hdr;
            self.iovs[index] =
                libc::iovec { iov_base: frame.as_ptr().cast(), iov_len: frame_bytes as usize };
            head.msg_iov = &raw mut self.iovs[index];
            head.msg_iovlen = 1;
            head.msg_name = (&raw mut self.names[index]).cast();
            head.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            head.msg_control = (&raw mut self.controls[index]).cast();
            head.msg_controllen = CONTROL;
        }
        // MSG_TRUNC: lengths are those of the datagrams, also of those that were cut.
        // SAFETY: the first `count` headers point to live memory of the sizes that they state.
        let got = unsafe {
            libc::recvmmsg(
                fd,
                self.heads.as_mut_ptr(),
                count as u32,
                libc::MSG_DONTWAIT | libc::MSG_TRUNC,
                std::ptr::null_mut(),
            )
        };
        if got < 0 {
            return Err(io::Error::last_os_error());
        }
        let arrivals = self.heads.iter().zip(&self.iovs).zip(&self.names);
        for ((head, iov), name) in arrivals.take(got as usize) {
            // SAFETY: a `sockaddr_storage` is longer than `PEER`, and by the caller's promise the
            // bytes before the frame are ours.
            unsafe {
                let peer = iov.iov_base.cast::<u8>().sub(PEER);
                std::ptr::from_ref(name).cast::<u8>().copy_to_nonoverlapping(peer, PEER);
            }
            let bytes = head.msg_len;
            // SAFETY: the kernel has just written header and control buffer.
            let segment = unsafe { segment_size(&head.msg_hdr) }.unwrap_or(bytes);
            arrived(Arrival { bytes, segment, flow: flow(name) });
        }
        Ok(got as usize)
    }
}

/// The size that the kernel states for datagrams that it merged.
///
/// # Safety
/// `head` is as `recvmmsg` left it, its control buffer still alive.
unsafe fn segment_size(head: &libc::msghdr) -> Option<u32> {
    // SAFETY: by the caller's promise `CMSG_*` walk within the control buffer.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(head).as_ref() };
    while let Some(message) = next {
        if (message.cmsg_level, message.cmsg_type) == (libc::SOL_UDP, UDP_GRO) {
            // SAFETY: this message carries one `int`.
            let size = unsafe { libc::CMSG_DATA(message).cast::<libc::c_int>().read_unaligned() };
            return u32::try_from(size).ok().filter(|&size| size > 0);
        }
        // SAFETY: as above.
        next = unsafe { libc::CMSG_NXTHDR(head, message).as_ref() };
    }
    None
}

/// Mixes the sender's address and port into 32 bits, equal for all datagrams of one sender.
fn flow(name: &libc::sockaddr_storage) -> u32 {
    let raw = std::ptr::from_ref(name);
    let (port, address) = match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which structure the storage holds.
            let name = unsafe { raw.cast::<libc::sockaddr_in>().read() };
            (name.sin_port, u64::from(name.sin_addr.s_addr))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let name = unsafe { raw.cast::<libc::sockaddr_in6>().read() };
            let address = u128::from_ne_bytes(name.sin6_addr.s6_addr);
            (name.sin6_port, (address >> 64) as u64 ^ (address as u64).rotate_left(17))
        }
        _ => (0, 0),
    };
    let mixed = (address ^ u64::from(port) << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u32 ^ mixed as u32
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}
