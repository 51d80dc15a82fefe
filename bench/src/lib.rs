//! Benchmarks of pfs against its peers; every one checks its answer.

pub mod host;
pub mod op;
pub mod pipeline;
pub mod report;
pub mod ring;
pub mod stats;
