//! The popping side.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytemuck::Pod;

use super::chunk::ReadChunk;
use super::memory::Memory;
use super::pace::Pace;
use super::{PeerState, index};
use crate::Process;
use crate::sync::{Ordering, fence};
use crate::wait::{self, Barrier, WaitStrategy, Waited};

/// The side of a ring that pops; one per ring.
///
/// `Send`, not `Sync`, not `Clone`, like [`super::Producer`]:
///
/// ```compile_fail,E0277
/// let (_producer, consumer) = pfs_rings::spsc::ring::<u64>(8);
/// std::thread::scope(|s| { s.spawn(|| drop(&consumer)); });
/// ```
///
/// Dropping it closes the ring: the producer learns of it when the ring is full, or by asking.
pub struct Consumer<T: Pod> {
    memory: Memory<T>,
    /// Items popped. The shared word is only ever a copy of this one.
    head: u64,
    /// The producer's index as last seen: items below it may be read. Equal to `head` once the
    /// ring is poisoned, so that the fast path needs no test of its own.
    seen: u64,
    pace: Pace,
    barrier: Barrier,
    poisoned: bool,
    claimed: Option<Process>,
    /// Makes the handle `!Sync`.
    _one_thread: PhantomData<Cell<()>>,
}

impl<T: Pod> Consumer<T> {
    /// Takes the side up where the shared words say that it was left; see `Producer::attach`.
    pub(super) fn attach(memory: Memory<T>, claimed: Option<Process>) -> Option<Self> {
        let control = memory.control();
        let head = control.head.0.load(Ordering::Relaxed);
        let seen = control.tail.0.load(Ordering::Acquire);
        let slots = memory.slot_count();
        index::used(seen, head, slots as u64)?;
        control.rare.0.consumer_waits.store(0, Ordering::Relaxed);
        control.rare.0.consumer_closed.store(0, Ordering::Release);
        let barrier = Barrier::new(claimed.is_some());
        Some(Self {
            memory,
            head,
            seen,
            pace: Pace::new(slots),
            barrier,
            poisoned: false,
            claimed,
            _one_thread: PhantomData,
        })
    }

    /// From now on never spins to let the other side get ahead: for a caller with work of its
    /// own between two pops.
    pub(crate) const fn never_pace(&mut self) {
        self.pace = Pace::none();
    }

