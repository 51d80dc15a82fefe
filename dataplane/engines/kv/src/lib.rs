//! Durable, ordered key/value store.

mod change;
mod databases;
mod durable;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
pub mod grammar;
mod index;
mod log;
mod memory;
mod op;
mod record;
pub mod reduce;
pub mod resp;
pub mod servers;
mod shard;
mod store;
mod summary;

pub use databases::{DATABASES_MAX, Database, Databases, valid_name};
pub use durable::{DurableError, DurableSettings, DurableShard, Fsync, Recovered, Ticket};
pub use op::{
    ABSOLUTE_MAX, Condition, Expiry, KEY_MAX, Op, OpError, Replies, Reply, Space, VALUE_MAX,
};
pub use shard::{BURST, Row, Scan, ScanRows, Shard, ShardSettings, Usage};
pub use store::{MergedRows, SHARDS_MAX, Store, StoreSettings, StoreShard, pair_of, pair_value};
pub use summary::{Branching, Summarizer, Summary};
