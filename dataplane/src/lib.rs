//! The dataplane: receivers, parse, match, steer and pCPU workers.

pub mod books;
pub mod counters;
pub mod link;
pub mod packet;
pub mod pcpu;
pub mod pin;
pub mod privilege;
pub mod receivers;
#[cfg(test)]
pub(crate) mod testing;
pub mod transmitters;
