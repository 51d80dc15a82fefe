//! A run: receivers, lanes and workers, started together and stopped in order.
//!
//! The caller opens sources (that needs privilege) and hands them over; from then on each thread
//! is pinned to its core, owns what it touches, and keeps no capability. Stop order: sources
//! detach, what has arrived is drained, lanes close, workers finish, frames come back, sources
//! are freed.

mod cycles;
mod executor;
mod keep;
mod kit;
mod lanes;
mod latency;
mod ledger;
mod outlet;
mod receiver;
mod report;
mod start;
mod steer;
mod watch;
mod worker;

pub use executor::{Executor, Source};
pub use keep::PayloadSinks;
pub use kit::WorkerKit;
pub use lanes::LaneMemory;
pub use latency::{Latency, WaitCounts};
pub use report::{
    EngineSnapshot, LaneSnapshot, ReceiverReport, RuleResults, RunReport, SinkReport, Snapshot,
    StepSnapshot, WorkerReport,
};
pub use start::{ReceiverSlot, RunError, RunSpec, Running, Workers, start};
pub use watch::Watch;
