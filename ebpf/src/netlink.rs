//! What the kernel says of an interface: its flags, MTU, and the XDP program on it; and taking
//! off a program that was attached by netlink. Formats: rtnetlink(7), `linux/if_link.h`.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

const IFLA_MTU: u16 = 4;
const IFLA_XDP: u16 = 43;
const XDP_FD: u16 = 1;
const XDP_ATTACHED: u16 = 2;
const XDP_FLAGS: u16 = 3;
const XDP_PROG_ID: u16 = 4;
const XDP_DRV_PROG_ID: u16 = 5;
const XDP_SKB_PROG_ID: u16 = 6;
const XDP_HW_PROG_ID: u16 = 7;
const XDP_EXPECTED_FD: u16 = 8;
const XDP_FLAG_REPLACE: u32 = 1 << 4;

const NEST: u16 = 1 << 15;
const HEADER: usize = 16;
const IFINFO: usize = 16;

/// An interface as the kernel describes it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Interface {
    pub(crate) up: bool,
    pub(crate) mtu: u32,
    /// `XDP_ATTACHED_*`: 0 none, 1 native, 2 generic, 3 offloaded, 4 more than one.
    pub(crate) attached: u8,
    /// Ids by kind: native, generic, offloaded; 0 is none.
    pub(crate) programs: [u32; 3],
}

impl Interface {
    /// The program that sees a frame first, with its mode as in `attached`.
    pub(crate) fn program(&self) -> Option<(u32, u8)> {
        [(2, 3), (0, 1), (1, 2)]
            .into_iter()
            .map(|(i, mode)| (self.programs[i], mode))
            .find(|&(id, _)| id != 0)
    }
}

