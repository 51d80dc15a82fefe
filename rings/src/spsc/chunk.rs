//! Slots lent in place: written before they are committed, read before they are released.

use bytemuck::Pod;

use super::{Consumer, Producer};

/// Free slots that the producer may fill. Dropped without [`Self::commit`] it pushes nothing.
#[derive(Debug)]
pub struct WriteChunk<'a, T: Pod> {
    producer: &'a mut Producer<T>,
    len: usize,
}

impl<'a, T: Pod> WriteChunk<'a, T> {
    pub(super) const fn new(producer: &'a mut Producer<T>, len: usize) -> Self {
        Self { producer, len }
    }

    /// Slots lent; may be fewer than were asked for.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no slot was free.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slots in order: all of the first slice, then all of the second, which is empty unless
    /// the chunk goes over the end of the ring's memory.
    ///
    /// They hold whatever was in them: items are plain data, so any content is a valid item.
    #[inline]
    pub fn as_mut_slices(&mut self) -> (&mut [T], &mut [T]) {
        self.producer.free_slots(self.len)
    }

    /// Pushes the first `k` slots, at most [`Self::len`]; the rest stay free. Returns how many.
    #[inline]
    pub fn commit(self, k: usize) -> usize {
        let k = k.min(self.len);
        if k > 0 {
            self.producer.note_written(k);
            self.producer.publish(k);
        }
        k
    }
}

/// The oldest items, readable in place. Dropped without [`Self::release`] it pops nothing.
#[derive(Debug)]
pub struct ReadChunk<'a, T: Pod> {
    consumer: &'a mut Consumer<T>,
    len: usize,
}

impl<'a, T: Pod> ReadChunk<'a, T> {
    pub(super) const fn new(consumer: &'a mut Consumer<T>, len: usize) -> Self {
        Self { consumer, len }
    }

    /// Items lent; may be fewer than were asked for.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the ring was empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The items, oldest first: all of the first slice, then all of the second.
    #[inline]
    #[must_use]
    pub fn as_slices(&self) -> (&[T], &[T]) {
        self.consumer.front(self.len)
    }

    /// Pops the first `k` items, at most [`Self::len`]; the rest stay. Returns how many.
    #[inline]
    pub fn release(self, k: usize) -> usize {
        self.consumer.release(k.min(self.len))
    }
}
