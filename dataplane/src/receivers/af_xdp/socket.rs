//! One AF_XDP socket with its own UMEM, bound to one queue; what receiver and transmitter share.

use std::error::Error;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pfs_rings::RegionView;
use xsk_rs::config::{BindFlags, Interface, LibxdpFlags, SocketConfig, UmemConfig};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue, Umem};

use super::spec::{HEADROOM, ZeroCopy};
use crate::link::Link;
use crate::privilege;

/// Drivers whose zero-copy mode is trusted without being asked for by name. Others have been
/// seen to panic, hang or be slower than copying, and `auto` does not try them.
const ZERO_COPY_DRIVERS: [&str; 2] = ["i40e", "mlx5_core"];

/// How long a queue that another socket holds is waited for: the kernel releases it some time
/// after its last owner has closed it.
pub(super) const BUSY_PATIENCE: Duration = Duration::from_secs(2);

/// `XDP_PKT_CONTD` of `linux/if_xdp.h`: the packet goes on in the next descriptor.
pub(crate) const CONTINUED: u32 = 1;

/// Failures in the terms that both `ReceiveError` and `TransmitError` have.
#[derive(Debug)]
pub(crate) enum XskError {
    /// A system call failed.
    Io { doing: String, source: io::Error, fix: String },
    /// What was asked cannot be.
    Unsupported { what: String, fix: String },
}

impl From<XskError> for crate::receivers::ReceiveError {
    fn from(error: XskError) -> Self {
        match error {
            XskError::Io { doing, source, fix } => Self::Io { doing, source, fix },
            XskError::Unsupported { what, fix } => Self::Unsupported { what, fix },
        }
    }
}

impl From<XskError> for crate::transmitters::TransmitError {
    fn from(error: XskError) -> Self {
        match error {
            XskError::Io { doing, source, fix } => Self::Io { doing, source, fix },
            XskError::Unsupported { what, fix } => Self::Unsupported { what, fix },
        }
    }
}

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
    /// still bound: `Ok(false)` while the interface is down.
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
        answer(rc).map(|errno| errno != libc::ENETDOWN)
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

fn make_umem(
    link: &Link,
    config: &XskConfig,
    notes: &mut Vec<String>,
) -> Result<(Umem, Vec<FrameDesc>), XskError> {
    let invalid = |what: String| XskError::Unsupported { what, fix: String::new() };
    let built = (|| -> Result<UmemConfig, Box<dyn Error>> {
        Ok(UmemConfig::builder()
            .frame_size(config.frame_bytes.try_into()?)
            .fill_queue_size(config.fill_slots.try_into()?)
            .comp_queue_size(config.comp_slots.try_into()?)
            .build()?)
    })()
    .map_err(|error| invalid(format!("AF_XDP on {}: {error}", link.name)))?;
    let frames = NonZeroU32::new(config.frames)
        .ok_or_else(|| invalid(format!("AF_XDP on {}: no frames", link.name)))?;
    let bytes = u64::from(config.frames) * u64::from(config.frame_bytes);
    if config.huge_pages && bytes.is_multiple_of(2 << 20) {
        match Umem::new(built, frames, true) {
            Ok(umem) => return Ok(umem),
            Err(_) => notes.push(format!(
                "4 KiB pages: no {} free pages of 2 MiB (sysctl vm.nr_hugepages)",
                bytes >> 21
            )),
        }
    }
    Umem::new(built, frames, false).map_err(|error| {
        let source = errno_of(&error);
        XskError::Io {
            doing: format!("making an AF_XDP UMEM of {bytes} bytes for {}", link.name),
            fix: umem_fix(&source, bytes),
            source,
        }
    })
}

fn umem_fix(error: &io::Error, bytes: u64) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => missing_capabilities(),
        Some(libc::ENOBUFS) => format!(
            "the limit on locked memory is too small: ulimit -l {}, or give CAP_IPC_LOCK",
            bytes.div_ceil(1024)
        ),
        Some(libc::EAFNOSUPPORT) => "this kernel was built without CONFIG_XDP_SOCKETS".to_owned(),
        Some(libc::ENOMEM) => "ask for fewer frames".to_owned(),
        _ => String::new(),
    }
}

/// Names the capabilities that AF_XDP needs and this thread lacks.
pub(crate) fn missing_capabilities() -> String {
    let needed = [
        (privilege::CAP_NET_RAW, "CAP_NET_RAW"),
        (privilege::CAP_NET_ADMIN, "CAP_NET_ADMIN"),
        (privilege::CAP_BPF, "CAP_BPF"),
    ];
    let has = |cap| {
        privilege::has(cap) || cap == privilege::CAP_BPF && privilege::has(privilege::CAP_SYS_ADMIN)
    };
    let lacks: Vec<_> =
        needed.iter().filter(|(cap, _)| !has(*cap)).map(|(_, name)| *name).collect();
    if lacks.is_empty() {
        return "all capabilities are held: a security module or namespace refuses".to_owned();
    }
    format!(
        "missing {}: run as root, or setcap cap_net_raw,cap_net_admin,cap_bpf+ep PROGRAM",
        lacks.join(", ")
    )
}

