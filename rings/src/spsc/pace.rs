//! When to look at the other side's index.
//!
//! A side that runs at the other's heels finds one or two items at each look, and each look takes
//! the index's line from under the other: both sides then go at the pace of a line that crosses
//! twice an item. A side that finds little therefore lets the other get ahead before it looks
//! again: first a little, then twice as much, until a look finds a good burst. The two settle
//! where a line crosses once per burst.
//!
//! Waiting must not show where there is no stream. So the wait comes only *before* the first
//! look after a find, when an item that was not there a moment ago may still be on its way; a
//! look that finds nothing ends it; and where waiting has brought no more than one item, the
//! items come one at a time (a question and its answer, say), and it is left alone for 64 finds.
//!
//! Measured on two Zen 5 cores some 240 ns apart, in separate runs on a shared host, so roughly:
//! single items go two to six times as fast as without waiting; bursts of 32 and 64 gain a fifth
//! when a good burst is 256 and not 64; a ping-pong's median latency stays the same.

use crate::sync::spin_loop;

/// A find of this many, or of a quarter of a small ring, is a good burst.
const GOOD: usize = 256;
/// First wait in spin hints, of some 40 cycles each.
const LEAST: u32 = if cfg!(loom) { 0 } else { 4 };
/// Longest wait in spin hints: well under a microsecond.
const MOST: u32 = if cfg!(loom) { 0 } else { 64 };
/// Finds of a single item after which waiting is tried again, where it was in vain.
const LEFT_ALONE: u32 = 64;

/// Keeps a side from running at the other's heels.
#[derive(Debug)]
pub(super) struct Pace {
    /// Spin hints before the next look.
    hints: u32,
    /// Finds of one item that will not start a wait.
    left_alone: u32,
    /// See [`GOOD`].
    good: usize,
}

impl Pace {
    pub(super) fn new(slots: usize) -> Self {
        Self { hints: 0, left_alone: 0, good: GOOD.min(slots / 4) }
    }

    /// Never waits: for a side that has other work to do between two looks, which lets the other
    /// get ahead all by itself.
    pub(super) const fn none() -> Self {
        Self { hints: 0, left_alone: 0, good: 0 }
    }

    /// Lets the other side get ahead, if that has paid.
    #[inline]
    pub(super) fn before_look(&self) {
        for _ in 0..self.hints {
            spin_loop();
        }
    }

    /// Learns from what a look found: items, or free slots.
    #[inline]
    pub(super) fn after_look(&mut self, found: usize) {
        match found {
            0 => self.hints = 0,
            1 if self.hints > 0 => (self.hints, self.left_alone) = (0, LEFT_ALONE),
            1 if self.left_alone > 0 => self.left_alone -= 1,
            _ if found < self.good => self.hints = (self.hints * 2).clamp(LEAST, MOST),
            _ if found / 4 > self.good => self.hints /= 2,
            _ => {}
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_side_with_other_work_never_waits() {
        let mut pace = Pace::none();
        for found in [0, 1, 2, 100, 4096, 3] {
            pace.after_look(found);
            assert_eq!(pace.hints, 0);
        }
    }

    #[test]
    fn small_finds_lengthen_the_wait_up_to_its_bound_and_an_empty_look_ends_it() {
        let mut pace = Pace::new(4096);
        for expected in [4, 8, 16, 32, 64, 64] {
            pace.after_look(10);
            assert_eq!(pace.hints, expected);
        }
        pace.after_look(300);
        assert_eq!(pace.hints, 64);
        pace.after_look(2000);
        assert_eq!(pace.hints, 32);
        pace.after_look(0);
        assert_eq!(pace.hints, 0);
    }

    #[test]
    fn single_items_are_left_alone_once_waiting_was_in_vain() {
        let mut pace = Pace::new(4096);
        let waits = (0..660).filter(|_| {
            pace.after_look(1);
            pace.hints > 0
        });
        assert_eq!(waits.count(), 10);
    }

    #[test]
    fn a_ring_of_one_slot_never_waits() {
        let mut pace = Pace::new(1);
        pace.after_look(1);
        pace.after_look(1);
        assert!(pace.hints <= LEAST);
    }
}
