//! The ring of `pfs-rings` against its peers: throughput by burst, and one-way latency.

pub mod contenders;
pub mod dpdk;
pub mod item;
pub mod latency;
pub mod placement;
pub mod run;
