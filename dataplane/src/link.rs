//! Facts of a network interface that more than one backend needs.
//!
//! All come by ioctl on a socket of the calling thread, and so from that thread's network
//! namespace; sysfs would answer for the namespace that it was mounted in.

use std::ffi::c_ulong;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use thiserror::Error;

use crate::receivers::Framing;

/// An interface as the kernel describes it at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Name, 1 to 15 bytes.
    pub name: String,
    /// Kernel index; another interface of the same name, made later, has another one.
    pub index: u32,
    /// Largest frame in bytes, Ethernet header not counted.
    pub mtu: u32,
    /// Set up by the administrator (`ip link set dev NAME up`).
    pub up: bool,
    /// Up, with carrier, and ready to pass frames.
    pub running: bool,
    /// Whether this is the loopback interface.
    pub loopback: bool,
    /// How its frames begin; `None` for kinds of link that are neither Ethernet nor bare IP.
    pub framing: Option<Framing>,
    /// Hardware address; zeros where the interface has none.
    pub mac: [u8; 6],
    /// Driver's name: `veth`, `ice`, …; empty where the interface has none.
    pub driver: String,
    /// Receive queues in use, at least 1.
    pub rx_queues: u32,
    /// Transmit queues in use, at least 1.
    pub tx_queues: u32,
}

/// An interface that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LinkError {
    /// There is none of this name.
    #[error("interface {0} does not exist in this network namespace; list them: ip -br link")]
    Missing(String),
    /// It is there and administratively down.
    #[error("interface {0} is down; bring it up: ip link set dev {0} up")]
    Down(String),
    /// No interface can have this name.
    #[error("{0:?} cannot be an interface name: 1 to 15 bytes, no NUL; list them: ip -br link")]
    BadName(String),
    /// The kernel refused to tell.
    #[error("asking for {what} of interface {name}: {source}")]
    Io {
        /// The interface.
        name: String,
        /// Which fact was asked for.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Link {
    /// Looks an interface up.
    ///
    /// # Errors
    /// [`LinkError::Missing`], [`LinkError::BadName`], or [`LinkError::Io`].
    pub fn find(name: &str) -> Result<Self, LinkError> {
        let query = Query::new(name)?;
        // SAFETY: each ioctl below fills the union member that is read right after it; all are
        // plain integers or byte arrays, for which any bits are a value.
        let (index, mtu, flags, hardware) = unsafe {
            (
                query.ifreq(libc::SIOCGIFINDEX, "the index")?.ifr_ifru.ifru_ifindex,
                query.ifreq(libc::SIOCGIFMTU, "the MTU")?.ifr_ifru.ifru_mtu,
                query.ifreq(libc::SIOCGIFFLAGS, "the flags")?.ifr_ifru.ifru_flags,
                query.ifreq(libc::SIOCGIFHWADDR, "the address")?.ifr_ifru.ifru_hwaddr,
            )
        };
        let (rx_queues, tx_queues) = query.channels()?;
        let has = |flag: i32| i32::from(flags) & flag != 0;
        Ok(Self {
            name: name.to_owned(),
            index: index.unsigned_abs(),
            mtu: mtu.unsigned_abs(),
            up: has(libc::IFF_UP),
            running: has(libc::IFF_RUNNING),
            loopback: has(libc::IFF_LOOPBACK),
            framing: framing(hardware.sa_family),
            mac: std::array::from_fn(|at| hardware.sa_data[at].to_ne_bytes()[0]),
            driver: query.driver()?,
            rx_queues,
            tx_queues,
        })
    }

    /// Looks up an interface that must be ready for packets.
    ///
    /// # Errors
    /// As [`Self::find`], and [`LinkError::Down`].
    pub fn find_up(name: &str) -> Result<Self, LinkError> {
        let link = Self::find(name)?;
        if link.up { Ok(link) } else { Err(LinkError::Down(link.name)) }
    }
}

/// By the `ARPHRD_*` kind of link: tunnels like tun and wireguard carry bare IP packets.
const fn framing(kind: u16) -> Option<Framing> {
    match kind {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some(Framing::Ethernet),
        libc::ARPHRD_NONE => Some(Framing::Ip),
        _ => None,
    }
}

/// `struct ethtool_drvinfo` of `linux/ethtool.h`.
#[repr(C)]
struct DriverInfo {
    cmd: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// `struct ethtool_channels` of `linux/ethtool.h`: counts of receive, transmit, other and
/// combined queues, the most there can be and then those in use.
#[repr(C)]
#[derive(Default)]
struct Channels {
    cmd: u32,
    max: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const _: () = assert!(size_of::<DriverInfo>() == 196 && size_of::<Channels>() == 36);

struct Query<'a> {
    name: &'a str,
    socket: OwnedFd,
}

impl<'a> Query<'a> {
    fn new(name: &'a str) -> Result<Self, LinkError> {
        if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.bytes().any(|b| b == 0) {
            return Err(LinkError::BadName(name.to_owned()));
        }
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Inet, SockType::Datagram, flags, None).map_err(|e| {
            LinkError::Io { name: name.to_owned(), what: "facts", source: e.into() }
        })?;
        Ok(Self { name, socket })
    }

