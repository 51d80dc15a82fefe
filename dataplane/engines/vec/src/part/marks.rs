//! What became of rows after they were written: ended by a later version, or touched.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

/// What became of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// When it was replaced or deleted, in microseconds since 1970; 0 when it was not.
    pub(crate) ended: u64,
    /// The change that did so. Not kept on disk: no reader is older than an opening.
    pub(crate) lsn: u64,
    /// When it was touched last; 0 when it was not.
    pub(crate) accessed: u64,
    /// How often.
    pub(crate) touches: u32,
    /// The last change that touched it: made again after a crash, it counts once.
    pub(crate) touched: u64,
}

/// Marks of the rows of one part.
///
/// A reader holds the number of the last change that it is to see. Rows that a later change ended
/// are current to it, so that a version and its successor are never both gone. There is one
/// writer, who holds the collection's writer lock.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// A bit for each row that has ended: most have not, and need no look into the map.
    bits: Vec<AtomicU64>,
    map: RwLock<HashMap<u32, Mark>>,
    /// How many have ended.
    ended: AtomicU64,
    /// Counts changes, so that it is known what is not yet on disk.
    changes: AtomicU64,
}

impl Marks {
    /// For rows up to `rows`.
    pub(crate) fn for_rows(rows: u32) -> Self {
        let mut marks = Self::default();
        marks.grow(rows);
        marks
    }

    /// Makes room for rows up to `rows`.
    pub(crate) fn grow(&mut self, rows: u32) {
        let words = rows.div_ceil(64) as usize;
        if self.bits.len() < words {
            self.bits.resize_with(words.max(2 * self.bits.len()), AtomicU64::default);
        }
    }

    /// Changes so far.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Rows that have ended.
    pub(crate) fn ended_rows(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Rows that have ended at `time` or before.
    pub(crate) fn ended_before(&self, time: u64) -> u64 {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        map.values().filter(|mark| mark.ended > 0 && mark.ended <= time).count() as u64
    }

    /// Sets a mark as it was kept.
    pub(crate) fn set(&self, row: u32, mark: Mark) {
        self.edit(row, |held| *held = mark);
    }

    /// The row has ended.
    pub(crate) fn end(&self, row: u32, lsn: u64, ended: u64) {
        // A time of 0 means that it has not.
        let ended = ended.max(1);
        self.edit(row, |held| (held.ended, held.lsn) = (ended, lsn));
    }

    /// Change `lsn` touched the row; it counts once, however often the change says so.
    pub(crate) fn touch(&self, row: u32, lsn: u64, accessed: u64) {
        self.edit(row, |held| {
            if held.touched < lsn {
                (held.touched, held.accessed) = (lsn, accessed);
                held.touches = held.touches.saturating_add(1);
            }
        });
    }

    fn edit(&self, row: u32, edit: impl FnOnce(&mut Mark)) {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        let mark = map.entry(row).or_default();
        edit(mark);
        if mark.ended > 0 {
            let bit = 1 << (row % 64);
            // The map is written before the bit: who sees the bit finds the mark.
            let before = self.bits[row as usize / 64].fetch_or(bit, Ordering::Release);
            self.ended.fetch_add(u64::from(before & bit == 0), Ordering::Relaxed);
        }
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// What became of the row.
    pub(crate) fn get(&self, row: u32) -> Mark {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        map.get(&row).copied().unwrap_or_default()
    }

    /// Whether the row has not ended for who sees changes up to `lsn`.
    #[inline]
    pub(crate) fn is_current(&self, row: u32, lsn: u64) -> bool {
        let word = self.bits[row as usize / 64].load(Ordering::Acquire);
        word >> (row % 64) & 1 == 0 || self.get(row).lsn > lsn
    }

    /// When the row ended, if it has for who sees changes up to `lsn`.
    pub(crate) fn ended(&self, row: u32, lsn: u64) -> Option<u64> {
        (!self.is_current(row, lsn)).then(|| self.get(row).ended)
    }

    /// All marks, by their rows.
    pub(crate) fn all(&self) -> Vec<(u32, Mark)> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<(u32, Mark)> = map.iter().map(|(row, mark)| (*row, *mark)).collect();
        all.sort_unstable_by_key(|(row, _)| *row);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_ends_for_those_who_see_the_change() {
        let marks = Marks::for_rows(70);
        assert!((0..70).all(|row| marks.is_current(row, 0)));
        marks.end(69, 10, 1000);
        marks.touch(3, 11, 77);
        marks.touch(3, 12, 78);
        marks.touch(3, 12, 79);
        assert!(marks.is_current(69, 9) && !marks.is_current(69, 10));
        assert_eq!((marks.ended(69, 9), marks.ended(69, 10)), (None, Some(1000)));
        assert!(marks.is_current(3, u64::MAX));
        let touched = Mark { accessed: 78, touches: 2, touched: 12, ..Mark::default() };
        assert_eq!((marks.get(3), marks.ended_rows(), marks.changes()), (touched, 1, 4));
        let copy = Marks::for_rows(70);
        marks.all().into_iter().for_each(|(row, mark)| copy.set(row, mark));
        assert_eq!(copy.all(), marks.all());
        assert_eq!((copy.ended_rows(), copy.is_current(69, 9)), (1, true));
    }
}
