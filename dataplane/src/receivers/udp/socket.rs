//! The socket behind the `udp` backend: options, drops, and how it is closed to new datagrams.

use std::io;
use std::mem::{size_of, size_of_val};
use std::os::fd::{AsRawFd, RawFd};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::UdpSpec;
use crate::receivers::{ReceiveError, errors};

/// A bound, non-blocking socket as `spec` asks; what was not given is added to `notes`.
pub(super) fn open(spec: &UdpSpec, notes: &mut Vec<String>) -> Result<Socket, ReceiveError> {
    let doing = format!("binding UDP {}", spec.listen);
    let failed = |source: io::Error| {
        let fix = match source.raw_os_error() {
            Some(libc::EADDRINUSE) => "see who has it: ss -ulpn",
            Some(libc::EADDRNOTAVAIL) => "no interface has this address: ip addr",
            Some(libc::EACCES) => "ports below net.ipv4.ip_unprivileged_port_start need root",
            _ => "",
        };
        errors::io(doing.clone(), source, fix)
    };
    let domain = Domain::for_address(spec.listen);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    if spec.reuse_port {
        socket.set_reuse_port(true).map_err(failed)?;
    }
    receive_buffer(&socket, spec.receive_buffer_bytes, notes);
    if spec.gro {
        match set(socket.as_raw_fd(), libc::SOL_UDP, UDP_GRO, &1i32) {
            Ok(()) => notes.push(
                "UDP_GRO: the kernel counts a dropped buffer of merged datagrams as one, so \
                 dropped_kernel is a lower bound"
                    .into(),
            ),
            Err(error) => notes.push(format!("no UDP_GRO: {error}; it needs Linux 5.0")),
        }
    }
    socket.bind(&SockAddr::from(spec.listen)).map_err(failed)?;
    Ok(socket)
}

pub(super) const UDP_GRO: libc::c_int = 104;

/// Asks for a buffer of `bytes`, by privilege where there is one.
fn receive_buffer(socket: &Socket, bytes: u32, notes: &mut Vec<String>) {
    if bytes == 0 {
        return;
    }
    let asked = bytes.min(i32::MAX as u32 / 2);
    if set(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &(asked as i32)).is_err()
        && let Err(error) = socket.set_recv_buffer_size(asked as usize)
    {
        notes.push(format!("receive buffer not set: {error}"));
    }
    // The kernel doubles what is asked, for its own bookkeeping.
    let granted = socket.recv_buffer_size().unwrap_or(0) / 2;
    if granted < asked as usize {
        notes.push(format!(
            "receive buffer of {granted} bytes instead of {asked}; sysctl -w net.core.rmem_max={asked}"
        ));
    }
}

fn set<T>(fd: RawFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    let len = size_of_val(value) as libc::socklen_t;
    // SAFETY: `value` is a live object of `len` bytes, as the option takes.
    let rc = unsafe { libc::setsockopt(fd, level, name, std::ptr::from_ref(value).cast(), len) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The kernel's count of datagrams that it dropped at this socket, modulo 2^32. It does not
/// reset on read.
pub(super) fn drops(socket: &Socket) -> io::Result<u32> {
    let mut info = [0u32; libc::SK_MEMINFO_DROPS as usize + 1];
    let mut len = size_of_val(&info) as libc::socklen_t;
    // SAFETY: `info` has room for `len` bytes; the kernel writes at most that many.
    let rc = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if rc == 0 {
        Ok(info[libc::SK_MEMINFO_DROPS as usize])
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Lets no further datagram into the socket's queue; what is queued stays.
pub(super) fn refuse_all(socket: &Socket) -> io::Result<()> {
    // One instruction of classic BPF: keep 0 bytes of the packet.
    let mut program = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 }];
    let filter = libc::sock_fprog { len: 1, filter: program.as_mut_ptr() };
    set(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
}

const _: () = assert!(size_of::<libc::sock_filter>() == 8);