    /// Slots of the ring.
    #[inline]
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.memory.slot_count()
    }

    /// Pops the oldest item; `None` when the ring is empty or poisoned (see [`Self::peer`]).
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.head == self.seen && self.look() == 0 {
            return None;
        }
        let place = self.head as usize & (self.capacity() - 1);
        self.memory.note_read(self.head, 1);
        // SAFETY: `place` is below the slot count; the item was published, since `head` has not
        // reached `seen`, so the producer does not touch its slot until `publish`.
        let item = unsafe { self.memory.slots().add(place).read() };
        self.publish(1);
        Some(item)
    }

    /// Pops as many items as there are and fit into `out`, in order, and returns how many.
    ///
    /// 0 when the ring is empty or poisoned; see [`Self::peer`].
    #[inline]
    pub fn pop_into(&mut self, out: &mut [T]) -> usize {
        let n = self.copy_front(out);
        if n > 0 {
            self.publish(n);
        }
        n
    }

    /// As [`Self::pop_into`], but the items stay in the ring until [`Self::release`].
    #[inline]
    pub fn copy_front(&mut self, out: &mut [T]) -> usize {
        let n = self.ready(out.len());
        if n > 0 {
            // SAFETY: the `n` items from `head` on are published (see `pop`), `out` is as long.
            unsafe { self.copy(self.head, n, out) };
        }
        n
    }

    /// Copies out those behind the `skip` oldest items that were there at the last look at the producer's
    /// index, as many as `out` holds; returns how many. For who wants to know what comes next: it takes
    /// nothing, and looks at no line of the producer's.
    #[inline]
    pub fn copy_behind(&mut self, skip: usize, out: &mut [T]) -> usize {
        let n = self.seen().saturating_sub(skip).min(out.len());
        if n > 0 {
            // SAFETY: of the items from `head` on, `seen` are published and not popped: `n` behind the
            // first `skip` are among them; `out` is as long.
            unsafe { self.copy(self.head.wrapping_add(skip as u64), n, out) };
        }
        n
    }

    /// # Safety
    /// The `n` items from `at` on, at least one, are published and not popped; `out` has room for them.
    #[inline]
    unsafe fn copy(&self, at: u64, n: usize, out: &mut [T]) {
        let out: *mut T = out.as_mut_ptr();
        let mask = self.capacity() as u64 - 1;
        let (place, first) = index::split(at, n as u64, mask, 1);
        let (place, first) = (place as usize, first as usize);
        self.memory.note_read(at, n);
        let slots = self.memory.slots().as_ptr();
        // SAFETY: the items are there, by the caller's promise; the first `first` of them begin at
        // `place`, the others at 0, by `split`; `out` is private to this call and at least `n` long.
        unsafe {
            std::ptr::copy_nonoverlapping(slots.add(place), out, first);
            if first < n {
                std::ptr::copy_nonoverlapping(slots, out.add(first), n - first);
            }
        }
    }

    /// Lends up to `n` of the oldest items to be read in place; fewer, or none, when there are
    /// not as many.
    ///
    /// They are read where they lie, in memory that the producer's process can write. It does
    /// not, as long as it keeps to the protocol; from a peer that may not, copy first
    /// ([`Self::copy_front`], [`Self::pop_into`]) and check the copy.
    #[inline]
    pub fn peek(&mut self, n: usize) -> ReadChunk<'_, T> {
        let n = self.ready(n);
        self.memory.note_read(self.head, n);
        ReadChunk::new(self, n)
    }

    /// Frees the slots of the `n` oldest items without looking at them; at most as many as were
    /// seen to be there. Returns how many.
    #[inline]
    pub fn release(&mut self, n: usize) -> usize {
        let n = n.min(self.seen.wrapping_sub(self.head) as usize);
        self.memory.note_read(self.head, n);
        self.publish(n);
        n
    }

    /// Waits until there is an item, for at most `timeout`, or until `stop` is set.
    ///
    /// [`Waited::Closed`] comes only after the last item was popped.
    pub fn wait(
        &mut self,
        strategy: WaitStrategy,
        timeout: Duration,
        stop: Option<&AtomicBool>,
    ) -> Waited {
        let memory = self.memory.clone();
        let word = &memory.control().rare.0.consumer_waits;
        wait::until(word, self.barrier, strategy, timeout, stop, || {
            // In this order: the items that a producer pushed before it closed are there by the
            // time its closing is seen.
            let peer = self.peer();
            match (self.ready(1), peer) {
                (1.., _) => Some(Waited::Ready),
                (0, PeerState::Closed) => Some(Waited::Closed),
                (0, PeerState::Poisoned) => Some(Waited::Poisoned),
                (0, PeerState::Open) if self.poisoned => Some(Waited::Poisoned),
                (0, PeerState::Open) => None,
            }
        })
    }

    /// How the other side stands.
    ///
    /// After [`PeerState::Closed`] there may still be items: it is the end once a pop made after
    /// this answer finds none.
    #[must_use]
    pub fn peer(&self) -> PeerState {
        if self.poisoned {
            return PeerState::Poisoned;
        }
        // Pairs with the Release in `Producer::close`.
        match self.memory.control().rare.0.producer_closed.load(Ordering::Acquire) {
            0 => PeerState::Open,
            _ => PeerState::Closed,
        }
    }

    /// The producer's process; `None` on the heap and while nobody holds that side.
    #[must_use]
    pub fn peer_process(&self) -> Option<Process> {
        Process::unpack(self.memory.control().rare.0.producer.load(Ordering::Relaxed))
    }

    /// Whether the producer's process died without closing. Reads `/proc`: not for the hot path.
    #[must_use]
    pub fn peer_died(&self) -> bool {
        self.peer_process().is_some_and(|process| !process.is_alive())
    }

    /// Items popped since the ring was made, by this consumer and those before it.
    #[must_use]
    pub const fn popped(&self) -> u64 {
        self.head
    }

    /// Items that were there at the last look at the producer's index, less those popped since.
    /// Looks at no line of the producer's.
    #[inline]
    #[must_use]
    pub const fn seen(&self) -> usize {
        self.seen.wrapping_sub(self.head) as usize
    }

    /// Items in the ring now.
    #[inline]
    pub fn len(&mut self) -> usize {
        self.refresh()
    }

    /// Whether the ring is empty now.
    #[inline]
    pub fn is_empty(&mut self) -> bool {
        self.ready(1) == 0
    }

    /// How many of `wanted` items are there, by the last look if that suffices.
    #[inline]
    fn ready(&mut self, wanted: usize) -> usize {
        let seen = self.seen.wrapping_sub(self.head) as usize;
        if seen >= wanted { wanted } else { self.look().min(wanted) }
    }

    /// As [`Self::refresh`], but lets the producer get ahead first where that pays.
    #[inline]
    fn look(&mut self) -> usize {
        self.pace.before_look();
        let there = self.refresh();
        self.pace.after_look(there);
        there
    }

    /// Looks at the producer's index; returns the items there, 0 when poisoned.
    #[inline]
    fn refresh(&mut self) -> usize {
        if self.poisoned {
            return 0;
        }
        // Pairs with the Release in `Producer::publish`: the items are there before the index.
        let tail = self.memory.control().tail.0.load(Ordering::Acquire);
        match index::used(tail, self.head, self.capacity() as u64) {
            Some(used) => {
                self.seen = tail;
                used as usize
            }
            None => self.poison(),
        }
    }

    /// Gives the slots of the `n` oldest items back, and wakes the producer if it sleeps.
    #[inline]
    pub(super) fn publish(&mut self, n: usize) {
        self.head = self.head.wrapping_add(n as u64);
        let control = self.memory.control();
        // Pairs with the Acquire in `Producer::refresh`: the items are read before their slots
        // are free.
        control.head.0.store(self.head, Ordering::Release);
        self.barrier.light();
        // Pairs with the sleeper's store and barrier in `wait::until`.
        if control.rare.0.producer_waits.load(Ordering::Relaxed) != 0 {
            wait::wake(&control.rare.0.producer_waits);
        }
    }

    /// The `n` oldest items, for [`ReadChunk`].
    #[inline]
    pub(super) fn front(&self, n: usize) -> (&[T], &[T]) {
        let mask = self.capacity() as u64 - 1;
        let (place, first) = index::split(self.head, n as u64, mask, 1);
        let (place, first) = (place as usize, first as usize);
        let slots = self.memory.slots().as_ptr();
        // SAFETY: the chunk found `n` published items, which the producer does not touch until
        // `publish`; they lie in two pieces by `split`.
        unsafe {
            (
                std::slice::from_raw_parts(slots.add(place), first),
                std::slice::from_raw_parts(slots, n - first),
            )
        }
    }

    #[cold]
    fn poison(&mut self) -> usize {
        self.poisoned = true;
        self.seen = self.head;
        super::count_poisoned();
        self.close();
        0
    }

    fn close(&self) {
        let rare = &self.memory.control().rare.0;
        rare.consumer_closed.store(1, Ordering::Release);
        // Leaving is rare: a full fence here needs no membarrier at the other end.
        fence(Ordering::SeqCst);
        wait::wake(&rare.producer_waits);
    }
}

impl<T: Pod> Drop for Consumer<T> {
    fn drop(&mut self) {
        if super::is_ours(self.claimed) {
            self.close();
            super::unclaim(&self.memory.control().rare.0.consumer, self.claimed);
        }
    }
}

impl<T: Pod> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("capacity", &self.capacity())
            .field("head", &self.head)
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}
