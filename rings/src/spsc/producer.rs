//! The pushing side.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytemuck::Pod;

use super::chunk::WriteChunk;
use super::memory::Memory;
use super::pace::Pace;
use super::{PeerState, PushError, copy, index, prefetch};
use crate::Process;
use crate::sync::{Ordering, fence};
use crate::wait::{self, Barrier, WaitStrategy, Waited};

/// The side of a ring that pushes; one per ring.
///
/// `Send`, not `Sync`, not `Clone`: moving it to another thread is fine, pushing from two is
/// not, and does not compile:
///
/// ```compile_fail,E0277
/// let (producer, _consumer) = pfs_rings::spsc::ring::<u64>(8);
/// std::thread::scope(|s| { s.spawn(|| drop(&producer)); });
/// ```
///
/// Dropping it closes the ring: the consumer pops what is left and then learns of it.
pub struct Producer<T: Pod> {
    memory: Memory<T>,
    /// Items pushed. The shared word is only ever a copy of this one.
    tail: u64,
    /// The consumer's index as last seen, plus the capacity: `tail` may go up to here. Equal to
    /// `tail` once the ring is poisoned, so that the fast path needs no test of its own.
    limit: u64,
    pace: Pace,
    barrier: Barrier,
    poisoned: bool,
    claimed: Option<Process>,
    /// Makes the handle `!Sync`.
    _one_thread: PhantomData<Cell<()>>,
}

impl<T: Pod> Producer<T> {
    /// Takes the side up where the shared words say that it was left.
    ///
    /// `None` when those words are impossible. The caller has made sure that there is no other.
    pub(super) fn attach(memory: Memory<T>, claimed: Option<Process>) -> Option<Self> {
        let control = memory.control();
        let tail = control.tail.0.load(Ordering::Relaxed);
        let head = control.head.0.load(Ordering::Acquire);
        let slots = memory.slot_count();
        let limit = index::limit(tail, head, slots as u64)?;
        control.rare.0.producer_waits.store(0, Ordering::Relaxed);
        control.rare.0.producer_closed.store(0, Ordering::Release);
        let barrier = Barrier::new(claimed.is_some());
        Some(Self {
            memory,
            tail,
            limit,
            pace: Pace::new(slots),
            barrier,
            poisoned: false,
            claimed,
            _one_thread: PhantomData,
        })
    }

    /// From now on never spins to let the other side get ahead: for a caller with work of its
    /// own between two pushes.
    pub(crate) const fn never_pace(&mut self) {
        self.pace = Pace::none();
    }

