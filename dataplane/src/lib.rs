//! The dataplane: receivers, parse, match, steer and pCPU workers.

pub mod books;
pub mod costs;
pub mod counters;
pub mod dpdk;
#[doc(hidden)]
pub mod fuzzing;
pub mod link;
pub mod netns;
pub mod ops;
pub mod packet;
mod packet_socket;
pub mod pcpu;
pub mod pin;
pub mod privilege;
pub mod receivers;
pub mod run;
#[cfg(test)]
pub(crate) mod testing;
pub mod transmitters;
