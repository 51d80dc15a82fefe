//! The dataplane: receivers, parse, match, steer and pCPU workers.

pub mod counters;
pub mod packet;
pub mod pcpu;
pub mod receivers;
pub mod transmitters;
