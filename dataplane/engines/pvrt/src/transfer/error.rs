//! Why a transfer ends before its end.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::codec::Malformed;
use super::tree::PathError;
use crate::sync::SyncError;

/// What went wrong, where, and what mends it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransferError {
    /// A system call failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with its object.
        doing: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The receiver's disk has no room left.
    #[error(
        "{doing}: no space left on the receiver's disk; free some and send again: what has arrived is kept"
    )]
    Full {
        /// What was being written.
        doing: String,
    },
    /// The other end closed the connection.
    #[error(
        "the other end closed the connection while {doing}; run it again: it goes on where it stopped"
    )]
    Closed {
        /// What was going on.
        doing: &'static str,
    },
    /// The other end says nothing any more.
    #[error(
        "nothing came from the other end for {seconds} s while {doing}; look whether it and the network are up, then run it again: it goes on where it stopped"
    )]
    Silent {
        /// What was going on.
        doing: &'static str,
        /// For how long.
        seconds: u64,
    },
    /// Control messages come through, frames do not.
    #[error(
        "no frame reached UDP port {port} of the receiver in {seconds} s; let it through the firewall, or choose another with pfs recv --udp-port"
    )]
    NoFrames {
        /// The receiver's port.
        port: u16,
        /// For how long frames were sent.
        seconds: u64,
    },
    /// The other end gave up, and said why.
    #[error("the other end: {0}")]
    Peer(String),
    /// The other end breaks the protocol.
    #[error("the other end breaks the protocol: {0}; update pfs on both ends to the same version")]
    Protocol(&'static str),
    /// A message cannot be read.
    #[error("{0}; update pfs on both ends to the same version")]
    Malformed(#[from] Malformed),
    /// A path that must not be written.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Keys do not fit, or cannot be used.
    #[error("{why}; {fix}")]
    Key {
        /// What does not fit.
        why: String,
        /// What mends it.
        fix: String,
    },
    /// The two ends speak different versions.
    #[error(
        "the other end speaks version {theirs} of the protocol and this one version {ours}; update pfs on both ends"
    )]
    Version {
        /// Theirs.
        theirs: u16,
        /// Ours.
        ours: u16,
    },
    /// Another transfer holds the folder.
    #[error("another transfer into {0} is running; wait for its end")]
    Busy(PathBuf),
    /// A file of the sender is not what it was when the transfer began.
    #[error("{0} changes while it is sent; send again when nothing writes to it")]
    Changing(PathBuf),
    /// Something in the target stands where something else is to be.
    #[error("{path} in the target is {is}, the sender has {wants}; move it away and send again")]
    InTheWay {
        /// Where, below the target.
        path: PathBuf,
        /// What it is.
        is: &'static str,
        /// What is to be there.
        wants: &'static str,
    },
    /// The sync cannot go on.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// Frames could not be put out or taken in.
    #[error("{0}")]
    Frames(String),
    /// A signal asked to stop.
    #[error("stopped; run it again: it goes on where it stopped")]
    Stopped,
}

impl TransferError {
    /// An I/O error with what was being done; a full disk gets its own words.
    pub(crate) fn io(doing: impl Into<String>, source: io::Error) -> Self {
        let doing = doing.into();
        match source.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => Self::Full { doing },
            _ => Self::Io { doing, source },
        }
    }

    /// The same for system calls by nix.
    pub(crate) fn sys(doing: impl Into<String>, error: nix::Error) -> Self {
        Self::io(doing, error.into())
    }
}