    fn error(&self, errno: Errno, what: &'static str) -> LinkError {
        let name = self.name.to_owned();
        if errno == Errno::ENODEV {
            return LinkError::Missing(name);
        }
        LinkError::Io { name, what, source: errno.into() }
    }

    fn ioctl(&self, request: c_ulong, ifreq: &mut libc::ifreq) -> Result<(), Errno> {
        for (to, from) in ifreq.ifr_name.iter_mut().zip(self.name.bytes()) {
            *to = std::ffi::c_char::from_ne_bytes([from]);
        }
        // SAFETY: every request passed here reads and writes one `ifreq`, which is ours, and
        // at most the structure that its data pointer names, which outlives the call.
        Errno::result(unsafe { libc::ioctl(self.socket.as_raw_fd(), request as _, ifreq) })
            .map(drop)
    }

    fn ifreq(&self, request: c_ulong, what: &'static str) -> Result<libc::ifreq, LinkError> {
        // SAFETY: `ifreq` is plain old data; zeros are a value of it.
        let mut ifreq: libc::ifreq = unsafe { std::mem::zeroed() };
        self.ioctl(request, &mut ifreq).map_err(|errno| self.error(errno, what))?;
        Ok(ifreq)
    }

    /// Asks the driver; `false` when it has no answer to this question.
    fn ethtool<T>(&self, ask: &mut T, what: &'static str) -> Result<bool, LinkError> {
        // SAFETY: as in `ifreq`.
        let mut ifreq: libc::ifreq = unsafe { std::mem::zeroed() };
        ifreq.ifr_ifru.ifru_data = std::ptr::from_mut(ask).cast();
        match self.ioctl(libc::SIOCETHTOOL, &mut ifreq) {
            Ok(()) => Ok(true),
            Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::EPERM) => Ok(false),
            Err(errno) => Err(self.error(errno, what)),
        }
    }

    fn driver(&self) -> Result<String, LinkError> {
        let mut info = DriverInfo { cmd: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
        self.ethtool(&mut info, "the driver")?;
        let DriverInfo { driver, rest: _, .. } = info;
        let end = driver.iter().position(|&byte| byte == 0).unwrap_or(driver.len());
        Ok(String::from_utf8_lossy(&driver[..end]).into_owned())
    }

    fn channels(&self) -> Result<(u32, u32), LinkError> {
        let mut channels = Channels { cmd: ETHTOOL_GCHANNELS, ..Channels::default() };
        self.ethtool(&mut channels, "the queues")?;
        let in_use = |own: u32| own.saturating_add(channels.combined).max(1);
        Ok((in_use(channels.rx), in_use(channels.tx)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NetNs, VethOptions, ip};

    #[test]
    fn veth_facts() {
        let Some(ns) = NetNs::enter() else { return };
        ns.veth_pair("a", "b", VethOptions { queues: 3, mtu: 9000 });
        ip("link set dev a address 02:00:00:00:00:0a");
        let link = Link::find_up("a").unwrap();
        assert_eq!((link.mtu, link.rx_queues, link.tx_queues), (9000, 3, 3));
        assert_eq!(link.framing, Some(Framing::Ethernet));
        assert_eq!((link.driver.as_str(), link.mac), ("veth", [2, 0, 0, 0, 0, 10]));
        assert!(link.up && link.running && !link.loopback && link.index > 1);
        ip("link set dev a down");
        let error = Link::find_up("a").unwrap_err();
        assert!(matches!(&error, LinkError::Down(name) if name == "a"));
        assert!(error.to_string().contains("ip link set dev a up"), "{error}");
        ip("link del dev a");
        assert!(matches!(Link::find("a"), Err(LinkError::Missing(_))));
    }

    #[test]
    fn loopback_facts() {
        let Some(_ns) = NetNs::enter() else { return };
        let link = Link::find_up("lo").unwrap();
        assert_eq!((link.index, link.mac, link.loopback), (1, [0; 6], true));
        assert_eq!((link.rx_queues, link.tx_queues), (1, 1));
    }

    #[test]
    fn names_that_cannot_be() {
        for name in ["", "sixteen-bytes-xx", "a\0b"] {
            assert!(matches!(Link::find(name), Err(LinkError::BadName(_))), "{name:?}");
        }
    }
}
