//! Which XDP program an interface has, and who holds it.

use std::fmt;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::XdpError;
use crate::object::is_ours;
use crate::{netlink, sys};

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttachMode {
    /// In the driver, before a socket buffer is made.
    Native,
    /// In the stack, on socket buffers.
    Generic,
    /// On the NIC itself.
    Offloaded,
}

impl AttachMode {
    /// From `XDP_ATTACHED_*`.
    pub(crate) const fn from_kernel(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Native),
            2 => Some(Self::Generic),
            3 => Some(Self::Offloaded),
            _ => None,
        }
    }

    /// The attach flag, and the word in `ip link set … WORD off`.
    pub(crate) const fn flag_and_word(self) -> (u32, &'static str) {
        match self {
            Self::Native => (sys::FLAG_NATIVE, "xdpdrv"),
            Self::Generic => (sys::FLAG_GENERIC, "xdpgeneric"),
            Self::Offloaded => (1 << 3, "xdpoffload"),
        }
    }
}

impl fmt::Display for AttachMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Offloaded => "offloaded",
        })
    }
}

/// A process that holds a descriptor of a program or of its link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id, in the caller's pid namespace.
    pub pid: u32,
    /// Its command name; empty when it could not be read.
    pub command: String,
}

/// The XDP program on an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramInfo {
    /// Interface that it is on.
    pub iface: String,
    /// The kernel's id of the program.
    pub id: u32,
    /// Its name; empty without the right to ask (CAP_BPF, or CAP_SYS_ADMIN).
    pub name: String,
    /// The hash of its instructions, in hex as `bpftool` prints it; empty as `name` is.
    pub tag: String,
    /// How it is attached.
    pub mode: AttachMode,
    /// The link that holds it; `None` when attached by netlink, or without CAP_SYS_ADMIN.
    pub link: Option<u32>,
    /// Processes that hold it, as far as /proc lets the caller see.
    pub holders: Vec<Holder>,
    /// Whether it is `pfs`'s own program, by its name.
    pub ours: bool,
}

impl ProgramInfo {
    /// The command that takes the program off.
    #[must_use]
    pub fn detach_command(&self) -> String {
        let iface = &self.iface;
        match self.link {
            _ if self.ours => format!("pfs detach {iface}"),
            Some(link) => format!("bpftool link detach id {link}"),
            None => format!("ip link set dev {iface} {} off", self.mode.flag_and_word().1),
        }
    }
}

impl fmt::Display for ProgramInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() { "(unknown name)" } else { &self.name };
        write!(f, "program {name} (id {}", self.id)?;
        if !self.tag.is_empty() {
            write!(f, ", tag {}", self.tag)?;
        }
        write!(f, ", attached {}", self.mode)?;
        if let Some(link) = self.link {
            write!(f, " by link {link}")?;
        }
        for (i, holder) in self.holders.iter().enumerate() {
            let before = if i == 0 { "; held by " } else { ", " };
            write!(f, "{before}pid {} {}", holder.pid, holder.command)?;
        }
        f.write_str(")")
    }
}

/// The XDP program on `iface` that sees a frame first, whoever attached it; `None` when there is
/// none. Works without privilege, with less known: see the fields.
///
/// # Errors
/// When there is no such interface, or netlink fails.
pub fn attached_program(iface: &str) -> Result<Option<ProgramInfo>, XdpError> {
    Ok(find(iface)?.map(|found| found.info))
}

/// A program found on an interface, with what it takes to remove it.
pub(crate) struct Found {
    pub(crate) info: ProgramInfo,
    pub(crate) ifindex: u32,
    pub(crate) program: Option<OwnedFd>,
    pub(crate) link: Option<OwnedFd>,
}

pub(crate) fn find(iface: &str) -> Result<Option<Found>, XdpError> {
    let ifindex = netlink::ifindex(iface).map_err(|e| XdpError::no_interface(iface, e))?;
    let asked = netlink::interface(ifindex)
        .map_err(|e| XdpError::io(format!("asking the kernel about {iface}"), e))?;
    let Some((id, code)) = asked.program() else { return Ok(None) };
    let Some(mode) = AttachMode::from_kernel(code) else { return Ok(None) };
    // Before this process opens descriptors of its own.
    let holders = holders(id);
    let program = sys::program_by_id(id).ok();
    let known = program.as_ref().and_then(|fd| sys::program_info(fd.as_fd()).ok());
    let (link_id, link) = sys::find_link(id, ifindex).ok().flatten().unzip();
    let name = known.as_ref().map_or_else(String::new, sys::ProgInfo::name);
    let tag =
        known.map_or_else(String::new, |k| k.tag.iter().map(|b| format!("{b:02x}")).collect());
    let info = ProgramInfo {
        iface: iface.to_owned(),
        id,
        ours: is_ours(&name),
        name,
        tag,
        mode,
        link: link_id,
        holders,
    };
    Ok(Some(Found { info, ifindex, program, link }))
}

/// Processes with a descriptor whose fdinfo names program `id`.
fn holders(id: u32) -> Vec<Holder> {
    let Ok(proc_dir) = fs::read_dir("/proc") else { return Vec::new() };
    let mut found: Vec<Holder> = proc_dir
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&pid: &u32| holds(pid, id))
        .map(|pid| Holder { pid, command: command(pid) })
        .collect();
    found.sort_by_key(|holder| holder.pid);
    found
}

fn holds(pid: u32, id: u32) -> bool {
    let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fdinfo")) else { return false };
    fds.flatten().filter_map(|fd| fs::read_to_string(fd.path()).ok()).any(|text| {
        text.lines()
            .filter_map(|line| line.strip_prefix("prog_id:"))
            .any(|value| value.trim().parse() == Ok(id))
    })
}

fn command(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm"))
        .map_or_else(|_| String::new(), |c| c.trim().to_owned())
}
