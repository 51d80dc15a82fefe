//! The packet socket (packet(7)) under the AF_PACKET receiver and transmitter: options, ring
//! mapping and errors that name the interface and the remedy.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::link::{Link, LinkError};
use crate::receivers::ReceiveError;
use crate::transmitters::TransmitError;

/// A call that failed, in words; becomes the `Io` variant of either side's error.
#[derive(Debug)]
pub(crate) struct CallError {
    doing: String,
    source: io::Error,
    fix: String,
}

impl CallError {
    pub(crate) fn new(doing: String, source: impl Into<io::Error>, fix: impl Into<String>) -> Self {
        Self { doing, source: source.into(), fix: fix.into() }
    }
}

impl From<CallError> for ReceiveError {
    fn from(CallError { doing, source, fix }: CallError) -> Self {
        Self::Io { doing, source, fix }
    }
}

impl From<CallError> for TransmitError {
    fn from(CallError { doing, source, fix }: CallError) -> Self {
        Self::Io { doing, source, fix }
    }
}

/// A raw packet socket that is bound to no protocol yet, and so receives nothing.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    fd: OwnedFd,
    interface: String,
}

impl PacketSocket {
    /// Opens a socket for `interface`, whose name goes into errors.
    pub(crate) fn open(interface: &str) -> Result<Self, CallError> {
        match socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None) {
            Ok(fd) => Ok(Self { fd, interface: interface.to_owned() }),
            Err(errno) => {
                let fix = if errno == Errno::EPERM { grant_net_raw() } else { String::new() };
                let doing = format!("opening a packet socket for {interface}");
                Err(CallError::new(doing, errno, fix))
            }
        }
    }

    pub(crate) fn interface(&self) -> &str {
        &self.interface
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Sets an option; `what` is what that does, for the error.
    pub(crate) fn set<T: Copy>(
        &self,
        level: i32,
        option: i32,
        value: &T,
        what: &str,
    ) -> Result<(), CallError> {
        let doing = || format!("{what} on {}", self.interface);
        self.try_set(level, option, value).map_err(|errno| CallError::new(doing(), errno, ""))
    }

    /// Sets an option whose refusal the caller explains itself.
    pub(crate) fn try_set<T: Copy>(&self, level: i32, option: i32, value: &T) -> Result<(), Errno> {
        let len = size_of::<T>() as libc::socklen_t;
        let value = std::ptr::from_ref(value).cast();
        // SAFETY: the kernel reads `len` bytes at `value`, which are exactly the caller's `T`;
        // whatever a `sock_fprog` in it points to is read during the call only.
        Errno::result(unsafe { libc::setsockopt(self.fd(), level, option, value, len) }).map(drop)
    }

    /// Reads an option whose value is plain integers.
    pub(crate) fn get<T: bytemuck::Pod>(&self, level: i32, option: i32) -> Result<T, Errno> {
        let mut value = T::zeroed();
        let mut len = size_of::<T>() as libc::socklen_t;
        let at = (&raw mut value).cast();
        // SAFETY: the kernel writes at most `len` bytes at `at`, which are exactly `value`; any
        // bits are a value of it.
        Errno::result(unsafe { libc::getsockopt(self.fd(), level, option, at, &raw mut len) })?;
        Ok(value)
    }

    /// Binds to an interface. Frames of `protocol` (`ETH_P_ALL`, or 0 for none) arrive from now on.
    pub(crate) fn bind(&self, link: &Link, protocol: u16) -> Result<(), CallError> {
        // SAFETY: plain old data; zeros are a value of it.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol.to_be();
        address.sll_ifindex = link.index.cast_signed();
        let len = size_of_val(&address) as libc::socklen_t;
        let at = (&raw const address).cast();
        // SAFETY: the kernel reads `len` bytes of `address`.
        Errno::result(unsafe { libc::bind(self.fd(), at, len) }).map(drop).map_err(|errno| {
            CallError::new(format!("binding a packet socket to {}", self.interface), errno, "")
        })
    }

    /// Lets the kernel cut frames to `bytes`; 0 refuses them all, before they are counted.
    pub(crate) fn accept_at_most(&self, bytes: u32) -> Result<(), Errno> {
        // A classic BPF program of one instruction: "return K", the bytes to keep.
        let code = (libc::BPF_RET | libc::BPF_K) as u16;
        let mut program = libc::sock_filter { code, jt: 0, jf: 0, k: bytes };
        let program = libc::sock_fprog { len: 1, filter: &raw mut program };
        self.try_set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
    }

    /// Lifts what [`Self::accept_at_most`] has set.
    pub(crate) fn accept_all(&self) -> Result<(), Errno> {
        self.try_set(libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &0i32)
    }

    /// Maps the ring that was set up on this socket, locked into memory where that is allowed;
    /// otherwise gives the reason beside the mapping.
    pub(crate) fn map(&self, len: usize) -> Result<(RingMap, Option<Errno>), CallError> {
        let refused = match self.try_map(len, libc::MAP_LOCKED) {
            Ok(map) => return Ok((map, None)),
            Err(errno @ (Errno::EAGAIN | Errno::EPERM)) => errno,
            Err(errno) => return Err(self.map_error(len, errno)),
        };
        let map = self.try_map(len, 0).map_err(|errno| self.map_error(len, errno))?;
        Ok((map, Some(refused)))
    }

    fn map_error(&self, len: usize, errno: Errno) -> CallError {
        CallError::new(format!("mapping the ring of {len} bytes of {}", self.interface), errno, "")
    }

    fn try_map(&self, len: usize, flags: i32) -> Result<RingMap, Errno> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | flags;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no other memory.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, self.fd(), 0) };
        if at == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        NonNull::new(at.cast()).map(|base| RingMap { base, len }).ok_or(Errno::EFAULT)
    }

    /// Takes the error that the kernel has kept for this socket, if any.
    pub(crate) fn take_error(&self) -> Option<Errno> {
        match self.get::<i32>(libc::SOL_SOCKET, libc::SO_ERROR) {
            Ok(0) => None,
            Ok(errno) => Some(Errno::from_raw(errno)),
            Err(errno) => Some(errno),
        }
    }

    /// What has become of the interface that this socket was bound to.
    pub(crate) fn look_at(&self, index: u32) -> Result<(), LinkError> {
        let link = Link::find(&self.interface)?;
        if link.index != index {
            return Err(LinkError::Missing(link.name));
        }
        if link.up { Ok(()) } else { Err(LinkError::Down(link.name)) }
    }
}

fn grant_net_raw() -> String {
    let program = std::env::current_exe()
        .map_or_else(|_| "$(command -v pfs)".to_owned(), |path| path.display().to_string());
    format!("CAP_NET_RAW is missing; grant it: sudo setcap cap_net_raw+ep {program}")
}

/// A packet socket's ring, mapped for as long as this lives. The mapping keeps the socket open.
#[derive(Debug)]
pub(crate) struct RingMap {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: an address range with no thread affinity; access is ruled by the rings over it.
unsafe impl Send for RingMap {}
// SAFETY: as above; `&RingMap` gives nothing but the address.
unsafe impl Sync for RingMap {}

impl RingMap {
    /// Memory of no socket, zeroed: for tests that play the kernel.
    #[cfg(test)]
    pub(crate) fn anonymous(len: usize) -> Self {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: as in `try_map`.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        assert_ne!(at, libc::MAP_FAILED);
        Self { base: NonNull::new(at.cast()).expect("mapped"), len }
    }

    pub(crate) const fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }
}

impl Drop for RingMap {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made by `try_map`; whoever may use it holds this value.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
