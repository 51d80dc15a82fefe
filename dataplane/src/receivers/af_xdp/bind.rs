//! From sizes and wishes to a UMEM and a bound socket.

use std::error::Error;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::RawFd;
use std::thread;
use std::time::{Duration, Instant};

use xsk_rs::config::{BindFlags, Interface, LibxdpFlags, SocketConfig, UmemConfig};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue, Umem};

use super::error::{XskError, errno_of, missing_capabilities};
use super::socket::XskConfig;
use super::spec::ZeroCopy;
use crate::link::Link;

/// Drivers on which `auto` tries zero-copy: a cautious choice, not a measured one. On others it
/// has been reported to panic, hang or be slower than copying.
const ZERO_COPY_DRIVERS: [&str; 2] = ["i40e", "mlx5_core"];

/// How long a queue that another socket holds is waited for: the kernel releases it some time
/// after its last owner has closed it.
pub(super) const BUSY_PATIENCE: Duration = Duration::from_secs(5);

/// Makes the memory, in 2 MiB pages where wished and free.
pub(super) fn make_umem(
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

/// What xsk-rs gives for a bound socket.
pub(super) type Queues = (TxQueue, RxQueue, Option<(FillQueue, CompQueue)>);

/// Binds with the best flags that the kernel takes.
pub(super) fn bind_any(
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
            "copy mode: zero-copy is not tried on driver {:?} (tried on: {}); zero_copy = require asks for it",
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
pub(super) fn zero_copy_granted(fd: RawFd) -> io::Result<bool> {
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
