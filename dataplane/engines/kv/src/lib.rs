//! Durable, ordered key/value store.

mod change;
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

pub use op::{
    ABSOLUTE_MAX, Condition, Expiry, KEY_MAX, Op, OpError, Replies, Reply, Space, VALUE_MAX,
};
pub use shard::{BURST, Row, Scan, ScanRows, Shard, ShardSettings, Usage};
