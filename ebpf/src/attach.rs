//! Attaching the program to an interface by a link that ends with the process, and checking
//! that the kernel runs it as asked.

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::XdpError;
use crate::object::Variant;
use crate::owner::{self, AttachMode};
use crate::program::Program;
use crate::rules::XdpRule;
use crate::{host, netlink, sys};

/// How the program is to be attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum XdpMode {
    /// In the driver where it can, else in the stack, with a note that says why.
    #[default]
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the stack: slower, on any driver.
    Generic,
}

/// What was granted, beside what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct XdpGranted {
    /// Mode that the kernel reports.
    pub mode: AttachMode,
    /// The kernel's id of the program.
    pub program: u32,
    /// Whether frames over several buffers are taken.
    pub multi_buffer: bool,
    /// Why something asked for was not given, or will not work; empty when all is well.
    pub notes: Vec<String>,
}

/// A program on an interface: a [`Program`] with a link. Dropping it, or the end of the process
/// by whatever means, takes the program off.
#[derive(Debug)]
pub struct Attached {
    link: Option<OwnedFd>,
    program: Program,
    iface: String,
    ifindex: u32,
    granted: XdpGranted,
}

/// Loads the program with `rules` and attaches it to `iface`: [`Program::load`], then
/// [`Program::attach`].
///
/// # Errors
/// As those two.
pub fn load(iface: &str, mode: XdpMode, rules: &[XdpRule]) -> Result<Attached, XdpError> {
    // Before a program is loaded for nothing.
    vacant(iface)?;
    Program::load(rules)?.attach(iface, mode)
}

impl Program {
    /// Attaches the program to `iface` in the calling thread's network namespace.
    ///
    /// # Errors
    /// Another program is there (it stays, and is named), the interface is missing or refuses
    /// the mode, a capability is missing, or the kernel does not run it as asked.
    pub fn attach(self, iface: &str, mode: XdpMode) -> Result<Attached, XdpError> {
        let ifindex = vacant(iface)?;
        let mut notes = self.notes().to_vec();
        let (asked, link) = match mode {
            XdpMode::Native => try_mode(&self, iface, ifindex, AttachMode::Native)?,
            XdpMode::Generic => try_mode(&self, iface, ifindex, AttachMode::Generic)?,
            XdpMode::Auto => match try_mode(&self, iface, ifindex, AttachMode::Native) {
                Err(e @ XdpError::Refused { .. }) => {
                    notes.push(format!("generic mode, since native was refused: {e}"));
                    try_mode(&self, iface, ifindex, AttachMode::Generic)?
                }
                other => other?,
            },
        };
        let id = self.id()?;
        let up = verify(iface, ifindex, id, asked)?;
        if !up {
            notes.push(format!("{iface} is down: nothing arrives; ip link set dev {iface} up"));
        }
        let multi_buffer = self.variant() == Variant::Frags;
        let granted = XdpGranted { mode: asked, program: id, multi_buffer, notes };
        tracing::debug!(iface, ?granted, "attached");
        Ok(Attached { link: Some(link), program: self, iface: iface.to_owned(), ifindex, granted })
    }
}

/// The interface's index, when no program is on it.
fn vacant(iface: &str) -> Result<u32, XdpError> {
    match owner::find(iface)? {
        Some(found) => Err(XdpError::Occupied { owner: Box::new(found.info) }),
        None => netlink::ifindex(iface).map_err(|e| XdpError::no_interface(iface, e)),
    }
}

fn try_mode(
    program: &Program,
    iface: &str,
    ifindex: u32,
    mode: AttachMode,
) -> Result<(AttachMode, OwnedFd), XdpError> {
    let (flag, _) = mode.flag_and_word();
    let error = match sys::link_create(program.fd(), ifindex, flag) {
        Ok(link) => return Ok((mode, link)),
        Err(error) => error,
    };
    let doing = || format!("attaching XDP to {iface} in {mode} mode");
    Err(match error.raw_os_error() {
        // Somebody was faster.
        Some(libc::EBUSY | libc::EEXIST) => match owner::find(iface)? {
            Some(found) => XdpError::Occupied { owner: Box::new(found.info) },
            None => XdpError::Io { doing: doing(), source: error },
        },
        Some(libc::ENODEV) => XdpError::no_interface(iface, error),
        Some(libc::EPERM | libc::ENOSYS) => XdpError::io(doing(), error),
        Some(libc::EINVAL) if host::version() < (5, 9) => XdpError::too_old(doing(), "5.9", error),
        _ => {
            let cause = cause(iface, ifindex, mode, program.variant(), &error);
            XdpError::Refused { iface: iface.to_owned(), mode, source: error, cause }
        }
    })
}

