//! What was seen before, for sparklines.

use std::collections::VecDeque;

use crate::view::{Live, RunId};

/// Looks that are kept: as many as a wide terminal has columns.
const LOOKS: usize = 400;

/// A figure over the last looks, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Series(VecDeque<u64>);

impl Series {
    fn push(&mut self, value: f64) {
        if self.0.len() == LOOKS {
            self.0.pop_front();
        }
        self.0.push_back(value as u64);
    }

    /// The last `width` values; missing ones before them are `None`.
    pub(super) fn last(&self, width: usize) -> Vec<Option<u64>> {
        let missing = width.saturating_sub(self.0.len());
        let from = self.0.len().saturating_sub(width);
        let values = self.0.iter().skip(from).copied().map(Some);
        std::iter::repeat_n(None, missing).chain(values).collect()
    }

    /// The largest value of the last `width`.
    pub(super) fn most(&self, width: usize) -> u64 {
        self.0.iter().rev().take(width).copied().max().unwrap_or(0)
    }
}

/// The figures of one run.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    run: Option<RunId>,
    /// Packets offered a second.
    pub(super) offered: Series,
    /// Packets lost a second.
    pub(super) dropped: Series,
    /// Of each worker, packets consumed a second.
    pub(super) workers: Vec<Series>,
}

impl History {
    /// Adds what `live` says; another run's history begins anew.
    pub(super) fn add(&mut self, live: &Live) {
        if self.run.as_ref() != Some(&live.run) {
            *self = Self { run: Some(live.run.clone()), ..Self::default() };
        }
        self.offered.push(live.rates.offered_pps);
        self.dropped.push(live.rates.dropped_pps);
        self.workers.resize_with(live.workers.len(), Series::default);
        for (series, worker) in self.workers.iter_mut().zip(&live.workers) {
            series.push(worker.consumed_pps);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_keeps_the_last_looks() {
        let mut series = Series::default();
        assert_eq!((series.last(2), series.most(9)), (vec![None, None], 0));
        (0..LOOKS + 3).for_each(|value| series.push(value as f64));
        let last = (LOOKS + 2) as u64;
        assert_eq!(series.last(2), [Some(last - 1), Some(last)]);
        assert_eq!(series.last(LOOKS + 5)[..6], [None, None, None, None, None, Some(3)]);
        assert_eq!(series.most(1), last);
    }
}