fn errno_of(error: &(dyn Error + 'static)) -> io::Error {
    let code = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match code.and_then(io::Error::raw_os_error) {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::other(error.to_string()),
    }
}

type Queues = (TxQueue, RxQueue, Option<(FillQueue, CompQueue)>);

/// Binds with the best flags that the kernel takes.
fn bind_any(
    link: &Link,
    config: &XskConfig,
    umem: &Umem,
    notes: &mut Vec<String>,
) -> Result<(Queues, bool), XskError> {
    let longest = link.mtu.saturating_add(18);
    let needs_sg = longest > config.capacity;
    let possible = zero_copy_possible(link, config.zero_copy);
    let copies: &[BindFlags] = match config.zero_copy {
        ZeroCopy::Require => &[BindFlags::XDP_ZEROCOPY],
        ZeroCopy::Auto if possible => &[BindFlags::XDP_ZEROCOPY, BindFlags::XDP_COPY],
        ZeroCopy::Auto | ZeroCopy::Never => &[BindFlags::XDP_COPY],
    };
    if config.zero_copy == ZeroCopy::Auto && !possible {
        notes.push(format!(
            "copy mode: zero-copy is not tried on driver {:?} (known good: {}); zero_copy = require asks for it",
            link.driver,
            ZERO_COPY_DRIVERS.join(", ")
        ));
    }
    let shapes: &[BindFlags] = if needs_sg {
        &[BindFlags::XDP_USE_SG]
    } else {
        &[BindFlags::XDP_USE_SG, BindFlags::empty()]
    };
    let mut refusal = io::Error::from_raw_os_error(libc::EOPNOTSUPP);
    for copy in copies {
        for shape in shapes {
            match bind_patiently(link, config, umem, *copy | *shape) {
                Ok(queues) => return Ok((queues, !shape.is_empty())),
                Err(error)
                    if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EINVAL)) =>
                {
                    notes.push(format!("bind with {} refused: {error}", names(*copy | *shape)));
                    refusal = error;
                }
                Err(error) => return Err(bind_error(link, config, error, needs_sg)),
            }
        }
    }
    Err(bind_error(link, config, refusal, needs_sg))
}

/// Whether a bind under this wish may end up in zero-copy mode.
pub(crate) fn zero_copy_possible(link: &Link, wish: ZeroCopy) -> bool {
    match wish {
        ZeroCopy::Require => true,
        ZeroCopy::Auto => ZERO_COPY_DRIVERS.contains(&link.driver.as_str()),
        ZeroCopy::Never => false,
    }
}

fn names(flags: BindFlags) -> String {
    flags.iter_names().map(|(name, _)| name).collect::<Vec<_>>().join("|")
}

/// Binds, and waits a while for a queue that its last owner has not quite let go.
fn bind_patiently(
    link: &Link,
    config: &XskConfig,
    umem: &Umem,
    flags: BindFlags,
) -> io::Result<Queues> {
    let size =
        |slots: u32| slots.try_into().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let socket = SocketConfig::builder()
        .rx_queue_size(size(config.rx_slots)?)
        .tx_queue_size(size(config.tx_slots)?)
        .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
        .bind_flags(flags | BindFlags::XDP_USE_NEED_WAKEUP)
        .build();
    let interface: Interface =
        link.name.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let deadline = Instant::now() + BUSY_PATIENCE;
    loop {
        // SAFETY: the UMEM is this socket's alone, and program loading is inhibited.
        let error = match unsafe { Socket::new(socket, umem, &interface, config.queue) } {
            Ok(queues) => return Ok(queues),
            Err(error) => errno_of(&error),
        };
        if error.raw_os_error() != Some(libc::EBUSY) || Instant::now() >= deadline {
            return Err(error);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn bind_error(link: &Link, config: &XskConfig, source: io::Error, needs_sg: bool) -> XskError {
    let Link { name, driver, mtu, .. } = link;
    let queue = config.queue;
    let fix = match source.raw_os_error() {
        Some(libc::EBUSY) => format!(
            "another socket, of this or another process, holds queue {queue}: find it with ss --xdp -e, or take another queue"
        ),
        Some(libc::EOPNOTSUPP | libc::EINVAL) if needs_sg => {
            return XskError::Unsupported {
                what: format!(
                    "{name} has MTU {mtu}: a packet needs several frames of {} bytes, and this kernel or driver ({driver}) refuses multi-buffer AF_XDP ({source})",
                    config.capacity
                ),
                fix: format!(
                    "it needs Linux 6.6; or: ip link set dev {name} mtu {}",
                    config.capacity - 18
                ),
            };
        }
        Some(libc::EOPNOTSUPP | libc::EINVAL) if config.zero_copy == ZeroCopy::Require => {
            return XskError::Unsupported {
                what: format!(
                    "driver {driver:?} of {name} queue {queue} does not do zero-copy ({source})"
                ),
                fix: "set zero_copy to auto or never".to_owned(),
            };
        }
        Some(libc::EPERM | libc::EACCES) => missing_capabilities(),
        Some(libc::ENETDOWN) => format!("bring it up: ip link set dev {name} up"),
        Some(libc::ENODEV | libc::ENXIO) => "list the interfaces: ip -br link".to_owned(),
        _ => String::new(),
    };
    XskError::Io { doing: format!("binding AF_XDP to {name} queue {queue}"), source, fix }
}

/// Asks the kernel whether it copies (`XDP_OPTIONS` of `linux/if_xdp.h`).
fn zero_copy_granted(fd: RawFd) -> io::Result<bool> {
    // SAFETY: zeros are a value of a struct of one integer.
    let mut options: libc::xdp_options = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::xdp_options>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `options`, which has that size.
    let rc = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_XDP,
            libc::XDP_OPTIONS,
            (&raw mut options).cast(),
            &raw mut len,
        )
    };
    if rc == 0 {
        Ok(options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Bytes of a packet that a received frame holds.
pub(crate) const fn rx_capacity(frame_bytes: u32) -> u32 {
    frame_bytes - HEADROOM
}