/// The index of the interface named `name`, in the calling thread's network namespace.
pub(crate) fn ifindex(name: &str) -> io::Result<u32> {
    let c = CString::new(name).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    // SAFETY: `c` is a string that ends in NUL and lives until the call returns.
    match unsafe { libc::if_nametoindex(c.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// Asks for interface `ifindex`.
pub(crate) fn interface(ifindex: u32) -> io::Result<Interface> {
    let reply = request(libc::RTM_GETLINK, libc::NLM_F_REQUEST, ifindex, &[])?;
    let mut found = Interface::default();
    let flags = reply.get(8..12).map_or(0, u32_of);
    found.up = flags & libc::IFF_UP.unsigned_abs() != 0;
    for (kind, value) in attributes(reply.get(IFINFO..).unwrap_or_default()) {
        match kind & !NEST {
            IFLA_MTU => found.mtu = u32_of(value),
            IFLA_XDP => xdp(value, &mut found),
            _ => {}
        }
    }
    Ok(found)
}

fn xdp(nested: &[u8], found: &mut Interface) {
    let mut only = 0;
    for (kind, value) in attributes(nested) {
        match kind {
            XDP_ATTACHED => found.attached = value.first().copied().unwrap_or(0),
            XDP_PROG_ID => only = u32_of(value),
            XDP_DRV_PROG_ID => found.programs[0] = u32_of(value),
            XDP_SKB_PROG_ID => found.programs[1] = u32_of(value),
            XDP_HW_PROG_ID => found.programs[2] = u32_of(value),
            _ => {}
        }
    }
    // Before Linux 4.20 only the one id was told.
    if let Some(slot) =
        found.attached.checked_sub(1).and_then(|i| found.programs.get_mut(i as usize))
        && *slot == 0
    {
        *slot = only;
    }
}

/// Takes `program` off the interface, if it is still the one there; `mode_flag` is the flag it
/// was attached with. Only for a program without a link.
pub(crate) fn remove(ifindex: u32, program: BorrowedFd<'_>, mode_flag: u32) -> io::Result<()> {
    let mut nested = Vec::with_capacity(24);
    push(&mut nested, XDP_FD, &(-1_i32).to_ne_bytes());
    push(&mut nested, XDP_FLAGS, &(mode_flag | XDP_FLAG_REPLACE).to_ne_bytes());
    push(&mut nested, XDP_EXPECTED_FD, &program.as_raw_fd().to_ne_bytes());
    let mut attrs = Vec::with_capacity(32);
    push(&mut attrs, IFLA_XDP | NEST, &nested);
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK;
    request(libc::RTM_SETLINK, flags, ifindex, &attrs).map(drop)
}

/// Sends one request on an interface and returns the body of the reply.
fn request(kind: u16, flags: libc::c_int, ifindex: u32, attrs: &[u8]) -> io::Result<Vec<u8>> {
    let len = HEADER + IFINFO + attrs.len();
    let mut message = Vec::with_capacity(len);
    message.extend_from_slice(&(len as u32).to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&(flags as u16).to_ne_bytes());
    message.extend_from_slice(&[0; 12]); // sequence, port, family, type
    message.extend_from_slice(&ifindex.to_ne_bytes());
    message.extend_from_slice(&[0; 8]); // flags, change mask
    message.extend_from_slice(attrs);

    let socket: OwnedFd = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    sendto(socket.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut reply = vec![0; 64 * 1024];
    let got = recv(socket.as_raw_fd(), &mut reply, MsgFlags::empty())?;
    reply.truncate(got);
    body(&reply)
}

/// The first message's body; its error, where it is one. An acknowledgement has an empty body.
fn body(reply: &[u8]) -> io::Result<Vec<u8>> {
    let short = || io::Error::new(io::ErrorKind::UnexpectedEof, "short netlink reply");
    let len = reply.get(..4).map(u32_of).ok_or_else(short)? as usize;
    let kind = reply.get(4..6).map(u16_of).ok_or_else(short)?;
    let body = reply.get(HEADER..len).ok_or_else(short)?;
    if i32::from(kind) != libc::NLMSG_ERROR {
        return Ok(body.to_vec());
    }
    match body.get(..4).map(|b| u32_of(b).cast_signed()).ok_or_else(short)? {
        0 => Ok(Vec::new()),
        errno => Err(io::Error::from_raw_os_error(-errno)),
    }
}

fn push(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend_from_slice(&((4 + value.len()) as u16).to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The attributes in `bytes`, up to the first that does not fit.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16_of(bytes.get(..2)?));
        let kind = u16_of(bytes.get(2..4)?);
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn u16_of(bytes: &[u8]) -> u16 {
    bytes.try_into().map_or(0, u16::from_ne_bytes)
}

fn u32_of(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_ne_bytes)
}

/// The name of the interface's driver, as ethtool tells it; empty when it does not.
pub(crate) fn driver(name: &str) -> String {
    const GDRVINFO: u32 = 3;
    let mut info = [0_u8; 196]; // struct ethtool_drvinfo
    info[..4].copy_from_slice(&GDRVINFO.to_ne_bytes());
    let mut request = bytemuck::Zeroable::zeroed();
    let IfReq { ifr_name, data, rest: _ } = &mut request;
    let Some(target) = ifr_name.get_mut(..name.len()).filter(|_| name.len() < 16) else {
        return String::new();
    };
    target.copy_from_slice(name.as_bytes());
    *data = info.as_mut_ptr() as u64;
    let flags = SockFlag::SOCK_CLOEXEC;
    let Ok(socket) = socket(AddressFamily::Inet, SockType::Datagram, flags, None) else {
        return String::new();
    };
    // SAFETY: `request` is an ifreq whose data points to an `ethtool_drvinfo` of full size; both
    // live until the call returns.
    let rc = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    let text = info[4..36].split(|&b| b == 0).next().unwrap_or_default();
    if rc == 0 { String::from_utf8_lossy(text).into_owned() } else { String::new() }
}

const SIOCETHTOOL: libc::Ioctl = 0x8946;

/// `struct ifreq` with a data pointer.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct IfReq {
    ifr_name: [u8; 16],
    data: u64,
    rest: [u64; 2],
}
