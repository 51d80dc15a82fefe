//! Durable, ordered key/value store: operations come in bursts, are executed by the shard that owns
//! their keys, and survive `kill -9`.
//!
//! # The data's way
//!
//! ```text
//! burst of Op ─► hash all ─► fetch buckets ─► fetch records ─► execute ─► Replies
//!                                                                │
//!                   tag table ──┐                                ├─► changes ─► frame ─► log on disk
//!                               ├─► location ─► record log       │
//!                   B+tree    ──┘               (2 MiB slices)   └─► Ticket: when to acknowledge
//! ```
//!
//! A [`Shard`] has one owner and no lock in it. Records lie in an append-only log; a hash table
//! serves points, a B+tree serves order, and both hold nothing but 32-bit tags or slices of keys and
//! 32-bit locations. A [`Store`] is shards by key hash; its scans merge them in exact order. A
//! [`DurableShard`] adds a log on disk. Keys may be any bytes, empty or prefixes of each other, up
//! to 64 KiB; values up to 64 MiB.
//!
//! # Memory of a record
//!
//! | part | bytes | where from |
//! |---|---|---|
//! | header | 4 | flags, both lengths; 12 for keys over 255 or values over 65,535 bytes; + 2 in a space other than 0; + 8 with an expiry |
//! | padding | 0.5 | locations count units of 2 bytes while a shard has at most 4 GiB, up to 16 at 32 GiB |
//! | tag slot | 8 / 0.84 to 8 / 0.91 | 32-bit tag and location; the table grows by a twelfth at a time |
//! | order | 8 / 0.9 | 4 bytes of the key behind what its leaf shares, and the location; leaves have as many slots as they need, in steps of 8, or up to 3 steps more where a freed one is taken |
//! | inner nodes, separators | 1 | one of each per leaf of 64 to 128 records |
//! | **together** | **22.7 to 23.7** | measured with keys of 16 to 40 bytes and values of 32 to 256, at 0.5 to 10 million records: by where the table stands in its growth |
//!
//! Values of absolute keys are in neither index: header, space, 8 bytes of key and 4 bytes of an
//! array. Segments are freed slice by slice, so that beside this a log has at most about a third
//! dead bytes; what is dead costs [`Usage::log_dead`].
//!
//! # Work per operation
//!
//! Nothing is ever done for all keys at once, except on [`Shard::purge`] of many. The tag table
//! grows in place, a few buckets per insertion, without looking at keys. Cleaning moves the live
//! records of the emptiest slice, at most as many bytes per burst as six times what was written and
//! never more than 512 KiB, except for a write that would not fit the bound. Expired keys are unseen
//! at once, and removed by a sweep of two buckets per burst and by [`Shard::maintain`]. Beyond the
//! bound writes are refused with [`OpError::Full`]; reads and deletes go on. A value of the same
//! length is written in place. A log of 16 MiB or more keeps one slice ready that a thread of the
//! process has touched ([`Usage::log_backed`] has it): whoever writes does not wait for the system to clear it.
//!
//! # What is synced when
//!
//! A shard's directory holds segments (`*.log`), a snapshot (`*.snap`), `lock` and `epoch`.
//!
//! - A segment is written full of zeros, synced, and renamed into place with its directory synced,
//!   before a frame goes to it. So a full disk is met before a burst is executed: it is refused with
//!   [`OpError::ReadOnly`], and tried again every 50 ms. The same when a store is opened on a full disk.
//! - A frame holds the changes of one burst, or of one group: 32 bytes of head with sequence number,
//!   epoch, CRC-32C and the last number known to be durable. Bursts are atomic: after a crash all
//!   changes of a frame are there or none.
//! - [`Fsync::Always`]: `fdatasync` within [`DurableShard::execute`]. [`Fsync::Group`]: a thread
//!   syncs what was written meanwhile; [`DurableShard::acknowledged`] tells when, and
//!   [`DurableShard::wake_with`] calls then. [`Fsync::Never`]:
//!   when the kernel likes; segments are synced when they are left. What is read may not be durable
//!   yet.
//! - When a segment is left, it is synced before the next one gets a frame, and its end is marked.
//! - A snapshot is written beside the service, a few rows per burst, to a file that is synced and
//!   renamed after everything in it is durable in the log; then older segments are removed.
//! - A failed write or sync poisons the shard: what it then holds on disk is unknown, so it takes no
//!   more writes until it is opened again.
//!
//! Recovery reads the newest snapshot and the frames behind it. What cannot be read at the end of
//! the last segment is cut and reported ([`Recovered`]), unless a later frame tells that it had been
//! durable; that, and damage before the last segment, is refused unless
//! [`DurableSettings::salvage`] is set.
//!
//! # Limits
//!
//! A shard has at most 32 GiB. A purge is atomic within a shard, not over shards. Absolute keys are
//! given out per shard: `s + 1, s + 1 + n, …`. Removed absolute keys are never given out again, as
//! long as their removal or their successor was acknowledged.

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
mod shared;
mod store;
mod summary;

pub use databases::{DATABASES_MAX, Database, Databases, valid_name};
pub use durable::{DurableError, DurableSettings, DurableShard, Fsync, Recovered, Ticket};
pub use op::{
    ABSOLUTE_MAX, BURST_MAX, Condition, Expiry, KEY_MAX, Op, OpError, Replies, Reply, Space,
    VALUE_MAX,
};
pub use shard::{BURST, Owners, Row, Scan, ScanRows, Shard, ShardSettings, Usage};
pub use shared::SharedStore;
pub use store::{MergedRows, SHARDS_MAX, Store, StoreSettings, StoreShard, pair_of, pair_value};
pub use summary::{Branching, Summarizer, Summary};
