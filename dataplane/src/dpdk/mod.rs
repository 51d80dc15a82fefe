//! DPDK: ports that a poll-mode driver serves without the kernel.
//!
//! Poll-mode drivers come from the installed DPDK and are loaded when [`EAL`](https://doc.dpdk.org)
//! starts, at the first port that is opened; that happens once in a process. A port's mbufs lie in
//! a region of ours, so that workers read payload in place like everybody else's.
//!
//! What receiver and transmitter share is here: settings, EAL, the pool of mbufs, the port.

#[cfg(feature = "dpdk")]
mod eal;
#[cfg(feature = "dpdk")]
mod error;
#[cfg(feature = "dpdk")]
mod pool;
#[cfg(feature = "dpdk")]
mod port;
mod spec;

#[cfg(feature = "dpdk")]
pub(crate) use eal::register_thread;
#[cfg(feature = "dpdk")]
pub use eal::{EalVersions, cleanup, versions};
#[cfg(feature = "dpdk")]
pub(crate) use pool::{Loans, Reclaimed};
#[cfg(feature = "dpdk")]
pub(crate) use port::{Port, RxQueue, TxQueue};
pub use spec::{DevArg, DpdkSpec};
