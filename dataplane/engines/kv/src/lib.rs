//! Durable, ordered key/value store.

mod change;
mod durable;
pub mod frame;
pub mod grammar;
mod index;
mod log;
mod memory;
mod op;
mod record;
pub mod resp;
pub mod servers;
mod shard;

pub use durable::{DurableError, DurableSettings, DurableShard, Fsync, Recovered, Ticket};
pub use op::{
    ABSOLUTE_MAX, Condition, Expiry, KEY_MAX, Op, OpError, Replies, Reply, Space, VALUE_MAX,
};
pub use shard::{BURST, Row, Scan, ScanRows, Shard, ShardSettings, Usage};
