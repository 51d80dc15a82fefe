//! Descriptor rings compared: throughput and one-way latency.

pub mod contenders;
pub mod dpdk;
pub mod item;
pub mod latency;
pub mod placement;
mod report;
mod rows;
pub mod run;

pub use placement::Placement;
pub use rows::{Settings, measure as run};
pub use run::Cores;