/// What the driver's refusal most likely means, and what mends it.
fn cause(
    iface: &str,
    ifindex: u32,
    mode: AttachMode,
    variant: Variant,
    error: &io::Error,
) -> String {
    let driver = netlink::driver(iface);
    let driver =
        if driver.is_empty() { "the driver".to_owned() } else { format!("driver {driver}") };
    let mtu = netlink::interface(ifindex).map_or(0, |i| i.mtu);
    match error.raw_os_error() {
        Some(libc::EOPNOTSUPP) if mode == AttachMode::Native => {
            format!("{driver} has no native XDP, or not in its present setting; use generic mode")
        }
        Some(libc::ERANGE | libc::EINVAL | libc::EMSGSIZE | libc::EFBIG)
            if variant == Variant::Single && mtu > 1500 =>
        {
            format!(
                "MTU {mtu} is too large for {driver} without multi-buffer XDP (Linux 5.18); \
                 ip link set dev {iface} mtu 1500"
            )
        }
        Some(libc::ERANGE | libc::EINVAL | libc::EMSGSIZE | libc::EFBIG) => format!(
            "{driver} refuses its present setting: MTU {mtu} too large, LRO on, or too few \
             queues; ip link set dev {iface} mtu 1500; ethtool -K {iface} lro off; \
             ethtool -l {iface}"
        ),
        Some(libc::ENOMEM | libc::ENOSPC) => format!(
            "{driver} has no memory or no transmit queues left for XDP; \
             ethtool -L {iface} combined N with a lower N"
        ),
        _ => format!("`dmesg | tail` may have {driver}'s reason"),
    }
}

/// Asks the kernel whether it runs program `id` in mode `asked`; whether the interface is up.
fn verify(iface: &str, ifindex: u32, id: u32, asked: AttachMode) -> Result<bool, XdpError> {
    let now = netlink::interface(ifindex)
        .map_err(|e| XdpError::io(format!("asking the kernel about {iface}"), e))?;
    let found = now.program().map(|(id, code)| (id, AttachMode::from_kernel(code)));
    if found == Some((id, Some(asked))) {
        return Ok(now.up);
    }
    let found = match found {
        Some((id, Some(mode))) => format!("program {id} in {mode} mode"),
        _ => "no program".to_owned(),
    };
    Err(XdpError::NotAsAsked { iface: iface.to_owned(), program: id, asked, found })
}

impl Attached {
    /// The interface that it was attached to.
    #[must_use]
    pub fn iface(&self) -> &str {
        &self.iface
    }

    /// What was granted.
    #[must_use]
    pub const fn granted(&self) -> &XdpGranted {
        &self.granted
    }

    /// Whether the kernel still runs this program on the interface: not after a detach from
    /// outside, nor when the interface is gone.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.link.is_some()
            && netlink::interface(self.ifindex)
                .is_ok_and(|i| i.program().is_some_and(|(id, _)| id == self.granted.program))
    }

    /// Takes the program off the interface and returns when no frame is in it any more; sockets
    /// keep what they have, and counters stay readable and are final. A second call does
    /// nothing.
    ///
    /// # Errors
    /// When the kernel refuses; the link is closed all the same.
    pub fn detach(&mut self) -> Result<(), XdpError> {
        let Some(link) = self.link.take() else { return Ok(()) };
        let result = match sys::link_detach(link.as_fd()) {
            // No such command, no right to it, or the interface is gone: closing does it.
            Err(e)
                if !matches!(
                    e.raw_os_error(),
                    Some(
                        libc::EINVAL
                            | libc::EOPNOTSUPP
                            | libc::ENODEV
                            | libc::ENOLINK
                            | libc::EPERM
                    )
                ) =>
            {
                Err(XdpError::io(format!("detaching XDP from {}", self.iface), e))
            }
            _ => Ok(()),
        };
        drop(link);
        sys::wait_for_running_programs();
        result
    }
}

impl Drop for Attached {
    /// Detaches by command: closing the link alone would leave the program on for as long as a
    /// process just forked, not yet at its exec, holds a copy of the descriptor.
    fn drop(&mut self) {
        if let Err(error) = self.detach() {
            tracing::warn!("{error}");
        }
    }
}

/// An attached program is a program: rules, sockets and counters are reached through it.
impl Deref for Attached {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.program
    }
}
