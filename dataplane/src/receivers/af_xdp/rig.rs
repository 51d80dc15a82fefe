//! What the AF_XDP tests of both directions need: frames, and a plain packet socket as the peer.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::link::Link;

/// The EtherType that test frames carry: no protocol of the kernel listens to it.
pub(crate) const ETHER_TYPE: u16 = 0x88b5;

/// A packet socket on one interface, for frames of [`ETHER_TYPE`] in, and any out.
pub(crate) struct PacketSocket(OwnedFd);

impl PacketSocket {
    pub(crate) fn open(interface: &str) -> Self {
        let flags = SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Packet, SockType::Raw, flags, None).unwrap();
        setsockopt(&fd, sockopt::RcvBufForce, &(16 << 20)).unwrap();
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::milliseconds(500)).unwrap();
        // SAFETY: `sockaddr_ll` is plain old data.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = ETHER_TYPE.to_be();
        address.sll_ifindex = Link::find(interface).unwrap().index as i32;
        let size = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: `address` is a `sockaddr_ll` of `size` bytes.
        let rc = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size) };
        assert_eq!(rc, 0, "{}", io::Error::last_os_error());
        Self(fd)
    }

    /// The next frame, or `None` after half a second without one.
    pub(crate) fn receive(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 1 << 16];
        match nix::sys::socket::recv(
            self.0.as_raw_fd(),
            &mut bytes,
            nix::sys::socket::MsgFlags::empty(),
        ) {
            Ok(len) => {
                bytes.truncate(len);
                Some(bytes)
            }
            Err(nix::errno::Errno::EAGAIN) => None,
            Err(error) => panic!("packet socket: {error}"),
        }
    }

    /// Sends one frame, waiting for room.
    pub(crate) fn send(&self, frame: &[u8]) {
        loop {
            match nix::sys::socket::send(
                self.0.as_raw_fd(),
                frame,
                nix::sys::socket::MsgFlags::empty(),
            ) {
                Ok(len) => return assert_eq!(len, frame.len()),
                Err(nix::errno::Errno::ENOBUFS) => std::thread::sleep(Duration::from_micros(50)),
                Err(error) => panic!("packet socket: {error}"),
            }
        }
    }
}

/// A frame of `len` bytes (at least 18) whose content depends on `number` in every byte.
pub(crate) fn frame(number: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    bytes.extend(ETHER_TYPE.to_be_bytes());
    bytes.extend(number.to_be_bytes());
    let mut state = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    bytes.resize_with(len, || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    });
    bytes
}
