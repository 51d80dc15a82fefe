//! Bits that threads share.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// One bit for each window.
#[derive(Debug)]
pub(super) struct Bits {
    words: Box<[AtomicU64]>,
    len: u32,
}

impl Bits {
    /// `len` bits, none set.
    pub(super) fn new(len: u32) -> Self {
        let words = (0..len.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self { words, len }
    }

    /// Whether bit `at` is set; what is beyond the last is not.
    #[inline]
    pub(super) fn get(&self, at: u32, order: Ordering) -> bool {
        let word = self.words.get(at as usize / 64);
        word.is_some_and(|word| word.load(order) >> (at % 64) & 1 == 1)
    }

    /// Sets bit `at`; whether it was not set before. `false` beyond the last.
    #[inline]
    pub(super) fn set(&self, at: u32, order: Ordering) -> bool {
        let bit = 1 << (at % 64);
        at < self.len && self.words[at as usize / 64].fetch_or(bit, order) & bit == 0
    }

    /// Clears bit `at`.
    #[inline]
    pub(super) fn clear(&self, at: u32, order: Ordering) {
        if let Some(word) = self.words.get(at as usize / 64) {
            word.fetch_and(!(1 << (at % 64)), order);
        }
    }

    /// Calls `each` with the stretches in `range` of bits that are set in what `of` makes of the words,
    /// in order, until it says `false`.
    pub(super) fn runs(
        &self,
        range: Range<u32>,
        of: impl Fn(u64) -> u64,
        mut each: impl FnMut(Range<u32>) -> bool,
    ) {
        let (mut at, end) = (range.start, range.end.min(self.len));
        let mut open: Option<u32> = None;
        while at < end {
            let word = self.words[at as usize / 64].load(Ordering::Acquire);
            let word = of(word) >> (at % 64);
            let left = (64 - at % 64).min(end - at);
            let same = if open.is_some() { word.trailing_ones() } else { word.trailing_zeros() };
            if same >= left {
                at += left;
                continue;
            }
            at += same;
            match open.take() {
                None => open = Some(at),
                Some(from) => {
                    if !each(from..at) {
                        return;
                    }
                }
            }
        }
        if let Some(from) = open {
            each(from..end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Ordering::Relaxed;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_are_those_of_a_list(
            set in prop::collection::vec(prop::bool::weighted(0.8), 1..300),
            from in 0..300_u32,
            len in 0..300_u32,
        ) {
            let bits = Bits::new(set.len() as u32);
            for (at, _) in set.iter().enumerate().filter(|(_, set)| **set) {
                prop_assert!(bits.set(at as u32, Relaxed));
                prop_assert!(!bits.set(at as u32, Relaxed));
            }
            let mut found = Vec::new();
            bits.runs(from..from + len, |word| word, |run| {
                found.extend(run.clone());
                !run.is_empty()
            });
            let want: Vec<u32> = (from..from + len)
                .filter(|at| set.get(*at as usize) == Some(&true))
                .collect();
            prop_assert_eq!(found, want);
        }
    }

    #[test]
    fn beyond_the_last_nothing_is_set() {
        let bits = Bits::new(65);
        assert!(bits.set(64, Relaxed) && !bits.set(65, Relaxed) && !bits.set(u32::MAX, Relaxed));
        bits.clear(u32::MAX, Relaxed);
        bits.clear(64, Relaxed);
        assert!(!bits.get(64, Relaxed) && !bits.get(u32::MAX, Relaxed));
    }
}
