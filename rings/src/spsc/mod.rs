//! Rings with one producer and one consumer, between threads or between processes.
//!
//! # How it works
//!
//! A ring is a power of two of slots and two free-running 64-bit indices. The *tail* counts the
//! items pushed and is written by the producer alone; the *head* counts the items popped and is
//! written by the consumer alone. Items `head..tail` are in the ring; item `i` lies in slot
//! `i mod slots`. Nothing else is shared on the hot path, and nothing is ever written by both.
//!
//! Each side keeps its own index and a copy of the other's in private memory, and looks at the
//! shared word of the other only when that copy says "full" or "empty". A line thus crosses
//! between the cores once per burst, not once per item.
//!
//! # Orderings
//!
//! | store (Release) | load (Acquire) | what it carries |
//! |---|---|---|
//! | `Producer::publish` of the tail | `Consumer::refresh` | the items are written before they are seen |
//! | `Consumer::publish` of the head | `Producer::refresh` | the items are read before their slots are reused |
//! | `close` of either side | `peer` of the other | what was pushed before the closing is seen with it |
//!
//! Sleeping adds one pair of another kind; see [`crate::wait`].
//!
//! # A peer that misbehaves
//!
//! In shared memory the other side's index is input. It is read once, into a local, and checked:
//! `tail - head` above the capacity is impossible, and makes this side treat the ring as
//! **poisoned** from then on. A poisoned ring pushes and pops nothing, tells so
//! ([`PeerState::Poisoned`]), counts in [`poisoned_rings`], and closes so that the peer does not
//! wait for it. No other ring is touched. A side never reads its own index back, so noise over
//! it does no more than mislead the peer until the next publish.
//!
//! Items are [`bytemuck::Pod`]: any bytes are a valid item, so that a torn or forged one is a
//! wrong value and never undefined behaviour of its type.

mod chunk;
mod consumer;
mod control;
mod copy;
mod index;
#[cfg(not(loom))]
mod mapped;
mod memory;
mod pace;
mod prefetch;
mod producer;

use std::fmt;
use std::sync::atomic::{AtomicU64 as Counter, Ordering as CountOrdering};

use bytemuck::Pod;
use thiserror::Error;

pub use chunk::{ReadChunk, WriteChunk};
pub use consumer::Consumer;
#[cfg(not(loom))]
pub use mapped::{MappedRing, RING_ALIGN};
pub use producer::Producer;

use crate::Process;
use crate::sync::{AtomicU64, Ordering};

/// A ring on the heap, for two threads of this process.
///
/// # Panics
/// When `slots` is no power of two, or above 2^31: it comes from a checked plan, not from input.
#[must_use]
pub fn ring<T: Pod + Send>(slots: usize) -> (Producer<T>, Consumer<T>) {
    ring_at(slots, 0)
}

/// As [`ring`], the first item having index `start`: tests begin shortly before the wrap-around.
fn ring_at<T: Pod + Send>(slots: usize, start: u64) -> (Producer<T>, Consumer<T>) {
    assert!(
        slots.is_power_of_two() && slots <= memory::MAX_SLOTS && size_of::<T>() > 0,
        "a ring has a power of two of slots, at most 2^31, not {slots}"
    );
    let memory = memory::Memory::heap(slots, start);
    let sides = Producer::attach(memory.clone(), None).zip(Consumer::attach(memory, None));
    sides.expect("both indices of a new ring are equal")
}

/// An item that was not pushed, given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PushError<T> {
    /// No slot is free now.
    #[error("the ring is full")]
    Full(T),
    /// No slot is free and the consumer has left: none ever will be.
    #[error("the ring is full and its consumer has left")]
    Closed(T),
    /// The consumer's index is impossible; the ring is out of use.
    #[error("the ring is poisoned: its consumer wrote an impossible index")]
    Poisoned(T),
}

impl<T> PushError<T> {
    /// The item.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) | Self::Poisoned(item) => item,
        }
    }
}

/// How the other side of a ring stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// At work, or not yet come, or dead without a word (ask `peer_died`).
    Open,
    /// Has left in good order, or declared the ring poisoned.
    Closed,
    /// Has written an impossible index: this side uses the ring no more.
    Poisoned,
}

/// One side of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that pushes.
    Producer,
    /// The one that pops.
    Consumer,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        })
    }
}

/// A ring in a region that cannot be made, opened or joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RingError {
    /// The number of slots is no power of two, or too large for the region.
    #[error(
        "a ring of {slots} slots: the number must be a power of two, at most 2^31; set `ring_slots` to one"
    )]
    Slots {
        /// The number asked for or found.
        slots: u64,
    },
    /// The ring would not lie inside the region, or not on a 128-byte boundary.
    #[error(
        "a ring of {bytes} bytes at offset {offset} does not fit a region of {region} bytes, aligned to 128; make the region larger"
    )]
    Misplaced {
        /// Bytes from the start of the region.
        offset: u64,
        /// Bytes that the ring needs.
        bytes: u64,
        /// Bytes of the region.
        region: u64,
    },
    /// There is no finished ring at this offset.
    #[error(
        "opening a ring at offset {offset}: found {magic:#018x} where its mark should be; start its creator first"
    )]
    NoRing {
        /// Bytes from the start of the region.
        offset: u64,
        /// What was found.
        magic: u64,
    },
    /// The ring was made by another version.
    #[error(
        "opening a ring: its format is version {found}, ours is {ours}; run the same build on both sides"
    )]
    Version {
        /// Version found.
        found: u32,
        /// Version of this build.
        ours: u32,
    },
    /// The ring carries items of another size.
    #[error(
        "opening a ring: its items have {found} bytes, ours {ours}; run the same build on both sides"
    )]
    ItemBytes {
        /// Bytes per item, as found.
        found: u32,
        /// Bytes per item of this build.
        ours: usize,
    },
    /// The ring's words lie elsewhere.
    #[error(
        "opening a ring: its layout is {found:#018x}, ours {ours:#018x}; run the same build on both sides"
    )]
    Layout {
        /// Layout hash found.
        found: u64,
        /// Layout hash of this build.
        ours: u64,
    },
    /// A live process holds this side.
    #[error(
        "joining a ring as {side}: process {pid} holds that side; `kill {pid}` if it should not"
    )]
    Taken {
        /// The side asked for.
        side: Side,
        /// Its holder.
        pid: u32,
    },
    /// The ring's indices are impossible.
    #[error(
        "joining a ring: tail {tail} and head {head} are impossible with {slots} slots; make the ring anew"
    )]
    Poisoned {
        /// The producer's index.
        tail: u64,
        /// The consumer's index.
        head: u64,
        /// Slots of the ring.
        slots: u64,
    },
}

static POISONED: Counter = Counter::new(0);

/// Times that this process found a ring poisoned, since it started.
#[must_use]
pub fn poisoned_rings() -> u64 {
    POISONED.load(CountOrdering::Relaxed)
}

/// Counts a ring that this process found poisoned.
#[cold]
fn count_poisoned() {
    POISONED.fetch_add(1, CountOrdering::Relaxed);
}

/// Whether a handle is this process's: a forked child drops copies of its parent's.
fn is_ours(claimed: Option<Process>) -> bool {
    claimed.is_none_or(|process| process.pid == std::process::id())
}

/// Clears a side's owner, if it is still `me`.
fn unclaim(owner: &AtomicU64, me: Option<Process>) {
    if let Some(me) = me {
        let _ = owner.compare_exchange(me.pack(), 0, Ordering::Release, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
