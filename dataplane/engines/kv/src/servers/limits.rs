//! What clients may take.

use std::time::Duration;

/// Bounds of a server; each holds whatever clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time, all loops together.
    pub connections: usize,
    /// Bytes of one key or value of RESP.
    pub value_bytes: u32,
    /// Bytes of one request of RESP.
    pub request_bytes: usize,
    /// Bytes of one line of the line grammar.
    pub line_bytes: usize,
    /// Bytes of one reply; a larger one becomes an error.
    pub reply_bytes: usize,
    /// Bytes of replies that wait for one client; beyond them its commands wait as well.
    pub output_bytes: usize,
    /// Bytes of all clients' buffers, all loops together; who asks for more is dropped.
    pub buffer_bytes: usize,
    /// A client that leaves replies unread for so long is dropped.
    pub stall: Duration,
    /// A client that sends nothing for so long is dropped; zero for never.
    pub idle: Duration,
    /// Wrong passwords before a client is dropped.
    pub auth_attempts: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            value_bytes: 64 << 20,
            request_bytes: 128 << 20,
            line_bytes: (64 << 20) + 4096,
            reply_bytes: 256 << 20,
            output_bytes: 1 << 20,
            buffer_bytes: 1 << 30,
            stall: Duration::from_secs(60),
            idle: Duration::ZERO,
            auth_attempts: 5,
        }
    }
}
