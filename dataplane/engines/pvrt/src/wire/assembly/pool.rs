//! Buffers used again and again.

/// Buffers of different lengths, bounded in all.
#[derive(Debug)]
pub(super) struct Pool<T> {
    free: Vec<Vec<T>>,
    /// Elements of all buffers, free or not.
    held: usize,
    most: usize,
}

impl<T: Copy + Default> Pool<T> {
    /// None yet, of up to `most` elements together.
    pub(super) const fn new(most: usize) -> Self {
        Self { free: Vec::new(), held: 0, most }
    }

    /// A buffer of `len` elements or more, of any value; `None` when there is no room.
    pub(super) fn take(&mut self, len: usize) -> Option<Vec<T>> {
        let mut buffer = self.free.pop().unwrap_or_default();
        let grown = len.saturating_sub(buffer.len());
        if self.held + grown > self.most {
            // Those that are free may be too short each and too much together.
            self.held -= buffer.len();
            self.held -= self.free.drain(..).map(|buffer| buffer.len()).sum::<usize>();
            buffer = Vec::new();
        }
        let grown = len.saturating_sub(buffer.len());
        if self.held + grown > self.most {
            return None;
        }
        self.held += grown;
        if grown > 0 {
            buffer.reserve_exact(grown);
            buffer.resize(len, T::default());
        }
        Some(buffer)
    }

    /// Takes a buffer back, as long as it was given.
    pub(super) fn give(&mut self, buffer: Vec<T>) {
        if buffer.capacity() > 0 {
            self.free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_held_than_allowed() {
        let mut pool = Pool::<u8>::new(100);
        let first = pool.take(60).expect("room");
        assert!(pool.take(41).is_none());
        let second = pool.take(40).expect("room");
        assert!(pool.take(1).is_none());
        pool.give(first);
        assert_eq!(pool.take(30).map(|buffer| buffer.len()), Some(60), "the one that is free");
        pool.give(second);
        // 60 are lent: of the 40 that are free none grow, 41 do not fit.
        assert!(pool.take(41).is_none());
        assert_eq!(pool.take(20).map(|buffer| buffer.len()), Some(20));
    }
}
