//! Durable, ordered key/value store.

mod change;
mod durable;
mod index;
mod log;
mod memory;
mod op;
mod record;
mod shard;

pub use durable::{DurableError, DurableSettings, DurableShard, Fsync, Recovered, Ticket};
pub use op::{ABSOLUTE_MAX, Condition, Expiry, KEY_MAX, Op, OpError, Replies, Reply, Space, VALUE_MAX};
pub use shard::{BURST, Row, Scan, ScanRows, Shard, ShardSettings, Usage};