    /// Slots of the ring.
    #[inline]
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.memory.slot_count()
    }

    /// Pushes one item.
    ///
    /// # Errors
    /// Gives the item back when the ring is full, when the consumer has left a full ring, or
    /// when the ring is poisoned.
    #[inline]
    pub fn try_push(&mut self, item: T) -> Result<(), PushError<T>> {
        if self.tail == self.limit && self.look() == 0 {
            return Err(self.refusal(item));
        }
        let place = self.tail as usize & (self.capacity() - 1);
        self.memory.note_write(self.tail, 1);
        // SAFETY: `place` is below the slot count; the slot is free, since `tail` has not
        // reached `limit`, so the consumer does not touch it until `publish`.
        unsafe { self.memory.slots().add(place).write(item) };
        if place.is_multiple_of(prefetch::per_line::<T>()) {
            self.prefetch_ahead(1);
        }
        self.publish(1);
        Ok(())
    }

    /// Pushes as many items as fit, in order, and returns how many.
    ///
    /// They become visible together. 0 when the ring is full or poisoned; see [`Self::peer`].
    #[inline]
    pub fn push_slice(&mut self, items: &[T]) -> usize {
        let n = self.room_for(items.len());
        if n == 0 {
            return 0;
        }
        let mask = self.capacity() as u64 - 1;
        let (place, first) = index::split(self.tail, n as u64, mask, 1);
        let (place, first) = (place as usize, first as usize);
        self.memory.note_write(self.tail, n);
        if n * size_of::<T>() < copy::BLOCK {
            self.prefetch_ahead(n);
        }
        let slots = self.memory.slots().as_ptr();
        // SAFETY: `n` slots from `tail` on are free (see `try_push`); the first `first` of them
        // begin at `place`, the others at 0, by `split`; `items` is private to this call.
        unsafe {
            copy::into_ring(items.as_ptr(), slots.add(place), first);
            if first < n {
                copy::into_ring(items.as_ptr().add(first), slots, n - first);
            }
        }
        self.publish(n);
        n
    }

    /// Lends up to `n` free slots to be written in place; fewer, or none, when the ring is
    /// fuller than that.
    #[inline]
    pub fn reserve(&mut self, n: usize) -> WriteChunk<'_, T> {
        let n = self.room_for(n);
        self.memory.note_write(self.tail, n);
        self.prefetch_ahead(n);
        WriteChunk::new(self, n)
    }

    /// Free slots, as far as the consumer has told: at least this many can be pushed.
    #[inline]
    pub fn free(&mut self) -> usize {
        self.refresh()
    }

    /// Whether `n` items can be pushed now. Looks at the consumer's word only when the last look
    /// does not settle it.
    #[inline]
    pub fn has_room(&mut self, n: usize) -> bool {
        self.room_for(n) == n
    }

    /// Waits until at least `slots` are free, for at most `timeout`, or until `stop` is set.
    ///
    /// `slots` is taken as the capacity where it exceeds it.
    pub fn wait(
        &mut self,
        slots: usize,
        strategy: WaitStrategy,
        timeout: Duration,
        stop: Option<&AtomicBool>,
    ) -> Waited {
        let slots = slots.min(self.capacity());
        let memory = self.memory.clone();
        let word = &memory.control().rare.0.producer_waits;
        wait::until(word, self.barrier, strategy, timeout, stop, || {
            if self.has_room(slots) {
                return Some(Waited::Ready);
            }
            match self.peer() {
                PeerState::Open => None,
                PeerState::Closed => Some(Waited::Closed),
                PeerState::Poisoned => Some(Waited::Poisoned),
            }
        })
    }

    /// How the other side stands.
    #[must_use]
    pub fn peer(&self) -> PeerState {
        if self.poisoned {
            return PeerState::Poisoned;
        }
        match self.memory.control().rare.0.consumer_closed.load(Ordering::Acquire) {
            0 => PeerState::Open,
            _ => PeerState::Closed,
        }
    }

    /// The consumer's process; `None` on the heap and while nobody holds that side.
    #[must_use]
    pub fn peer_process(&self) -> Option<Process> {
        Process::unpack(self.memory.control().rare.0.consumer.load(Ordering::Relaxed))
    }

    /// Whether the consumer's process died without closing. Reads `/proc`: not for the hot path.
    #[must_use]
    pub fn peer_died(&self) -> bool {
        self.peer_process().is_some_and(|process| !process.is_alive())
    }

    /// Items pushed since the ring was made, by this producer and those before it.
    #[must_use]
    pub const fn pushed(&self) -> u64 {
        self.tail
    }

    /// Items pushed and not yet popped, as far as the consumer has told.
    pub fn len(&mut self) -> usize {
        self.capacity() - self.refresh()
    }

    /// Whether the consumer has popped all.
    pub fn is_empty(&mut self) -> bool {
        !self.poisoned && self.len() == 0
    }

    /// Items that were pushed and are not popped, oldest first, copied.
    ///
    /// For the time after the consumer died; while it lives, it may pop them meanwhile.
    pub(crate) fn pending(&mut self) -> Vec<T> {
        let len = if self.poisoned { 0 } else { self.len() };
        let oldest = self.tail.wrapping_sub(len as u64);
        let slot = |step: usize| oldest.wrapping_add(step as u64) as usize & (self.capacity() - 1);
        // SAFETY: places are below the slot count; slots below `tail` are written by this side
        // only, which is not writing now.
        (0..len).map(|step| unsafe { self.memory.slots().add(slot(step)).read() }).collect()
    }

    /// How many of `wanted` slots are free, by the last look if that suffices.
    #[inline]
    fn room_for(&mut self, wanted: usize) -> usize {
        let seen = self.limit.wrapping_sub(self.tail) as usize;
        if seen >= wanted { wanted } else { self.look().min(wanted) }
    }

    /// As [`Self::refresh`], but lets the consumer get ahead first where that pays.
    #[inline]
    fn look(&mut self) -> usize {
        self.pace.before_look();
        let free = self.refresh();
        self.pace.after_look(free);
        free
    }

    /// Looks at the consumer's index; returns the free slots, 0 when poisoned.
    #[inline]
    fn refresh(&mut self) -> usize {
        if self.poisoned {
            return 0;
        }
        // Pairs with the Release in `Consumer::publish`: what the consumer read of these slots,
        // it has read.
        let head = self.memory.control().head.0.load(Ordering::Acquire);
        match index::limit(self.tail, head, self.capacity() as u64) {
            Some(limit) => {
                self.limit = limit;
                limit.wrapping_sub(self.tail) as usize
            }
            None => self.poison(),
        }
    }

    /// Makes the next `n` written slots visible, and wakes the consumer if it sleeps.
    #[inline]
    pub(super) fn publish(&mut self, n: usize) {
        self.tail = self.tail.wrapping_add(n as u64);
        let control = self.memory.control();
        // Pairs with the Acquire in `Consumer::refresh`: the items are there before the index.
        control.tail.0.store(self.tail, Ordering::Release);
        self.barrier.light();
        // Pairs with the sleeper's store and barrier in `wait::until`.
        if control.rare.0.consumer_waits.load(Ordering::Relaxed) != 0 {
            wait::wake(&control.rare.0.consumer_waits);
        }
    }

    /// For the model checker: the chunk's slots are written up to the moment of the commit.
    #[inline(always)]
    pub(super) fn note_written(&self, n: usize) {
        self.memory.note_write(self.tail, n);
    }

    /// As `n` items are pushed, asks for the lines of as many slots some way ahead, so that they
    /// arrive from the consumer's core before they are written. Only slots known to be free:
    /// pulling at others would take them from under the consumer.
    #[inline(always)]
    fn prefetch_ahead(&self, n: usize) {
        let ahead = prefetch::DISTANCE * prefetch::per_line::<T>();
        let free = self.limit.wrapping_sub(self.tail) as usize;
        let at = self.tail.wrapping_add(ahead as u64) as usize;
        let n = free.saturating_sub(ahead).min(n);
        prefetch::to_write(self.memory.slots(), at, n, self.capacity());
    }

    /// Slots from the next index on, for [`WriteChunk`].
    #[inline]
    pub(super) fn free_slots(&mut self, n: usize) -> (&mut [T], &mut [T]) {
        let mask = self.capacity() as u64 - 1;
        let (place, first) = index::split(self.tail, n as u64, mask, 1);
        let (place, first) = (place as usize, first as usize);
        let slots = self.memory.slots().as_ptr();
        // SAFETY: the chunk reserved `n` free slots, which are this side's alone until
        // `publish`; they lie in two disjoint pieces by `split`, and any content is a valid `T`
        // (`Pod`, and the memory was zeroed when it was made).
        unsafe {
            (
                std::slice::from_raw_parts_mut(slots.add(place), first),
                std::slice::from_raw_parts_mut(slots, n - first),
            )
        }
    }

    #[cold]
    fn refusal(&self, item: T) -> PushError<T> {
        match self.peer() {
            PeerState::Open => PushError::Full(item),
            PeerState::Closed => PushError::Closed(item),
            PeerState::Poisoned => PushError::Poisoned(item),
        }
    }

    #[cold]
    fn poison(&mut self) -> usize {
        self.poisoned = true;
        self.limit = self.tail;
        super::count_poisoned();
        self.close();
        0
    }

    /// Tells the consumer that nothing more will come; what was pushed can still be popped.
    pub(crate) fn close(&self) {
        let rare = &self.memory.control().rare.0;
        rare.producer_closed.store(1, Ordering::Release);
        // Leaving is rare: a full fence here needs no membarrier at the other end.
        fence(Ordering::SeqCst);
        wait::wake(&rare.consumer_waits);
    }
}

impl<T: Pod> Drop for Producer<T> {
    fn drop(&mut self) {
        if super::is_ours(self.claimed) {
            self.close();
            super::unclaim(&self.memory.control().rare.0.producer, self.claimed);
        }
    }
}

impl<T: Pod> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("capacity", &self.capacity())
            .field("tail", &self.tail)
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}
