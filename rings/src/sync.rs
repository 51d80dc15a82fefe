//! The atomics that the rings are built from: the standard library's, or the model checker's.
//!
//! With `--cfg loom` every load, store, fence and slot access of this crate goes through `loom`,
//! which runs the very same code through all the orders that the memory model allows.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Stops the compiler, and only it, from moving memory accesses across.
///
/// The other half of the pair is [`crate::wait`]'s barrier on the sleeper's side, which makes
/// this one act as a full fence on every core. The model checker knows no such pair, so there
/// it is the full fence that it amounts to.
#[inline(always)]
pub(crate) fn light_barrier() {
    #[cfg(not(loom))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(loom)]
    fence(Ordering::SeqCst);
}

#[cfg(loom)]
pub(crate) use loom::{hint::spin_loop, thread::yield_now};

#[cfg(not(loom))]
pub(crate) use std::{hint::spin_loop, thread::yield_now};
