//! The op `token` from a source to its results and sinks.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

#[path = "token/bad.rs"]
mod bad;
mod common;
#[path = "token/packets.rs"]
mod packets;
#[path = "token/rig.rs"]
mod rig;
#[path = "token/sinks.rs"]
mod sinks;
#[path = "token/streams.rs"]
mod streams;
