//! An AF_XDP socket by plain system calls, to receive on one queue in copy mode.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

const FRAMES: u32 = 64;
const FRAME: usize = 4096;

/// A socket without memory or queue: good for the map, not for frames.
pub(crate) fn bare() -> io::Result<OwnedFd> {
    // SAFETY: the call takes no pointers.
    let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call returned a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A bound socket whose frames are counted, never given back.
pub(crate) struct Socket {
    fd: OwnedFd,
    received: *const AtomicU32,
    descs: *const libc::xdp_desc,
}

impl Socket {
    /// Binds to queue `queue` of interface `ifindex`, with all 64 frames in the fill ring.
    pub(crate) fn bind(ifindex: i32, queue: u32) -> io::Result<Self> {
        let fd = bare()?;
        let umem = map(-1, FRAME * FRAMES as usize, 0)?;
        let reg = libc::xdp_umem_reg {
            addr: umem as u64,
            len: FRAME as u64 * u64::from(FRAMES),
            chunk_size: FRAME as u32,
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        };
        set(&fd, libc::XDP_UMEM_REG, &reg)?;
        for ring in [libc::XDP_UMEM_FILL_RING, libc::XDP_UMEM_COMPLETION_RING, libc::XDP_RX_RING] {
            set(&fd, ring, &FRAMES)?;
        }
        let at = offsets(&fd)?;
        let rx_len = at.rx.desc as usize + FRAMES as usize * size_of::<libc::xdp_desc>();
        let rx = map(fd.as_raw_fd(), rx_len, 0)?;
        let fill_len = at.fr.desc as usize + FRAMES as usize * 8;
        let fill = map(fd.as_raw_fd(), fill_len, libc::XDP_UMEM_PGOFF_FILL_RING as i64)?;
        // SAFETY: the kernel's offsets lie in the mapping, which was made long enough for them
        // and stays for the life of the process.
        unsafe {
            let addrs: *mut u64 = fill.add(at.fr.desc as usize).cast();
            for i in 0..FRAMES as usize {
                addrs.add(i).write(i as u64 * FRAME as u64);
            }
            let producer: *const AtomicU32 = fill.add(at.fr.producer as usize).cast();
            (*producer).store(FRAMES, Ordering::Release);
        }
        bind(&fd, ifindex, queue)?;
        // SAFETY: as above.
        let (received, descs) =
            unsafe { (rx.add(at.rx.producer as usize).cast(), rx.add(at.rx.desc as usize).cast()) };
        Ok(Self { fd, received, descs })
    }

    /// Lengths of the frames received so far.
    pub(crate) fn received(&self) -> Vec<u32> {
        // SAFETY: both pointers lie in the ring's mapping, which is never unmapped; the kernel
        // wrote the descriptors before it published their count, and does not write them again,
        // since none is released.
        unsafe {
            let count = (*self.received).load(Ordering::Acquire) as usize;
            (0..count).map(|i| (*self.descs.add(i)).len).collect()
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn map(fd: i32, len: usize, offset: i64) -> io::Result<*mut u8> {
    let kind = if fd < 0 {
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS
    } else {
        libc::MAP_SHARED | libc::MAP_POPULATE
    };
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at a place that the kernel chooses touches nothing that exists.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), len, rights, kind, fd, offset) };
    if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(at.cast()) }
}

fn set<T>(fd: &OwnedFd, option: i32, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as u32;
    // SAFETY: the pointer is to a live value of the length given.
    let rc = unsafe {
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_XDP, option, (&raw const *value).cast(), len)
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn offsets(fd: &OwnedFd) -> io::Result<libc::xdp_mmap_offsets> {
    // SAFETY: a structure of plain integers; all-zero is valid.
    let mut at: libc::xdp_mmap_offsets = unsafe { std::mem::zeroed() };
    let mut len = size_of_val(&at) as u32;
    // SAFETY: both pointers are to live values, `len` states the first one's size.
    let rc = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_XDP,
            libc::XDP_MMAP_OFFSETS,
            (&raw mut at).cast(),
            &raw mut len,
        )
    };
    if rc == 0 { Ok(at) } else { Err(io::Error::last_os_error()) }
}

fn bind(fd: &OwnedFd, ifindex: i32, queue: u32) -> io::Result<()> {
    let addr = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: libc::XDP_COPY,
        sxdp_ifindex: ifindex as u32,
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: 0,
    };
    // SAFETY: the pointer is to a live address of the length given.
    let rc =
        unsafe { libc::bind(fd.as_raw_fd(), (&raw const addr).cast(), size_of_val(&addr) as u32) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
