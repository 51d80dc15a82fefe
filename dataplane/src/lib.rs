//! The dataplane: receivers, parse, match, steer and pCPU workers.

pub mod books;
pub mod counters;
#[doc(hidden)]
pub mod fuzzing;
pub mod packet;
pub mod pcpu;
pub mod pin;
pub mod privilege;
pub mod receivers;
pub mod transmitters;
