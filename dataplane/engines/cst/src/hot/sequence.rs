//! Numbers that never fall, in about 2 + log2(mean step) bits each (Elias 1974, Fano 1971).
//!
//! Low bits lie side by side. High bits are a row of ones, each with as many zeros before it as the
//! high part rose: the k-th one at bit `high + k`. The place of every 256th one is kept.

use super::bits::{next_one, select_from};

/// Ones between two kept places.
const SAMPLE: usize = 256;

/// Where a sequence lies in the words of its tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sequence {
    len: u32,
    /// First word of the high bits; low bits and samples follow.
    high_at: u32,
    low_at: u32,
    samples_at: u32,
    low_bits: u8,
}

impl Sequence {
    /// Writes `values` behind `words`. They never fall.
    pub(super) fn write(
        values: impl ExactSizeIterator<Item = u32>,
        last: u32,
        words: &mut Vec<u64>,
    ) -> Self {
        let len = values.len();
        if len == 0 {
            return Self::default();
        }
        let low_bits = (u64::from(last) / len as u64).checked_ilog2().unwrap_or(0);
        let high_at = words.len();
        let high_words = ((last >> low_bits) as usize + len).div_ceil(64);
        let low_at = high_at + high_words;
        let samples_at = low_at + (len * low_bits as usize).div_ceil(64);
        words.resize(samples_at + len.div_ceil(2 * SAMPLE), 0);
        let mask = (1u64 << low_bits) - 1;
        for (k, value) in values.enumerate() {
            let high = (value >> low_bits) as usize + k;
            words[high_at + high / 64] |= 1 << (high % 64);
            if k % SAMPLE == 0 {
                words[samples_at + k / SAMPLE / 2] |= (high as u64) << (k / SAMPLE % 2 * 32);
            }
            if low_bits > 0 {
                let (bit, low) = (k * low_bits as usize, u64::from(value) & mask);
                words[low_at + bit / 64] |= low << (bit % 64);
                if bit % 64 + low_bits as usize > 64 {
                    words[low_at + bit / 64 + 1] |= low >> (64 - bit % 64);
                }
            }
        }
        Self {
            len: len as u32,
            high_at: high_at as u32,
            low_at: low_at as u32,
            samples_at: samples_at as u32,
            low_bits: low_bits as u8,
        }
    }

    /// Numbers in it.
    pub(super) const fn len(self) -> usize {
        self.len as usize
    }

    #[inline]
    fn low(self, words: &[u64], k: usize) -> u32 {
        if self.low_bits == 0 {
            return 0;
        }
        let bit = k * usize::from(self.low_bits);
        let at = self.low_at as usize + bit / 64;
        let mut low = words[at] >> (bit % 64);
        if bit % 64 + usize::from(self.low_bits) > 64 {
            low |= words[at + 1] << (64 - bit % 64);
        }
        (low & ((1 << self.low_bits) - 1)) as u32
    }

    #[inline]
    fn high(self, words: &[u64], k: usize) -> usize {
        let sample = words[self.samples_at as usize + k / SAMPLE / 2] >> (k / SAMPLE % 2 * 32);
        select_from(&words[self.high_at as usize..], sample as u32 as usize, (k % SAMPLE) as u32)
    }

    #[inline]
    fn join(self, words: &[u64], k: usize, high: usize) -> u32 {
        ((high - k) as u32) << self.low_bits | self.low(words, k)
    }

    /// The `k`-th number; `k` < [`Sequence::len`].
    #[inline]
    pub(super) fn get(self, words: &[u64], k: usize) -> u32 {
        self.join(words, k, self.high(words, k))
    }

    /// The numbers before and at `k`, 0 before the first.
    #[inline]
    pub(super) fn pair(self, words: &[u64], k: usize) -> (u32, u32) {
        let Some(before) = k.checked_sub(1) else { return (0, self.get(words, 0)) };
        let high = self.high(words, before);
        let next = next_one(&words[self.high_at as usize..], high + 1);
        (self.join(words, before, high), self.join(words, k, next))
    }

    /// The `k`-th number, quickly where `track` stands at or a little before it.
    #[inline]
    pub(super) fn get_near(self, words: &[u64], track: &mut Track, k: usize) -> u32 {
        let ahead = k.wrapping_sub(track.k as usize);
        let high = if ahead < 4 && track.at != 0 {
            let mut high = track.at as usize - 1;
            for _ in 0..ahead {
                high = next_one(&words[self.high_at as usize..], high + 1);
            }
            high
        } else {
            self.high(words, k)
        };
        *track = Track { k: k as u32, at: high as u32 + 1 };
        self.join(words, k, high)
    }

