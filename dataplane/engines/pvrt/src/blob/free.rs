//! Which bytes of the stored part are free.

use std::collections::{BTreeMap, BTreeSet};

/// Free stretches; neighbours are one.
#[derive(Debug, Default)]
pub(super) struct Free {
    /// Length by first address.
    by_start: BTreeMap<u64, u64>,
    /// The same, shortest first.
    by_len: BTreeSet<(u64, u64)>,
    /// Bytes in all.
    bytes: u64,
    /// Behind what was given out last: what is stored in one go lies in one piece, so that
    /// references to it can be one.
    next: u64,
}

impl Free {
    /// What `taken` leaves of `from..to`; `taken` holds first addresses and lengths in order.
    ///
    /// # Errors
    /// The first that lies outside, or overlaps the one before it.
    pub(super) fn around(
        from: u64,
        to: u64,
        taken: impl IntoIterator<Item = (u64, u64)>,
    ) -> Result<Self, (u64, u64)> {
        let mut free = Self::default();
        let mut at = from;
        for (start, len) in taken {
            let end = start.checked_add(len).filter(|end| *end <= to);
            let (true, Some(end)) = (start >= at, end) else { return Err((start, len)) };
            free.insert(at, start - at);
            at = end;
        }
        free.insert(at, to - at);
        free.next = at;
        Ok(free)
    }

    /// Takes `len` bytes: behind the last ones if they fit there, else where they leave the least.
    pub(super) fn take(&mut self, len: u64) -> Option<u64> {
        let after = self.by_start.get(&self.next).map(|room| (*room, self.next));
        let best = || self.by_len.range((len, 0)..).next().copied();
        let (room, start) = after.filter(|(room, _)| *room >= len).or_else(best)?;
        self.remove(start, room);
        self.insert(start + len, room - len);
        self.next = start + len;
        Some(start)
    }

    /// Gives back what was taken.
    pub(super) fn give(&mut self, start: u64, len: u64) {
        let (mut start, mut len) = (start, len);
        if let Some((&before, &room)) = self.by_start.range(..start).next_back()
            && before + room == start
        {
            self.remove(before, room);
            (start, len) = (before, room + len);
        }
        if let Some(&room) = self.by_start.get(&(start + len)) {
            self.remove(start + len, room);
            len += room;
        }
        self.insert(start, len);
    }

    /// Free bytes, and the longest stretch of them.
    pub(super) fn totals(&self) -> (u64, u64) {
        (self.bytes, self.by_len.last().map_or(0, |(len, _)| *len))
    }

    fn insert(&mut self, start: u64, len: u64) {
        if len > 0 {
            self.by_start.insert(start, len);
            self.by_len.insert((len, start));
            self.bytes += len;
        }
    }

    fn remove(&mut self, start: u64, len: u64) {
        self.by_start.remove(&start);
        self.by_len.remove(&(len, start));
        self.bytes -= len;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_overlaps_or_lies_outside_is_told() {
        assert_eq!(Free::around(10, 20, [(10, 5), (14, 1)]).unwrap_err(), (14, 1));
        assert_eq!(Free::around(10, 20, [(9, 1)]).unwrap_err(), (9, 1));
        assert_eq!(Free::around(10, 20, [(19, 2)]).unwrap_err(), (19, 2));
        assert_eq!(Free::around(10, 20, [(12, u64::MAX)]).unwrap_err(), (12, u64::MAX));
        assert_eq!(Free::around(10, 20, [(12, 3)]).expect("apart").totals(), (7, 5));
    }

    proptest! {
        /// Against a flag for each byte.
        #[test]
        fn nothing_is_given_twice_and_nothing_is_lost(
            steps in prop::collection::vec((1_u64..60, any::<prop::sample::Index>()), 1..200)
        ) {
            const SIZE: usize = 500;
            let mut free = Free::around(0, SIZE as u64, []).expect("empty");
            let (mut taken, mut used) = (Vec::new(), [false; SIZE]);
            for (len, which) in steps {
                let longest = used.split(|used| *used).map(<[bool]>::len).max().unwrap_or(0);
                prop_assert_eq!(free.totals(), (used.iter().filter(|u| !**u).count() as u64, longest as u64));
                if len % 3 == 0 && !taken.is_empty() {
                    let (start, len): (u64, u64) = taken.swap_remove(which.index(taken.len()));
                    used[start as usize..(start + len) as usize].fill(false);
                    free.give(start, len);
                    continue;
                }
                let Some(start) = free.take(len) else {
                    prop_assert!((longest as u64) < len);
                    continue;
                };
                let bytes = &mut used[start as usize..(start + len) as usize];
                prop_assert!(bytes.iter().all(|used| !used));
                bytes.fill(true);
                taken.push((start, len));
            }
            taken.sort_unstable();
            let again = Free::around(0, SIZE as u64, taken).expect("apart");
            prop_assert_eq!(again.by_start, free.by_start);
        }
    }
}
