//! The real binary, run as its users run it. Each test has a folder and, where it needs one, a
//! network namespace of its own; what the host does not allow is skipped with the reason.

mod bad_plans;
mod bench;
mod blob;
mod browser;
mod common;
mod control_socket;
mod costs;
mod cst;
mod disk;
#[cfg(feature = "dpdk")]
mod dpdk;
mod host;
mod http;
mod kill;
mod kv;
mod live;
mod live_store;
mod plan;
mod plan_file;
mod rebuild;
mod replies;
mod run;
mod shell;
mod smoke;
mod token;
mod top;
mod transfer;
mod tx;
mod vec;
