//! Lanes: descriptors from a receiver to a worker, frame tokens back.
//!
//! ```text
//!             forward ring: Desc, `slots`
//! receiver ──────────────────────────────► worker
//!          ◄──────────────────────────────
//!             return ring: u32 token, `return_slots(slots)`
//! ```
//!
//! # Invariant: a return never waits
//!
//! The receiver counts what it has pushed and not yet drained, and pushes nothing that would
//! bring the count above the return ring's slots. Each descriptor yields at most one token, so
//! the tokens that a worker holds, and those in the return ring, together never exceed its
//! slots: there is always room for the next. The return ring has twice the forward ring's slots
//! and at least [`BURST`] more, so that a full forward ring and a worker with some bursts in
//! hand do not hit this bound; a receiver that never drains does, and sees a full lane.
//!
//! # After a crash
//!
//! The worker *releases* descriptors before it *returns* their tokens. A worker killed between
//! the two loses tokens; the other order would bring a frame back twice, the second time
//! perhaps while it holds another packet. [`LaneReceiver::take_stock`] tells the receiver which
//! frames a successor will still see; every other frame on loan to the lane is free.

#[cfg(not(loom))]
mod mapped;
mod receiver;
mod worker;

#[cfg(not(loom))]
pub use mapped::MappedLane;
pub use receiver::LaneReceiver;
pub use worker::LaneWorker;

use crate::spsc;

/// Most descriptors that a worker takes at a time, and the longest SOM..EOM chain.
pub const BURST: usize = 64;

/// Slots of the return ring that belongs to a forward ring of `slots`.
#[must_use]
pub const fn return_slots(slots: usize) -> usize {
    let twice = slots * 2;
    if twice < slots + BURST { (slots + BURST).next_power_of_two() } else { twice }
}

/// A lane on the heap, for two threads; `slots` descriptors on the way at most.
///
/// # Panics
/// When `slots` is no power of two, below [`BURST`] or above 2^30: it comes from a checked plan.
#[must_use]
pub fn lane(slots: usize) -> (LaneReceiver, LaneWorker) {
    assert!(
        slots.is_power_of_two() && (BURST..=1 << 30).contains(&slots),
        "a lane has a power of two of slots, 64 to 2^30, not {slots}"
    );
    let (descs_in, descs_out) = spsc::ring(slots);
    let (tokens_in, tokens_out) = spsc::ring(return_slots(slots));
    (LaneReceiver::new(descs_in, tokens_out), LaneWorker::new(descs_out, tokens_in))
}

#[cfg(all(test, not(loom)))]
mod tests;
