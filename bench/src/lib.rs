//! Benchmarks of pfs against its peers; every one checks its answer.

pub mod op;
pub mod ring;
