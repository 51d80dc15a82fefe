//! Frames put together to files.
//!
//! [`Transfers`] is the list of what is under way, shared by all threads; each thread has a [`Lane`]
//! and gives it the datagrams that it gets. A [`Transfer`] knows which windows are done. Lanes share
//! no lock: which lane writes a window is settled by one atomic bit, and the list is looked at again
//! only when it has changed.
//!
//! ```
//! use std::sync::Arc;
//! use pfs_pvrt::wire::{
//!     Destination, Framer, HeldSpace, Lane, LaneSettings, Payload, Transfer, TransferSpec, Transfers,
//!     body,
//! };
//!
//! let transfers = Arc::new(Transfers::new());
//! let mut lane = Lane::new(Arc::clone(&transfers), LaneSettings::default());
//! let spec = TransferSpec { id: 7, size: 5, window_bytes: 65_536, anchor: 0 };
//! let memory = Destination::memory(spec.size)?;
//! let transfer = transfers.register(Transfer::new(spec, HeldSpace::default(), memory)?)?;
//!
//! let (mut framer, mut frame) = (Framer::new(7, 1_400, None), Vec::new());
//! framer.fragment(0, &Payload::Direct(b"hello", body::check(b"hello")), 0, &mut frame);
//! lane.batch([frame.as_slice()], 0);
//! assert!(transfer.is_complete());
//! assert_eq!(transfer.window(0), Some(&b"hello"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bits;
mod core;
mod counters;
mod destination;
mod lane;
mod partials;
mod pool;
mod table;
mod transfer;

use super::body::Check;

pub use counters::{LaneCounters, Quantity};
pub use destination::{Destination, DestinationError, make_room};
pub use lane::{Lane, LaneSettings};
pub use table::Transfers;
pub use transfer::{Filled, HeldSpace, Progress, Transfer, TransferError, TransferSpec};

/// A number that stands for window `window` of transfer `id`, with the check `check`.
#[must_use]
#[inline]
pub const fn window_digest(id: u32, window: u32, Check(check): Check) -> u64 {
    // Odd constants spread; each place of each file counts differently.
    let place = ((id as u64) << 32 | window as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (check ^ place ^ (place >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

#[cfg(test)]
mod tests;
