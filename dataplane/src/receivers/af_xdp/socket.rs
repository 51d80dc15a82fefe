//! One AF_XDP socket with its own UMEM, bound to one queue; what receiver and transmitter share.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::Arc;

use pfs_rings::RegionView;
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, TxQueue, Umem};

use super::bind::{bind_any, make_umem, zero_copy_granted};
use super::error::XskError;
use super::spec::{HEADROOM, ZeroCopy};
use crate::link::Link;

/// `XDP_PKT_CONTD` of `linux/if_xdp.h`: the packet goes on in the next descriptor.
pub(crate) const CONTINUED: u32 = 1;

/// Sizes and wishes for one socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct XskConfig {
    /// Queue to bind to.
    pub(crate) queue: u32,
    /// UMEM frames.
    pub(crate) frames: u32,
    /// Bytes of each, 2048 or 4096.
    pub(crate) frame_bytes: u32,
    /// Slots of the four rings, powers of two.
    pub(crate) rx_slots: u32,
    pub(crate) tx_slots: u32,
    pub(crate) fill_slots: u32,
    pub(crate) comp_slots: u32,
    /// Bytes that one frame holds of a packet: more needs multi-buffer.
    pub(crate) capacity: u32,
    /// Whether the driver may do without the copy.
    pub(crate) zero_copy: ZeroCopy,
    /// Whether to try 2 MiB pages first.
    pub(crate) huge_pages: bool,
}

/// A bound socket. Fields drop in order: the rings first, then the socket, then the UMEM.
#[derive(Debug)]
pub(crate) struct Xsk {
    pub(crate) rx: RxQueue,
    pub(crate) tx: TxQueue,
    pub(crate) fill: FillQueue,
    pub(crate) comp: CompQueue,
    /// Descriptor of each UMEM frame, empty, by index.
    pub(crate) frames: Box<[FrameDesc]>,
    /// What was granted.
    pub(crate) grant: Grant,
    held: Held,
}

/// What the kernel gave to a socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grant {
    /// Read back from the kernel after the bind.
    pub(crate) zero_copy: bool,
    /// Packets over several frames are taken.
    pub(crate) multi_buffer: bool,
    /// Why something asked for was not given.
    pub(crate) notes: Vec<String>,
}

/// The UMEM, and with it the socket.
#[derive(Debug)]
struct Held {
    fd: RawFd,
    umem: Umem,
    bytes: usize,
}

impl Drop for Held {
    /// Closes the socket, though the UMEM's mapping may live on in a [`RegionView`].
    ///
    /// libxdp closes the descriptor only when it deletes the UMEM, so that a view held by a
    /// worker would keep the queue bound. Another file under the same number ends the socket
    /// now, and is what libxdp closes later.
    fn drop(&mut self) {
        let null = match std::fs::File::open("/dev/null") {
            Ok(null) => null,
            Err(error) => {
                return tracing::warn!(
                    "AF_XDP socket stays open until its last view is gone: {error}"
                );
            }
        };
        // SAFETY: `fd` is libxdp's, open as long as `self.umem`, which is still alive; the
        // rings that used it are gone, and libxdp will do nothing with it but close it.
        unsafe { libc::dup3(null.as_raw_fd(), self.fd, libc::O_CLOEXEC) };
    }
}

