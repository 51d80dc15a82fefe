//! AF_XDP.
#[cfg(test)]
pub(crate) mod rig;
pub(crate) mod socket;
pub(crate) mod spec;
pub use spec::{AfXdpSpec, AllQueues, AttachMode, Queues, WaitMode, ZeroCopy};
