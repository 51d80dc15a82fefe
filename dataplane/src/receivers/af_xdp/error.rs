//! What goes wrong with an AF_XDP socket, in the terms of receiver and transmitter.

use std::error::Error;
use std::io;

use crate::privilege;

/// Failures in the terms that both `ReceiveError` and `TransmitError` have.
#[derive(Debug)]
pub(crate) enum XskError {
    /// A system call failed.
    Io { doing: String, source: io::Error, fix: String },
    /// What was asked cannot be.
    Unsupported { what: String, fix: String },
}

impl From<XskError> for crate::receivers::ReceiveError {
    fn from(error: XskError) -> Self {
        match error {
            XskError::Io { doing, source, fix } => Self::Io { doing, source, fix },
            XskError::Unsupported { what, fix } => Self::Unsupported { what, fix },
        }
    }
}

impl From<XskError> for crate::transmitters::TransmitError {
    fn from(error: XskError) -> Self {
        match error {
            XskError::Io { doing, source, fix } => Self::Io { doing, source, fix },
            XskError::Unsupported { what, fix } => Self::Unsupported { what, fix },
        }
    }
}

/// Names the capabilities that AF_XDP needs and this thread lacks.
pub(crate) fn missing_capabilities() -> String {
    let needed = [
        (privilege::CAP_NET_RAW, "CAP_NET_RAW"),
        (privilege::CAP_NET_ADMIN, "CAP_NET_ADMIN"),
        (privilege::CAP_BPF, "CAP_BPF"),
    ];
    let has = |cap| {
        privilege::has(cap) || cap == privilege::CAP_BPF && privilege::has(privilege::CAP_SYS_ADMIN)
    };
    let lacks: Vec<_> =
        needed.iter().filter(|(cap, _)| !has(*cap)).map(|(_, name)| *name).collect();
    if lacks.is_empty() {
        return "all capabilities are held: a security module or namespace refuses".to_owned();
    }
    format!(
        "missing {}: run as root, or setcap cap_net_raw,cap_net_admin,cap_bpf+ep PROGRAM",
        lacks.join(", ")
    )
}

/// The error number that an error of xsk-rs carries as its source.
pub(super) fn errno_of(error: &(dyn Error + 'static)) -> io::Error {
    let code = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match code.and_then(io::Error::raw_os_error) {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::other(error.to_string()),
    }
}
