//! Engine ops: what connects the engines' libraries to the pCPU.
//!
//! An engine knows nothing of packets. Its adapter here is a [`pcpu::Engine`](crate::pcpu::Engine):
//! one per worker and op, made at start, given batches of spans with what their descriptors say
//! (flow, time, headers), with accumulators, named counters, and an optional outlet.
//!
//! | op | engine | adapter |
//! |---|---|---|
//! | `token:VOCAB` | `pfs-token` | [`token`] |
//! | `kv` | `pfs-kv` | [`kv`] |
//! | `pvrt` | `pfs-pvrt` | [`pvrt`] |
//! | `cst` | `pfs-cst` | [`cst`] |
//! | `vec` | `pfs-vec` | [mod@vec] |
//!
//! [`flows`] tells streams apart for any engine that works on them; [`ids`] holds the sinks that
//! token ids go to.

pub mod cst;
pub mod flows;
mod held;
pub mod ids;
pub mod kv;
mod load;
pub mod pvrt;
mod spec;
pub mod token;
pub mod vec;

pub use load::{Engines, OpError};
pub use spec::{EngineOp, Setting, SettingError, Special, TokenMode, TokenOp};

use crate::pcpu::OpInfo;

/// The op list's line for `token`.
pub(crate) const TOKEN: OpInfo = OpInfo {
    name: "token",
    args: ":VOCAB[,mode=packet|flow][,flows=N][,idle_s=N][,special=text|allow]",
    what: "token ids of a vocabulary: their number and digest into the next two of R0..R3",
};

/// The op list's line for `kv`.
pub(crate) const KV: OpInfo = OpInfo {
    name: "kv",
    args: "[:frame|:cheetah|:resp][,dir=PATH][,fsync=always|group:US:BYTES|never][,memory=BYTES][,shards=N][,db=NAME]",
    what: "key/value operations executed on a store: done, failed and digest into the next three of R0..R3",
};

/// The op list's line for `pvrt`.
pub(crate) const PVRT: OpInfo = OpInfo {
    name: "pvrt",
    args: "[:DIR][,partials=N][,memory=BYTES][,idle_ms=N]",
    what: "files put together from frames: bytes, windows and digest into the next three of R0..R3",
};

/// The op list's line for `cst`.
pub(crate) const CST: OpInfo = OpInfo {
    name: "cst",
    args: "[:LANG][,mode=packet|flow|pieces][,dir=PATH][,max_bytes=BYTES][,flows=N][,idle_s=N][,memory=BYTES][,parse_ms=N]",
    what: "source files parsed to syntax trees: files, nodes and digest into the next three of R0..R3",
};

/// The op list's line for `vec`.
pub(crate) const VEC: OpInfo = OpInfo {
    name: "vec",
    args: ":DIR[,fsync=always|group:US:BYTES|never][,partials=N][,memory=BYTES][,idle_ms=N]",
    what: "records with vectors written to collections: stored, failed and digest into the next three of R0..R3",
};
