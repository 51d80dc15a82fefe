//! What can go wrong between a rule list and frames in a socket.

use std::error::Error;
use std::io;

use crate::owner::{AttachMode, ProgramInfo};
use crate::rules::RuleError;

/// A program that cannot be loaded, attached or used. Each message says what was being done, why
/// it failed, and the command that mends it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XdpError {
    /// A rule that cannot be.
    #[error(transparent)]
    Rules(#[from] RuleError),
    /// No interface of that name in this network namespace.
    #[error("no interface {iface}: {source}; `ip -br link` lists them")]
    NoInterface {
        /// Name that was given.
        iface: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel refuses for want of a capability.
    #[error("{doing}: {source}; {need}")]
    Permission {
        /// What was being done.
        doing: String,
        /// The kernel's answer.
        source: io::Error,
        /// The capabilities that are missing, and how to get them.
        need: String,
    },
    /// The kernel lacks what is needed.
    #[error("{doing}: {source}; this needs Linux {need} or later, this is {have}")]
    KernelTooOld {
        /// What was being done.
        doing: String,
        /// First release that has it.
        need: &'static str,
        /// The running release.
        have: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel refuses the program or a map.
    #[error("{doing}: {detail}")]
    Load {
        /// What was being done.
        doing: String,
        /// The loader's account, with the verifier's log where there is one.
        detail: String,
    },
    /// Another program is on the interface. It is left as it is.
    #[error("{} already has XDP {owner}; stop its owner, or take it off: {}", .owner.iface, .owner.detach_command())]
    Occupied {
        /// The program there and its holders.
        owner: Box<ProgramInfo>,
    },
    /// A program that is not ours, and no word to remove it all the same.
    #[error("XDP {owner} on {} is not pfs's and stays; remove it yourself: {}", .owner.iface, .owner.detach_command())]
    Foreign {
        /// The program there and its holders.
        owner: Box<ProgramInfo>,
    },
    /// The interface does not take a program in the mode asked for.
    #[error("attaching XDP to {iface} in {mode} mode: {source}; {cause}")]
    Refused {
        /// Interface.
        iface: String,
        /// Mode that was asked for.
        mode: AttachMode,
        /// The kernel's answer.
        source: io::Error,
        /// Its likely cause, and the command that mends it.
        cause: String,
    },
    /// The kernel took the program but does not run it as asked.
    #[error(
        "{iface} should run XDP program {program} in {asked} mode, but the kernel says: {found}; `bpftool net` shows what is attached"
    )]
    NotAsAsked {
        /// Interface.
        iface: String,
        /// Id of our program.
        program: u32,
        /// Mode that was asked for.
        asked: AttachMode,
        /// What the kernel reports.
        found: String,
    },
    /// A queue that the maps have no room for.
    #[error(
        "queue {queue} is beyond the {} that XDP steers to sockets; lower the number of queues: ethtool -L IFACE combined N",
        crate::MAX_QUEUES
    )]
    Queue {
        /// Queue that was given.
        queue: u32,
    },
    /// The object is not this program's.
    #[error("the object has no {what}; rebuild it: just ebpf")]
    Object {
        /// Map or program that is missing or of another shape.
        what: String,
    },
    /// Another system call failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with its object.
        doing: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl XdpError {
    /// A failed call, told apart by its error number.
    pub(crate) fn io(doing: impl Into<String>, source: io::Error) -> Self {
        let doing = doing.into();
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => {
                Self::Permission { doing, source, need: crate::host::capability_advice() }
            }
            Some(libc::ENOSYS) => Self::too_old(doing, "5.9", source),
            _ => Self::Io { doing, source },
        }
    }

    pub(crate) fn too_old(doing: String, need: &'static str, source: io::Error) -> Self {
        Self::KernelTooOld { doing, need, have: crate::host::release(), source }
    }

    pub(crate) fn no_interface(iface: &str, source: io::Error) -> Self {
        Self::NoInterface { iface: iface.to_owned(), source }
    }

    pub(crate) const fn object(what: String) -> Self {
        Self::Object { what }
    }

    /// A loader's failure: a capability where that is the cause, else all it has to say.
    pub(crate) fn load(doing: impl Into<String>, error: &(dyn Error + 'static)) -> Self {
        let doing = doing.into();
        match os_error(error) {
            Some(code @ (libc::EPERM | libc::EACCES)) if crate::host::missing().is_some() => {
                Self::io(doing, io::Error::from_raw_os_error(code))
            }
            _ => Self::Load { doing, detail: chain(error) },
        }
    }
}

/// The error number at the root of `error`, if it has one.
fn os_error(error: &(dyn Error + 'static)) -> Option<i32> {
    std::iter::successors(Some(error), |&e| e.source())
        .find_map(|e| e.downcast_ref::<io::Error>()?.raw_os_error())
}

/// All causes in a row, without repeats.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |&e| e.source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}
