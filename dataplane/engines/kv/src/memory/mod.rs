//! Memory outside the allocator: reserved once, backed as it is needed.

mod populate;
mod prefetch;
mod reservation;

pub(crate) use prefetch::prefetch;
pub(crate) use reservation::{HUGE, Reservation};
