//! What keeps a server from starting or going on.

use std::io;
use std::net::SocketAddr;

/// A server that cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Nothing to listen on.
    #[error(
        "no address to listen on: give one for RESP (--resp 127.0.0.1:6379) or for the line grammar (--cheetah 127.0.0.1:4455)"
    )]
    NoAddress,
    /// Other machines could reach a server that asks for no password.
    #[error(
        "{0} can be reached from other machines and no password is set: set one (--auth), or listen on 127.0.0.1"
    )]
    Unprotected(SocketAddr),
    /// The address cannot be listened on.
    #[error(
        "listening on {address}: {source}; choose another port, or find its owner with `ss -ltnp`"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The process may open too few files.
    #[error(
        "{connections} connections need {need} open files and this process may open {have}: raise it (`ulimit -n {need}`), or allow fewer connections"
    )]
    OpenFiles {
        /// Connections asked for.
        connections: usize,
        /// Files that they need.
        need: u64,
        /// Files that the process may open.
        have: u64,
    },
    /// More loops than the store has shards, or than there can be.
    #[error(
        "{loops} loops for a store of {shards} shards: each loop owns at least one of them, and there are at most {most}; serve it with fewer (--threads), or make a store with more (--shards)"
    )]
    Loops {
        /// Loops asked for.
        loops: usize,
        /// Shards of the store.
        shards: usize,
        /// Loops that a server may have.
        most: usize,
    },
    /// A core cannot be pinned to.
    #[error("pinning a loop to core {core}: {source}; choose cores of `taskset -pc $$`")]
    Pin {
        /// The kernel's id of the core.
        core: u32,
        /// The cause.
        source: io::Error,
    },
    /// A system call of the loop failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A loop panicked: a defect.
    #[error("a server loop panicked; the connections of that loop are gone")]
    Panicked,
}

impl ServeError {
    /// For `map_err`: what was being done.
    pub(super) fn io<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { doing, source: source.into() }
    }
}
