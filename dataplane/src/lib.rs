//! The dataplane: receivers, parse, match, steer and pCPU workers.

pub mod counters;
#[doc(hidden)]
pub mod fuzzing;
pub mod packet;
pub mod pcpu;
pub mod receivers;
pub mod transmitters;
