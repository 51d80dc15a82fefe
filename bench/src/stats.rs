//! Repeated measurements: their median and spread, and an order that changes from one round to
//! the next.

use serde::{Deserialize, Serialize};

/// Repetitions of one measurement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle one; of an even number the upper of the two in the middle.
    pub median: f64,
    /// The lowest.
    pub least: f64,
    /// The highest.
    pub most: f64,
    /// All, in the order in which they were taken.
    pub samples: Vec<f64>,
}

impl Spread {
    /// Sums `samples` up; all 0 when there is none.
    #[must_use]
    pub fn of(samples: Vec<f64>) -> Self {
        let mut sorted = samples.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        Self {
            median: at(sorted.len() / 2),
            least: at(0),
            most: at(sorted.len().saturating_sub(1)),
            samples,
        }
    }

    /// Median and range with `places` decimals: `10.2 (9.8–11.0)`.
    #[must_use]
    pub fn text(&self, places: usize) -> String {
        let Self { median, least, most, .. } = self;
        format!("{median:.places$} ({least:.places$}–{most:.places$})")
    }
}

/// Orders, each different from the last: xorshift64 under Fisher and Yates.
#[derive(Clone, Debug)]
pub struct Shuffle(u64);

impl Default for Shuffle {
    /// The same sequence of orders in every run.
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Shuffle {
    /// Puts `items` into the next order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            items.swap(last, (self.0 % (last as u64 + 1)) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0]);
        assert_eq!((spread.median, spread.least, spread.most), (2.0, 1.0, 3.0));
        assert_eq!(spread.text(1), "2.0 (1.0–3.0)");
        assert_eq!(Spread::of(Vec::new()).most, 0.0);
    }

    #[test]
    fn an_order_keeps_every_item() {
        let mut items: Vec<u32> = (0..20).collect();
        let mut order = Shuffle::default();
        order.shuffle(&mut items);
        assert_ne!(items, (0..20).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..20).collect::<Vec<_>>());
    }
}
