//! The store over TCP: RESP for clients of Redis, and the line grammar of cheetah-db.
//!
//! Each loop is one thread, on a core of its own if so asked, and owns a part of the shards: it accepts,
//! reads, executes and writes, and hands on only what is about other loops' keys. All that has arrived on a
//! connection is one burst; its replies go out in one write. A connection whose client does not read is not
//! read from either, until it does or is dropped. Commands that take long run in steps, one in each turn.

mod auth;
mod connection;
mod counters;
mod cursors;
mod engine;
mod errors;
mod event_loop;
mod glob;
mod journal;
mod limits;
mod lines;
mod listen;
mod outbox;
mod output;
mod purge;
mod redis;
mod serve;
mod service;
mod standing;
mod system;

pub use auth::Secret;
pub use counters::ServerCounters;
pub use errors::ServeError;
pub use limits::Limits;
pub use serve::{LOOPS_MAX, Serve, Server};
use service::Session;
