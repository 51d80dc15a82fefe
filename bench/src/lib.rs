//! Benchmarks of pfs against its peers; every one checks its answer.

pub mod all;
pub mod blob;
pub mod cst;
pub mod host;
pub mod kv;
pub mod op;
pub mod op_pvrt;
pub mod op_token;
pub mod overload;
pub mod pipeline;
pub mod rebuild;
pub mod report;
pub mod ring;
pub mod rx;
pub mod spec;
pub mod stats;
pub mod token;
pub mod vec;
pub mod veth;