impl Xsk {
    /// Makes a UMEM and a socket and binds it to a queue of `link`. The fill ring is empty:
    /// the owner fills it before it lets any packet be redirected here.
    pub(crate) fn bind(link: &Link, config: &XskConfig) -> Result<Self, XskError> {
        let mut notes = Vec::new();
        let (umem, frames) = make_umem(link, config, &mut notes)?;
        let (queues, multi_buffer) = bind_any(link, config, &umem, &mut notes)?;
        let (tx, rx, Some((fill, comp))) = queues else {
            return Err(XskError::Unsupported {
                what: format!("binding AF_XDP to {}: libxdp gave no fill ring", link.name),
                fix: String::new(),
            });
        };
        let fd = rx.fd().as_raw_fd();
        // SAFETY: plain fcntl on an open descriptor; programs started later must not inherit it.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        let bytes = config.frames as usize * config.frame_bytes as usize;
        let held = Held { fd, umem, bytes };
        let zero_copy = zero_copy_granted(fd).map_err(|source| XskError::Io {
            doing: format!("asking which mode {} queue {} was granted", link.name, config.queue),
            source,
            fix: String::new(),
        })?;
        let grant = Grant { zero_copy, multi_buffer, notes };
        Ok(Self { rx, tx, fill, comp, frames: frames.into_boxed_slice(), grant, held })
    }

    /// The socket's descriptor, for the XSKMAP and for poll(2).
    pub(crate) const fn fd(&self) -> RawFd {
        self.held.fd
    }

    /// The UMEM, for writing frames to be sent.
    pub(crate) const fn umem(&self) -> &Umem {
        &self.held.umem
    }

    /// The UMEM as a region; the view keeps the memory, not the socket.
    pub(crate) fn region(&self) -> RegionView {
        // SAFETY: frame 0 belongs to this UMEM, and the slice made for its headroom has length
        // 0, so that nothing is read.
        let start = unsafe { self.held.umem.headroom(&self.frames[0]) }.contents().as_ptr();
        // The mapping comes from mmap in another crate, and its address has gone to the kernel
        // as an integer: its provenance is exposed.
        let base = std::ptr::with_exposed_provenance_mut(start.expose_provenance());
        let base = NonNull::new(base).expect("a mapping is not at address 0");
        // SAFETY: xsk-rs maps `frames × frame_bytes` bytes readable and writable from the start
        // of frame 0 on, for as long as any handle on the UMEM lives; the owner is one.
        unsafe { RegionView::new(base, self.held.bytes, Arc::new(self.held.umem.clone())) }
    }

    /// Lets a driver that sleeps go on with the fill ring. Also tells whether the socket is
    /// still bound: `Ok(false)` while the interface is down. Kernels before 5.11 do not tell.
    pub(crate) fn wake_rx(&self) -> io::Result<bool> {
        // SAFETY: a buffer of length 0 is never touched.
        let rc = unsafe {
            libc::recvfrom(
                self.fd(),
                std::ptr::null_mut(),
                0,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        };
        match answer(rc) {
            // Before 5.11 these sockets have no recvfrom(2); poll(2) wakes the driver there.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                let mut ask = libc::pollfd { fd: self.fd(), events: libc::POLLIN, revents: 0 };
                // SAFETY: one descriptor, which is open as long as `self`; no waiting.
                let rc = unsafe { libc::poll(&raw mut ask, 1, 0) };
                answer(rc as isize).map(|_| true)
            }
            answered => answered.map(|errno| errno != libc::ENETDOWN),
        }
    }

    /// Makes the kernel work on the TX ring: in copy mode up to 32 descriptors a call.
    /// Returns the errno where that is one that the work goes on from, else 0.
    pub(crate) fn wake_tx(&self) -> io::Result<i32> {
        // SAFETY: a buffer of length 0 is never touched.
        let rc = unsafe {
            libc::sendto(self.fd(), std::ptr::null(), 0, libc::MSG_DONTWAIT, std::ptr::null(), 0)
        };
        answer(rc)
    }
}

/// Sorts errors that pass from those that stay.
fn answer(rc: isize) -> io::Result<i32> {
    if rc >= 0 {
        return Ok(0);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(
            errno @ (libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::ENETDOWN | libc::EINTR),
        ) => Ok(errno),
        _ => Err(error),
    }
}

/// Bytes of a packet that a received frame holds.
pub(crate) const fn rx_capacity(frame_bytes: u32) -> u32 {
    frame_bytes - HEADROOM
}
