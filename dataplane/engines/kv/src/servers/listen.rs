//! Listening sockets, one for each loop on the same address.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket,
    sockopt,
};

use super::ServeError;

/// `loops` sockets that listen on `address`; the kernel spreads connections over them. Port 0 takes any free
/// one, the same for all.
pub(super) fn listeners(
    address: SocketAddr,
    loops: usize,
) -> Result<(SocketAddr, Vec<TcpListener>), ServeError> {
    let failed = |address| move |source| ServeError::Listen { address, source };
    // Alone on its address, no other process can listen beside it.
    let first = listener(address, loops > 1).map_err(failed(address))?;
    let address = first.local_addr().map_err(failed(address))?;
    let mut all = vec![first];
    for _ in 1..loops {
        all.push(listener(address, true).map_err(failed(address))?);
    }
    Ok((address, all))
}

fn listener(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(family, SockType::Stream, flags, None)?;
    // A restart must not wait for connections of the last run to be forgotten.
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    if shared {
        setsockopt(&fd, sockopt::ReusePort, &true)?;
    }
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&fd, Backlog::new(4096)?)?;
    Ok(TcpListener::from(fd))
}
