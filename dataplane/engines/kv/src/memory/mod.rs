//! Memory outside the allocator: reserved once, backed as it is needed.

mod prefetch;
mod reservation;

pub(crate) use prefetch::prefetch;
pub(crate) use reservation::{HUGE, Reservation};