    /// The bit of the `k`-th one, from where `track` stands if that is not far before it.
    #[inline]
    fn high_ahead(self, words: &[u64], track: Track, k: usize) -> usize {
        let ahead = k.wrapping_sub(track.k as usize);
        if ahead < SAMPLE / 2 && track.at != 0 {
            let from = track.at as usize - 1;
            return select_from(&words[self.high_at as usize..], from, ahead as u32);
        }
        self.high(words, k)
    }

    /// The `k`-th number, quickly where `track` stands at or not far before it; that stays there.
    #[inline]
    pub(super) fn get_ahead(self, words: &[u64], track: Track, k: usize) -> u32 {
        self.join(words, k, self.high_ahead(words, track, k))
    }

    /// The numbers before and at `k`, 0 before the first, in the same way.
    #[inline]
    pub(super) fn pair_ahead(self, words: &[u64], track: Track, k: usize) -> (u32, u32) {
        let Some(before) = k.checked_sub(1) else { return (0, self.get(words, 0)) };
        let high = self.high_ahead(words, track, before);
        let next = next_one(&words[self.high_at as usize..], high + 1);
        (self.join(words, before, high), self.join(words, k, next))
    }

    /// How many numbers are at most `value`: found by halving between the two kept places around it.
    pub(super) fn rank(self, words: &[u64], value: u32) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.get(words, middle) <= value { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// All numbers from the `k`-th on.
    pub(super) fn iter(self, words: &[u64], k: usize) -> Iter<'_> {
        let at = if k < self.len() { self.high(words, k) } else { 0 };
        Iter { sequence: self, words, k, at }
    }
}

/// A number of a sequence that was read last: the next ones are near it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Track {
    k: u32,
    /// Bit of its one, and one more; 0 if nothing was read.
    at: u32,
}

/// See [`Sequence::iter`].
#[derive(Clone, Debug)]
pub(super) struct Iter<'a> {
    sequence: Sequence,
    words: &'a [u64],
    k: usize,
    at: usize,
}

impl Iterator for Iter<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        if self.k >= self.sequence.len() {
            return None;
        }
        let high = next_one(&self.words[self.sequence.high_at as usize..], self.at);
        let value = self.sequence.join(self.words, self.k, high);
        (self.k, self.at) = (self.k + 1, high + 1);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn holds_what_was_written(steps in prop::collection::vec(prop_oneof![0u32..8, 0u32..3, 0u32..500_000], 0..2000), before in 0usize..5) {
            let values: Vec<u32> = steps.iter().scan(0u32, |sum, step| { *sum += step; Some(*sum) }).collect();
            let mut words = vec![u64::MAX; before];
            let sequence = Sequence::write(values.iter().copied(), values.last().copied().unwrap_or(0), &mut words);
            words.push(u64::MAX);
            prop_assert_eq!(sequence.len(), values.len());
            let mut track = Track::default();
            for (k, value) in values.iter().enumerate() {
                let far = k * 7 % values.len();
                for near in [k, k, (k + 1).min(values.len() - 1), far, k] {
                    let read = sequence.get_near(&words, &mut track, near);
                    prop_assert_eq!(read, values[near]);
                }
                prop_assert_eq!(sequence.get(&words, k), *value);
                let previous = if k == 0 { 0 } else { values[k - 1] };
                prop_assert_eq!(sequence.pair(&words, k), (previous, *value));
                for ahead in [k, far, (k + 90).min(values.len() - 1)] {
                    prop_assert_eq!(sequence.get_ahead(&words, track, ahead), values[ahead]);
                    let before = if ahead == 0 { 0 } else { values[ahead - 1] };
                    prop_assert_eq!(sequence.pair_ahead(&words, track, ahead), (before, values[ahead]));
                }
            }
            for value in values.iter().flat_map(|value| [value.saturating_sub(1), *value, value + 1]) {
                prop_assert_eq!(sequence.rank(&words, value), values.partition_point(|it| *it <= value));
            }
            for from in [0, values.len() / 2, values.len()] {
                prop_assert!(sequence.iter(&words, from).eq(values[from..].iter().copied()));
            }
        }
    }
}
